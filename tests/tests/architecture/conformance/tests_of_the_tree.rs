//! Which tests there are, read from the sources: a test that lists tests cannot ask the compiler.

use crate::{TextFile, source::code_of};

use super::Test;

/// Where scenarios are listed; those of the list are tests of each binary that makes tests of them.
const SCENARIOS: &str = "tests/src/scenarios.rs";

/// All tests that `cargo test --workspace` would run.
pub(crate) fn tests_of(files: &[TextFile]) -> Vec<Test> {
    let compiled = files
        .iter()
        .filter(|file| file.path.ends_with(".rs") && is_compiled(&file.path, files));
    let mut tests = Vec::new();
    let mut lists = Vec::new();
    let mut binaries = String::new();
    for file in compiled {
        let code = code_of(&file.text);
        if file.path == SCENARIOS {
            lists = lists_of_scenarios(&code);
        }
        tests.extend(functions(&file.path, &code));
        tests.extend(over_both(&file.path, &code));
        tests.extend(programs_in_c(file, files));
        if file.path.contains("/tests/") {
            binaries.push_str(&code);
        }
    }
    let instantiated = |list: &str| binaries.contains(&format!("::{list}!("));
    let listed = lists.into_iter().filter(|(list, _)| instantiated(list));
    tests.extend(listed.flat_map(|(_, tests)| tests));
    tests
}

/// The lists of scenarios: macros, by name.
fn lists_of_scenarios(code: &str) -> Vec<(String, Vec<Test>)> {
    let macros = code.split("macro_rules! ").skip(1);
    let named = macros.filter_map(|text| text.split_once(' '));
    named
        .map(|(name, text)| (name.to_owned(), scenarios(text)))
        .collect()
}

/// `module::name,` in a list of scenarios.
fn scenarios(list: &str) -> Vec<Test> {
    let entries = list.lines().filter_map(|line| {
        let (module, name) = line.trim().strip_suffix(',')?.split_once("::")?;
        (is_name(module) && is_name(name)).then(|| Test {
            path: ["tests", "scenarios", module, name]
                .map(str::to_owned)
                .to_vec(),
            ignored: false,
        })
    });
    entries.collect()
}

/// Tests in C of the files that a test program names, `run_c("parcel.c", ..)`: `TEST(name)` at the beginning of a line.
fn programs_in_c(program: &TextFile, files: &[TextFile]) -> Vec<Test> {
    let Some((package, _)) = program.path.split_once("/tests/") else {
        return Vec::new();
    };
    let directory = format!("{package}/tests/c/");
    let run = files.iter().filter(|file| {
        let name = file.path.strip_prefix(&directory);
        let name = name.filter(|name| name.ends_with(".c"));
        name.is_some_and(|name| program.text.contains(&format!("run_c(\"{name}\"")))
    });
    let tests = run.flat_map(|file| {
        let names = file.text.lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("TEST(")?.split_once(')')?;
            is_name(name).then(|| name.to_owned())
        });
        names.map(|name| Test {
            path: modules(file.path.trim_end_matches(".c"))
                .chain([name])
                .collect(),
            ignored: false,
        })
    });
    tests.collect()
}

/// Functions with an attribute that makes them tests. Relies on rustfmt's layout: each attribute begins a line.
fn functions(path: &str, code: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    let mut lines = code.lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut is_test, mut ignored) = (false, false);
    while let Some(line) = lines.next() {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            ignored |= line.contains("ignore");
            let mut end = line;
            while !end.ends_with(']') {
                let Some(more) = lines.next() else { break };
                ignored |= more.contains("ignore");
                end = more;
            }
            continue;
        }
        if is_test && let Some(name) = function(line) {
            tests.push(Test {
                path: modules(path).chain([name.to_owned()]).collect(),
                ignored,
            });
        }
        (is_test, ignored) = (false, false);
    }
    tests
}

/// `name: 3,` where scenarios of so many devices are listed: the macro makes a test over QUIC of each, and one over TCP.
fn over_both(path: &str, code: &str) -> Vec<Test> {
    let lists = code.split("over_both! {").skip(1);
    let entries = lists.flat_map(|text| text.split('}').next().unwrap_or_default().lines());
    let named = entries.filter_map(|line| {
        let (name, devices) = line.trim().strip_suffix(',')?.split_once(": ")?;
        (is_name(name) && devices.parse::<usize>().is_ok()).then(|| name.to_owned())
    });
    named
        .map(|name| Test {
            path: modules(path).chain([name]).collect(),
            ignored: false,
        })
        .collect()
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let name = line.strip_prefix("fn ")?.split(['(', '<']).next()?;
    // Not a macro's `$name`.
    is_name(name).then_some(name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The crate and modules that a path stands for.
fn modules(path: &str) -> impl Iterator<Item = String> {
    let stem = path.trim_end_matches(".rs").to_owned();
    let parts: Vec<_> = stem.split('/').map(str::to_owned).collect();
    parts
        .into_iter()
        .filter(|part| !["src", "main", "lib"].contains(&part.as_str()))
}

/// Whether a file belongs to a target of a package of the workspace: a root, or a module of a file that does.
fn is_compiled(path: &str, files: &[TextFile]) -> bool {
    let there = |path: &str| files.iter().find(|file| file.path == path);
    let mut directories = path
        .match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]));
    let Some((package, inside)) =
        directories.rfind(|(package, _)| there(&format!("{package}/Cargo.toml")).is_some())
    else {
        return false;
    };
    // Workspaces of their own, with tests of their own.
    if there(&format!("{package}/Cargo.lock")).is_some() {
        return false;
    }
    let parts: Vec<_> = inside.split('/').collect();
    if matches!(
        parts[..],
        ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] | ["tests", _] | ["tests", _, "main.rs"]
    ) {
        return true;
    }
    let Some((directory, file)) = path.rsplit_once('/') else {
        return false;
    };
    let declared = format!("mod {};", file.trim_end_matches(".rs"));
    let parents = [
        format!("{directory}.rs"),
        format!("{directory}/main.rs"),
        format!("{directory}/lib.rs"),
    ];
    parents.iter().any(|parent| {
        there(parent).is_some_and(|text| declares(&code_of(&text.text), &declared))
            && is_compiled(parent, files)
    })
}

fn declares(code: &str, module: &str) -> bool {
    code.lines().any(|line| {
        let line = line.trim();
        let rest = line.strip_suffix(module);
        rest.is_some_and(|before| before.is_empty() || before.starts_with("pub"))
    })
}

mod tests {
    use super::*;

    /// The names of the tests of these files.
    fn names(files: &[(&str, &str)]) -> Vec<(String, bool)> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| TextFile::new(path, text))
            .collect();
        let tests = tests_of(&files).into_iter();
        tests
            .map(|test| (test.path.join("::"), test.ignored))
            .collect()
    }

    fn found(name: &str) -> (String, bool) {
        (name.to_owned(), false)
    }

    #[test]
    fn scenarios_over_both_transports_are_tests() {
        let text = "
            over_both! {
                is_called: 3,
                // not_this: 2,
            }
            fn is_called(site: &mut Site) { let not: () = (); }
            fn is_not(site: &mut Site) {}
        ";
        let files = [
            ("tests/Cargo.toml", ""),
            ("tests/tests/lab/main.rs", "mod nodes;"),
            ("tests/tests/lab/nodes.rs", text),
        ];
        let of_nodes = |name| found(&format!("tests::tests::lab::nodes::{name}"));
        assert_eq!(names(&files), [of_nodes("is_called")]);
    }

    #[test]
    fn functions_with_an_attribute_of_a_test_are_tests() {
        let text = "
            #[test]
            fn plain() {}
            /// Told.
            #[cfg(target_os = \"linux\")]
            #[tokio::test(start_paused = true)]
            async fn waiting() {}
            fn helper() {}
            #[expect(clippy::x)]
            fn other() {}
            // #[test]
            fn commented() {}
            const X: &str = \"
            #[test]
            fn quoted() {}
            \";
            proptest! {
                #[test]
                fn random(x in any()) {}
            }
            macro_rules! tests { () => {
                #[test]
                fn $name() {}
            } }
        ";
        assert_eq!(
            names(&[("rpc/Cargo.toml", ""), ("rpc/tests/calls/main.rs", text)]),
            ["plain", "waiting", "random"].map(|name| found(&format!("rpc::tests::calls::{name}")))
        );
    }

    #[test]
    fn ignored_tests_are_known_as_that() {
        let text = "
            #[test]
            #[ignore]
            fn one() {}
            #[ignore = \"slow\"]
            #[test]
            fn two() {}
            #[cfg_attr(
                not(unix),
                ignore
            )]
            #[test]
            fn three() {}
            #[test]
            fn four() {}
        ";
        let tests = names(&[("a/Cargo.toml", ""), ("a/src/lib.rs", text)]);
        let ignored: Vec<_> = tests.iter().map(|(_, ignored)| *ignored).collect();
        assert_eq!(ignored, [true, true, true, false]);
    }

    #[test]
    fn a_file_that_nobody_compiles_has_no_tests() {
        let test = "#[test]\nfn test() {}\n";
        let files = [
            ("a/Cargo.toml", ""),
            ("a/src/lib.rs", "pub(crate) mod used;\n// mod unused;\n"),
            ("a/src/used.rs", "#[cfg(test)]\nmod tests;\n"),
            ("a/src/used/tests.rs", test),
            ("a/src/unused.rs", "mod tests;\n"),
            ("a/src/unused/tests.rs", test),
            ("a/tests/calls/main.rs", "mod more;\n"),
            ("a/tests/calls/more.rs", test),
            ("a/tests/calls/less.rs", test),
            ("a/fuzz/Cargo.toml", ""),
            ("a/fuzz/Cargo.lock", ""),
            ("a/fuzz/src/lib.rs", test),
            ("stray/src/lib.rs", test),
        ];
        assert_eq!(
            names(&files),
            [
                found("a::used::tests::test"),
                found("a::tests::calls::more::test")
            ]
        );
    }

    #[test]
    fn tests_in_c_are_tests_when_their_file_is_run() {
        let text = "TEST(one)\n{\n}\n/*\n TEST(two)\n*/\nTEST(three) { }\n";
        let files = [
            ("a/Cargo.toml", ""),
            ("a/tests/programs/main.rs", "fn f() { run_c(\"x.c\", &[]) }"),
            (
                "a/tests/programs/stray.rs",
                "fn f() { run_c(\"y.c\", &[]) }",
            ),
            ("a/tests/c/x.c", text),
            ("a/tests/c/y.c", text),
            ("a/src/c/x.c", text),
        ];
        let one_and_three = ["one", "three"].map(|name| found(&format!("a::tests::c::x::{name}")));
        assert_eq!(names(&files), one_and_three);
    }

    #[test]
    fn scenarios_are_tests_when_listed_and_instantiated() {
        let listed = "
            pub mod calls;
            macro_rules! scenarios {
                ($callback:ident) => {
                    $callback! {
                        calls::listed,
                        // calls::not_any_more,
                    }
                };
            }
            macro_rules! of_nobody {
                ($callback:ident) => {
                    $callback! {
                        calls::forgotten,
                    }
                };
            }
        ";
        let mut files = vec![
            ("tests/Cargo.toml", ""),
            ("tests/src/lib.rs", "mod scenarios;\n"),
            ("tests/src/scenarios.rs", listed),
            (
                "tests/src/scenarios/calls.rs",
                "pub async fn listed() {}\npub async fn unlisted() {}\n",
            ),
        ];
        assert_eq!(names(&files), []);
        files.push((
            "tests/tests/memory/main.rs",
            "testkit::scenarios!(tests);\n",
        ));
        assert_eq!(names(&files), [found("tests::scenarios::calls::listed")]);
    }
}
