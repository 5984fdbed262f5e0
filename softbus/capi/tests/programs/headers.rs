//! The headers say what the libraries have, and nothing else.

use std::{collections::BTreeSet, fs, process::Command};

use crate::build::{self, Language, Libraries, Program};

/// OpenHarmony's functions, as its list of exports (`libipc_capi.json`) has them.
const EXPORTS: &str = include_str!("exports.txt");

/// All headers, relative to the include directory.
pub(crate) const HEADERS: &[&str] = &[
    "AbilityKit/native_child_process.h",
    "IPCKit/ipc_cparcel.h",
    "IPCKit/ipc_cremote_object.h",
    "IPCKit/ipc_cskeleton.h",
    "IPCKit/ipc_error_code.h",
    "IPCKit/ipc_kit.h",
    "hilog/log.h",
    "softbus/child.h",
    "softbus/device.h",
];

/// The functions that a library exports.
fn exported(library: &str) -> BTreeSet<String> {
    let path = Libraries::get().directory.join(library);
    let mut command = Command::new("nm");
    command.args(["--dynamic", "--defined-only", "--format=posix"]);
    let symbols = build::run(command.arg(path));
    let symbols = symbols.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?))
    });
    let functions = symbols.filter(|(_, kind)| *kind == "T");
    functions.map(|(name, _)| name.to_owned()).collect()
}

/// The declarations of a header: no comments, no lines of the preprocessor, no `extern "C"`.
pub(crate) fn code_of(header: &str) -> String {
    let text = fs::read_to_string(build::include().join(header)).unwrap();
    let mut code = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("/*") {
        code += &rest[..at];
        rest = rest[at..].split_once("*/").unwrap().1;
    }
    code += rest;
    let code = code.replace("\\\n", " ");
    let code = code.replace("#ifdef __cplusplus\nextern \"C\" {\n#endif", "");
    let code = code.replace("#ifdef __cplusplus\n}\n#endif", "");
    let lines = code.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The functions that a header declares: names before a `(` that are not in a type or a body.
fn declared(header: &str) -> BTreeSet<String> {
    let code = code_of(header);
    let lines = code
        .lines()
        .filter(|line| !line.starts_with([' ', '{', '}']) && !line.contains("typedef"));
    let inline = |line: &&str| !line.starts_with("static inline");
    let names = lines.filter(inline).filter_map(|line| {
        let before = line.split_once('(')?.0;
        before.rsplit([' ', '*']).next()
    });
    names.map(str::to_owned).collect()
}

fn declared_in(headers: &[&str]) -> BTreeSet<String> {
    headers.iter().flat_map(|header| declared(header)).collect()
}

#[test]
fn all_64_functions_are_there() {
    let wanted: BTreeSet<_> = EXPORTS.lines().map(str::to_owned).collect();
    assert_eq!(wanted.len(), 64);
    assert_eq!(
        declared_in(&[
            "IPCKit/ipc_cparcel.h",
            "IPCKit/ipc_cremote_object.h",
            "IPCKit/ipc_cskeleton.h"
        ]),
        wanted
    );
    let exported = exported("libipc_capi.so");
    let missing: Vec<_> = wanted.difference(&exported).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_is_declared_is_exported_and_nothing_else() {
    let (child, bus): (Vec<_>, Vec<_>) = HEADERS
        .iter()
        .partition(|header| header.starts_with("AbilityKit"));
    assert_eq!(exported("libipc_capi.so"), declared_in(&bus));
    assert_eq!(exported("libchild_process.so"), declared_in(&child));
}

#[test]
fn every_header_stands_alone() {
    let program = Program::new();
    for header in HEADERS {
        let text =
            format!("#include <{header}>\n#include <{header}>\nint main(void) {{ return 0; }}\n");
        for (language, name) in [(Language::C, "alone.c"), (Language::Cpp, "alone.cpp")] {
            let source = program.file(name, &text);
            program.program("alone", &source, language);
        }
    }
}

#[test]
fn no_header_is_forgotten() {
    let mut found = BTreeSet::new();
    for directory in fs::read_dir(build::include()).unwrap().map(Result::unwrap) {
        for file in fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
            let path = file.path();
            let path = path.strip_prefix(build::include()).unwrap();
            found.insert(path.to_str().unwrap().to_owned());
        }
    }
    let listed: BTreeSet<_> = HEADERS.iter().map(|header| (*header).to_owned()).collect();
    assert_eq!(found, listed);
}
