//! What Rust files may be and contain.

use crate::TextFile;

/// Longer files are not read as a whole any more.
const LINES_AT_MOST: usize = 600;

/// What makes a state machine depend on more than its inputs.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "thread::sleep",
    "tokio::",
    "async fn",
    ".await",
    "Mutex",
    "RwLock",
    "getrandom",
];

/// Where it is allowed, and why.
const UNSAFE_FILES: &[&str] = &[
    "rpc/src/ashmem.rs",      // an `unsafe fn`: what its caller has to promise
    "rpc/src/ashmem/map.rs",  // maps shared memory
    "rpc/tests/ashmem.rs",    // calls it
    "rpc/tests/allocated.rs", // an allocator that counts
    "softbus/tests/hostile/after.rs", // another
    "rpc/src/forked.rs",      // tells the system of a function
    "tests/src/bin/local_process.rs", // forks
    "tests/src/netns/packets.rs", // binds a packet socket, for links with a delay
    // The C API: what C hands in is its word. `boundary.rs` is where it is taken for something.
    "softbus/capi/src/boundary.rs",
    "softbus/capi/src/child.rs",
    "softbus/capi/src/device.rs",
    "softbus/capi/src/log.rs",
    "softbus/capi/src/parcel.rs",
    "softbus/capi/src/parcel/object.rs",
    "softbus/capi/src/parcel/text.rs",
    "softbus/capi/src/remote/death.rs",
    "softbus/capi/src/remote/proxy.rs",
    "softbus/capi/src/remote/stub.rs",
    "softbus/capi/src/skeleton.rs",
    "softbus/capi/child_process/src/lib.rs",
    "softbus/capi/child_process/src/main.rs",
];

pub(super) fn files_too_long(files: &[TextFile]) -> Vec<String> {
    let product = files.iter().filter(|file| is_product_source(&file.path));
    let counted = product.map(|file| (&file.path, lines_without_tests(&file.text)));
    counted
        .filter(|(_, lines)| *lines > LINES_AT_MOST)
        .map(|(path, lines)| {
            format!("{path}: {lines} lines without tests, at most {LINES_AT_MOST}")
        })
        .collect()
}

pub(super) fn impurities_of_the_session(files: &[TextFile]) -> Vec<String> {
    let session = |path: &str| {
        path == "rpc/src/session.rs"
            || path
                .strip_prefix("rpc/src/session/")
                .is_some_and(|inside| !inside.starts_with("tests/") && inside != "tests.rs")
    };
    mentions(files.iter().filter(|file| session(&file.path)), IMPURE)
}

pub(super) fn mdns_outside_its_files(files: &[TextFile]) -> Vec<String> {
    let elsewhere = |file: &&TextFile| !file.path.starts_with("discovery/src/mdns");
    mentions(files.iter().filter(elsewhere), &["mdns_sd"])
}

/// Lints let a file allow itself anything; this list does not.
pub(super) fn unsafe_outside_its_files(files: &[TextFile]) -> Vec<String> {
    // What does not compile does nothing.
    let elsewhere = |file: &&TextFile| {
        !UNSAFE_FILES.contains(&file.path.as_str()) && !file.path.contains("/compile_fail/")
    };
    let needles = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    mentions(files.iter().filter(elsewhere), &needles)
}

/// Where the code of Rust files, not their comments and strings, contains one of `needles`.
fn mentions<'a>(files: impl Iterator<Item = &'a TextFile>, needles: &[&str]) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files.filter(|file| file.path.ends_with(".rs")) {
        for (number, line) in code_of(&file.text).lines().enumerate() {
            for needle in needles.iter().filter(|needle| line.contains(**needle)) {
                offences.push(format!("{}:{}: `{needle}`", file.path, number + 1));
            }
        }
    }
    offences
}

/// Rust files of a crate's `src`, except those that are tests.
fn is_product_source(path: &str) -> bool {
    let Some((_, inside)) = path.split_once("src/") else {
        return false;
    };
    let is_test = inside.starts_with("tests/")
        || inside.contains("/tests/")
        || inside.split('/').next_back() == Some("tests.rs");
    inside.ends_with(".rs") && !is_test
}

/// Counts lines outside of `#[cfg(test)] mod x { .. }`. Relies on rustfmt's layout: such a module
/// ends at the next `}` with the indentation of its `mod`.
fn lines_without_tests(text: &str) -> usize {
    let mut lines = text.lines();
    let mut count = 0;
    let mut attributes = 0;
    let mut is_test = false;
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if code.starts_with("#[") {
            is_test |= code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test");
            attributes += 1;
        } else if is_test && code.starts_with("mod ") && code.ends_with('{') {
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            lines.by_ref().find(|line| *line == end);
            (is_test, attributes) = (false, 0);
        } else {
            count += attributes + 1;
            (is_test, attributes) = (false, 0);
        }
    }
    count + attributes
}

/// The source with comments and the insides of literals blanked out, line by line the same.
pub(super) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match skipped_length(rest, &code) {
            0 => {
                code.push(first);
                first.len_utf8()
            }
            length => {
                let newlines = rest[..length].matches('\n').count();
                code.push(' ');
                code.extend(std::iter::repeat_n('\n', newlines));
                length
            }
        };
        rest = &rest[length..];
    }
    code
}

/// How long the comment or literal is that `rest` starts with, 0 if it starts with code.
fn skipped_length(rest: &str, before: &str) -> usize {
    let to = |end: Option<usize>| end.unwrap_or(rest.len());
    if rest.starts_with("//") {
        to(rest.find('\n'))
    } else if rest.starts_with("/*") {
        to(block_comment_end(rest))
    } else if rest.starts_with('"') {
        to(string_end(rest))
    } else if rest.starts_with('r') && !ends_in_a_word(before) {
        let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
        if !rest[1 + hashes..].starts_with('"') {
            return 0;
        }
        let (start, end) = (hashes + 2, format!("\"{}", "#".repeat(hashes)));
        to(rest[start..].find(&end).map(|at| start + at + end.len()))
    } else if rest.starts_with("'\"'") {
        3
    } else if let Some(escaped) = rest.strip_prefix("'\\") {
        to(escaped
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '\'')
            .map(|(at, _)| at + 3))
    } else {
        0
    }
}

/// Whether an `r` after this belongs to a longer name; that of `br""` does not.
fn ends_in_a_word(before: &str) -> bool {
    let word: Vec<_> = before
        .chars()
        .rev()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .take(2)
        .collect();
    !matches!(word[..], [] | ['b' | 'c'])
}

fn block_comment_end(rest: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return Some(at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    None
}

fn string_end(rest: &str) -> Option<usize> {
    let mut bytes = rest.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    None
}

mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let lines = |count| "let x = 1;\n".repeat(count);
        let tests = format!(
            "#[cfg(test)]\n#[rustfmt::skip]\nmod tests {{\n{}}}\n",
            lines(500)
        );
        let files = [
            TextFile::new("rpc/src/long.rs", &lines(601)),
            TextFile::new("rpc/src/tested.rs", &format!("{}{tests}", lines(600))),
            TextFile::new(
                "rpc/src/tested_and_long.rs",
                &format!("{tests}{}", lines(601)),
            ),
            TextFile::new("rpc/src/session/tests/all.rs", &lines(5000)),
            TextFile::new("rpc/src/session/tests.rs", &lines(5000)),
            TextFile::new("rpc/tests/calls.rs", &lines(5000)),
            TextFile::new("tests/src/netns.rs", &lines(602)),
        ];
        assert_eq!(
            files_too_long(&files),
            [
                "rpc/src/long.rs: 601 lines without tests, at most 600",
                "rpc/src/tested_and_long.rs: 601 lines without tests, at most 600",
                "tests/src/netns.rs: 602 lines without tests, at most 600",
            ]
        );
    }

    #[test]
    fn only_the_tests_are_left_out_of_the_count() {
        assert_eq!(
            lines_without_tests("#[cfg(test)]\nmod tests;\nfn f() {\n}\n"),
            4
        );
        assert_eq!(lines_without_tests("#[inline]\nfn f() {\n}\n"), 3);
        let nested = "mod a {\n    #[cfg(test)]\n    mod tests {\n        fn f() {}\n    }\n}\n";
        assert_eq!(lines_without_tests(nested), 2);
        assert_eq!(
            lines_without_tests("#[cfg(all(test, unix))]\nmod tests {\n}\n"),
            0
        );
    }

    #[test]
    fn an_impure_session_is_found() {
        let files = [
            TextFile::new("rpc/src/session.rs", "fn f() {}\nuse std::sync::Mutex;\n"),
            TextFile::new("rpc/src/session/calls.rs", "let now = Instant::now();\n"),
            TextFile::new(
                "rpc/src/session/fine.rs",
                "// no Mutex here\nlet x = \".await\";\n",
            ),
            TextFile::new("rpc/src/session/tests/all.rs", "use tokio::time;\n"),
            TextFile::new("rpc/src/driver.rs", "link.send().await;\n"),
        ];
        assert_eq!(
            impurities_of_the_session(&files),
            [
                "rpc/src/session.rs:2: `Mutex`",
                "rpc/src/session/calls.rs:1: `Instant::now`"
            ]
        );
        for needle in IMPURE {
            let file = TextFile::new("rpc/src/session/x.rs", &format!("a {needle} b"));
            assert_eq!(impurities_of_the_session(&[file]).len(), 1, "{needle}");
        }
    }

    #[test]
    fn mdns_outside_of_its_files_is_found() {
        let code = "use mdns_sd::ServiceDaemon;\n";
        let files = [
            TextFile::new("discovery/src/mdns.rs", code),
            TextFile::new("discovery/src/mdns/names.rs", code),
            TextFile::new("discovery/src/merger.rs", code),
            TextFile::new("softbus/src/node.rs", "/// Not [`mdns_sd`].\n"),
        ];
        assert_eq!(
            mdns_outside_its_files(&files),
            ["discovery/src/merger.rs:1: `mdns_sd`"]
        );
    }

    #[test]
    fn unsafe_outside_of_its_files_is_found() {
        let code = "let x = unsafe { f() };\n";
        let files = [
            TextFile::new("rpc/src/ashmem/map.rs", code),
            TextFile::new("rpc/src/parcel.rs", code),
            TextFile::new("softbus/src/node.rs", "/// unsafe { }\n"),
        ];
        assert_eq!(
            unsafe_outside_its_files(&files),
            ["rpc/src/parcel.rs:1: `unsafe {`"]
        );
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let blank = |text: &str| {
            code_of(text)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(blank("a // x\nb /* x /* x */ x */ c"), "a b c");
        assert_eq!(blank(r#"a "x \" x" b"#), "a b");
        assert_eq!(blank(r##"a r#"x " x"# b r"\" c br"x" d"##), "a b c b d");
        assert_eq!(blank(r#"a '"' b '\'' c '\u{41}' d<'e>"#), "a b c d<'e>");
        assert_eq!(blank("for r in r#type"), "for r in r#type");
        assert_eq!(code_of("a /*\n\n*/ b\n\"\n\"\nc").lines().count(), 6);
        assert_eq!(blank("a \"never ends"), "a");
        assert_eq!(blank("a /* never ends"), "a");
    }
}
