//! What any text file may contain.

use std::path::{Component, Path, PathBuf};

use crate::TextFile;

/// Where developers keep their trees; in two pieces, because this file is checked as well.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/")];

pub(super) fn machine_paths(files: &[TextFile]) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for needle in MACHINE_PATHS {
                if line
                    .match_indices(needle)
                    .any(|(at, _)| starts_a_path(&line[..at]))
                {
                    offences.push(format!("{}:{}: `{needle}`", file.path, number + 1));
                }
            }
        }
    }
    offences
}

/// A relative path or a URL has its beginning before the needle.
fn starts_a_path(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || "._-~*}".contains(c))
}

/// Relative links of Markdown files that lead nowhere.
pub(super) fn broken_links(files: &[TextFile], exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, target) in links(&file.text) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            let leads_away = target.contains("://") || target.starts_with("mailto:");
            if leads_away || path.is_empty() {
                continue;
            }
            if !resolve(&file.path, path).is_some_and(|path| exists(&path)) {
                offences.push(format!("{}:{number}: `{target}`", file.path));
            }
        }
    }
    offences
}

/// The link's path from the workspace; none if it leaves that or is absolute.
fn resolve(file: &str, link: &str) -> Option<PathBuf> {
    let mut resolved = Path::new(file).parent()?.to_owned();
    for component in Path::new(&link.replace("%20", " ")).components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            _ => return None,
        }
    }
    Some(resolved)
}

/// Link targets with their line numbers, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut fence = None;
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(_), Some(_)) if fence == mark => fence = None,
            (None, None) => {
                let line = without_inline_code(line);
                links.extend(targets(&line).map(|target| (number + 1, target.to_owned())));
            }
            _ => {}
        }
    }
    links
}

/// Every other piece between backticks is code.
fn without_inline_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The targets of `[text](target "title")`, `[text](<target>)` and `[name]: target`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line
        .split("](")
        .skip(1)
        .map(|rest| match rest.strip_prefix('<') {
            Some(rest) => rest.split('>').next().unwrap_or_default(),
            None => rest.split([')', ' ']).next().unwrap_or_default(),
        });
    let definition = line
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "));
    let definition = definition.filter(|(name, _)| !name.starts_with('^') && !name.contains(']'));
    inline.chain(definition.and_then(|(_, target)| target.split_whitespace().next()))
}

mod tests {
    use super::*;

    #[test]
    fn a_machine_path_is_found() {
        let path = MACHINE_PATHS[0];
        let text = format!("fine\nrun {path}main/x\n\"{path}\"\na{path}b https://x.org{path}y\n");
        assert_eq!(
            machine_paths(&[TextFile::new("a.md", &text)]),
            [format!("a.md:2: `{path}`"), format!("a.md:3: `{path}`")]
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let exists = |path: &Path| [Path::new("README.md"), Path::new("docs/a.md")].contains(&path);
        let text = "[ok](../README.md) [ok](a.md#part) [ok](#here) [ok](https://x.org/y)
            [ok](mailto:x@x.org) [ok](<a.md>) [ok](a.md \"title\") `[code](x.md)`
            ```\n[code](x.md)\n```
            [bad](b.md) [bad](../../README.md)
            [bad](/README.md)\n[ref]: c.md\n[ok]: ./a.md\n[^1]: note";
        assert_eq!(
            broken_links(&[TextFile::new("docs/x.md", text)], exists),
            [
                "docs/x.md:6: `b.md`",
                "docs/x.md:6: `../../README.md`",
                "docs/x.md:7: `/README.md`",
                "docs/x.md:8: `c.md`"
            ]
        );
    }

    #[test]
    fn other_files_have_no_links() {
        assert!(broken_links(&[TextFile::new("x.rs", "[bad](b.md)")], |_| false).is_empty());
    }
}
