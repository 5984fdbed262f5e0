//! The rules of the house that a program can check. `ARCHITECTURE.md` and `CONTRIBUTING.md` give
//! the reasons.
//!
//! Every checker is a function from what it looks at to a list of offences, and has a test that
//! shows it an offence: a checker that cannot fail checks nothing.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod conformance;
mod dependencies;
mod source;
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the project; the path is relative to the workspace, with `/`.
#[derive(Debug)]
struct TextFile {
    path: String,
    text: String,
}

impl TextFile {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All text files of the project: what git tracks, or every file where there is no repository.
fn text_files() -> Vec<TextFile> {
    let root = workspace();
    let paths = tracked(&root).unwrap_or_else(|| {
        let mut paths = Vec::new();
        walk(&root, &root, &mut paths);
        paths
    });
    assert!(
        paths.iter().any(|path| path == "Cargo.toml"),
        "no files found in {}",
        root.display()
    );
    let read = |path: String| {
        // A file that was removed but not committed yet, or is no text, has nothing to check.
        let text = fs::read_to_string(root.join(&path)).ok()?;
        Some(TextFile { path, text })
    };
    paths.into_iter().filter_map(read).collect()
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .ok()?;
    let paths: Vec<_> = String::from_utf8(output.stdout)
        .ok()?
        .split_terminator('\0')
        .map(str::to_owned)
        .collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

fn walk(root: &Path, directory: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if name == ".git" || name == "target" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(root, &path, paths);
        } else {
            paths.push(
                path.strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/"),
            );
        }
    }
}

#[track_caller]
fn assert_none(offences: &[String]) {
    assert!(
        offences.is_empty(),
        "{} offence(s):\n  {}",
        offences.len(),
        offences.join("\n  ")
    );
}

#[test]
fn dependencies_between_our_crates_go_one_way() {
    assert_none(&dependencies::forbidden_edges(
        &dependencies::workspace_packages(&workspace()),
    ));
}

#[test]
fn foreign_crates_stay_where_they_belong() {
    let packages = dependencies::workspace_packages(&workspace());
    assert_none(&dependencies::misplaced_foreign_crates(&packages));
    assert_none(&dependencies::network_in_rpc(&packages));
}

#[test]
fn only_the_mdns_files_know_the_mdns_crate() {
    assert_none(&source::mdns_outside_its_files(&text_files()));
}

#[test]
fn unsafe_code_is_where_it_has_its_reasons() {
    assert_none(&source::unsafe_outside_its_files(&text_files()));
}

#[test]
fn files_fit_into_a_head() {
    assert_none(&source::files_too_long(&text_files()));
}

#[test]
fn the_session_is_a_pure_state_machine() {
    assert_none(&source::impurities_of_the_session(&text_files()));
}

#[test]
fn no_path_of_a_developers_machine() {
    assert_none(&text::machine_paths(&text_files()));
}

#[test]
fn links_between_documents_resolve() {
    let root = workspace();
    assert_none(&text::broken_links(&text_files(), |path| {
        root.join(path).exists()
    }));
}

#[test]
fn every_row_of_the_acceptance_table_is_shown_by_tests() {
    let files = text_files();
    let table = files.iter().find(|file| file.path == "docs/conformance.md");
    let tests = conformance::tests_of(&files);
    assert_none(&conformance::untrue_rows(&table.unwrap().text, &tests));
}

#[test]
fn every_hostile_input_is_tried_by_tests() {
    let files = text_files();
    let table = files.iter().find(|file| file.path == "docs/security.md");
    let tests = conformance::tests_of(&files);
    assert_none(&conformance::untrue_inputs(&table.unwrap().text, &tests));
}

#[test]
fn crates_with_known_faults_are_not_used() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    assert_none(&dependencies::faulty_versions(&lock));
}

#[test]
fn walking_finds_what_git_tracks() {
    let root = workspace();
    let mut walked = Vec::new();
    walk(&root, &root, &mut walked);
    for path in tracked(&root).unwrap_or_default() {
        assert!(
            walked.contains(&path) || !root.join(&path).exists(),
            "{path} was not walked"
        );
    }
}
