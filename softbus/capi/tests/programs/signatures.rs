//! The types in the headers are those of the functions behind them.
//!
//! A comparison of our own: cbindgen reads `pub` functions, and none that a macro makes, and ours are neither. Both sides are
//! brought into Rust's form as text. What a caller and a linker do not tell apart is the same here: `int` and `int32_t`, an
//! enum and `int`, and `va_list` and a pointer, which it is as an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::{
    build,
    headers::{HEADERS, code_of},
};

/// Types by the names of what has them.
type Forms = BTreeMap<String, String>;

/// Structs that have other names in Rust.
const STRUCTS: [(&str, &str); 2] = [
    ("MessageOption", "OH_IPC_MessageOption"),
    ("Options", "SoftBus_NodeOptions"),
];

/// Where a bracket that is open at the beginning of the text is closed.
fn closed(text: &str, open: char, close: char) -> usize {
    let mut depth = 1;
    let end = text.char_indices().find(|(_, found)| {
        depth += i32::from(*found == open) - i32::from(*found == close);
        depth == 0
    });
    end.unwrap().0
}

/// The parts of a list, at commas that are in no bracket.
fn parts(list: &str) -> Vec<&str> {
    let (mut depth, mut before) = (0, ' ');
    let split = list.split(|found: char| {
        let closes = found == ')' || found == '>' && before != '-';
        depth += i32::from("(<".contains(found)) - i32::from(closes);
        before = found;
        found == ',' && depth == 0
    });
    let parts = split.map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

fn function(parameters: &[String], result: &str) -> String {
    let parameters = parameters.join(", ");
    match result {
        "" | "c_void" => format!("fn({parameters})"),
        result => format!("fn({parameters}) -> {result}"),
    }
}

/// What the headers declare.
#[derive(Default)]
struct C {
    enums: BTreeSet<String>,
    callbacks: Forms,
    structs: Forms,
    functions: Forms,
}

impl C {
    fn read(code: &str) -> Self {
        let mut c = Self::default();
        let mut rest = code.trim_start();
        while !rest.is_empty() {
            // A declaration ends with a semicolon that is in no braces, or with its body.
            let mut depth = 0;
            let end = rest.find(|found: char| {
                depth += i32::from(found == '{') - i32::from(found == '}');
                depth == 0 && (found == ';' || found == '}' && rest.starts_with("static"))
            });
            let end = end.unwrap();
            c.declaration(&rest[..end]);
            rest = rest[end + 1..].trim_start();
        }
        c
    }

    fn declaration(&mut self, text: &str) {
        let Some(typedef) = text.strip_prefix("typedef ") else {
            if !text.starts_with("struct ") && !text.starts_with("static ") {
                let (name, form) = self.function(text);
                self.functions.insert(name, form);
            }
            return;
        };
        if let Some((result, rest)) = typedef.split_once("(*") {
            let (name, parameters) = rest.split_once(')').unwrap();
            let (_, form) = self.function(&format!("{result} {name}{parameters}"));
            self.callbacks.insert(name.to_owned(), form);
        } else if let Some((kind, rest)) = typedef.split_once('{') {
            let (fields, name) = rest.rsplit_once('}').unwrap();
            let name = name.trim().to_owned();
            if kind.starts_with("enum") {
                self.enums.insert(name);
                return;
            }
            let fields = fields
                .split(';')
                .map(str::trim)
                .filter(|field| !field.is_empty());
            let forms: Vec<_> = fields.map(|field| self.variable(field).1).collect();
            self.structs.insert(name, forms.join(", "));
        }
    }

    /// Name and type of a function.
    fn function(&self, text: &str) -> (String, String) {
        let (before, rest) = text.split_once('(').unwrap();
        let parameters = &rest[..closed(rest, '(', ')')];
        let parameters = parts(parameters)
            .into_iter()
            .filter(|found| *found != "void");
        let parameters: Vec<_> = parameters.map(|found| self.variable(found).1).collect();
        let (name, result) = self.variable(before);
        (name, function(&parameters, &result))
    }

    /// Name and type of `const char *name`.
    fn variable(&self, text: &str) -> (String, String) {
        let spaced = text.replace('*', " * ");
        let mut words: Vec<_> = spaced.split_whitespace().collect();
        let name = words.pop().unwrap().to_owned();
        let stars = words.iter().filter(|word| **word == "*").count();
        let constant = words.contains(&"const");
        words.retain(|word| *word != "*" && *word != "const");
        let base = self.base(&words.join(" "));
        let form = match (stars, constant) {
            (0, _) => base,
            (stars, true) => format!("{}*const {base}", "*mut ".repeat(stars - 1)),
            (stars, false) => format!("{}{base}", "*mut ".repeat(stars)),
        };
        (name, form)
    }

    fn base(&self, name: &str) -> String {
        let form = match name {
            "int" | "int32_t" => "i32",
            "unsigned int" | "uint32_t" => "u32",
            "float" => "f32",
            "double" => "f64",
            "char" => "c_char",
            "void" => "c_void",
            "va_list" => "*mut c_void",
            name if self.enums.contains(name) => "i32",
            name => match (self.callbacks.get(name), name.strip_suffix("_t")) {
                (Some(form), _) => form,
                (None, Some(number)) => return number.replace("uint", "u").replace("int", "i"),
                (None, None) => name,
            },
        };
        form.to_owned()
    }
}

/// What the sources define, and what they take for defined elsewhere.
#[derive(Default)]
struct Rust {
    aliases: Forms,
    structs: Forms,
    /// Each with its name; those that one library exports and another imports are there twice.
    functions: Vec<(String, String)>,
}

impl Rust {
    fn read(sources: &[String]) -> Self {
        let mut rust = Self::default();
        let starts = |source: &str, word: &str| {
            let found = source.match_indices(word);
            found.map(|(at, _)| at + word.len()).collect::<Vec<_>>()
        };
        for source in sources {
            for at in starts(source, "type ") {
                if let Some((name, rest)) = source[at..].split_once(" = ") {
                    let alias = rest.split(';').next().unwrap();
                    rust.aliases.insert(name.to_owned(), alias.to_owned());
                }
            }
        }
        for source in sources {
            for at in ["fn OH_", "fn SoftBus_"]
                .iter()
                .flat_map(|word| starts(source, word))
            {
                let at = source[..at].rfind(' ').unwrap() + 1;
                let (name, rest) = source[at..].split_once('(').unwrap();
                let end = rest.find(['{', ';']).unwrap();
                let form = rust.form(&format!("extern \"C\" fn({}", &rest[..end]));
                rust.functions.push((name.to_owned(), form));
            }
            for (name, c_name) in STRUCTS {
                for at in starts(source, &format!("struct {name} {{")) {
                    let fields = &source[at..at + closed(&source[at..], '{', '}')];
                    rust.structs
                        .insert(c_name.to_owned(), rust.list(fields).join(", "));
                }
            }
        }
        rust
    }

    /// The types of parameters or fields.
    fn list(&self, text: &str) -> Vec<String> {
        let types = parts(text)
            .into_iter()
            .map(|part| part.split_once(": ").unwrap().1);
        types.map(|found| self.form(found)).collect()
    }

    fn form(&self, text: &str) -> String {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix("Option<") {
            return self.form(inner.strip_suffix('>').unwrap());
        }
        if let Some(rest) = text.strip_prefix("extern \"C\" fn(") {
            let end = closed(rest, '(', ')');
            let result = rest[end + 1..].trim().strip_prefix("-> ");
            let result = result.map_or(String::new(), |result| self.form(result));
            return function(&self.list(&rest[..end]), &result);
        }
        for pointer in ["*const ", "*mut "] {
            if let Some(behind) = text.strip_prefix(pointer) {
                return format!("{pointer}{}", self.form(behind));
            }
        }
        match text {
            "c_int" | "RawFd" => "i32".to_owned(),
            "c_uint" => "u32".to_owned(),
            text => match self.aliases.get(text) {
                Some(alias) => self.form(alias),
                None => {
                    let renamed = STRUCTS.iter().find(|(name, _)| *name == text);
                    renamed.map_or(text, |(_, c_name)| c_name).to_owned()
                }
            },
        }
    }
}

/// All sources below a directory.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(with_numbers(&fs::read_to_string(path).unwrap()));
        }
    }
}

/// The source with the functions that its macro `numbers` makes of each of its rows.
fn with_numbers(source: &str) -> String {
    let Some((before, rest)) = source.split_once("macro_rules! numbers {") else {
        return source.to_owned();
    };
    let (template, rows) = rest.split_once("\nnumbers! {").unwrap();
    let rows = rows.lines().filter_map(|row| {
        let (ty, functions) = row.trim().split_once(": ")?;
        let mut names = functions
            .split(", ")
            .map(|pair| pair.split(" = ").next().unwrap());
        let made = template.replace("$ty", ty);
        let made = made.replace("$write", names.next()?);
        Some(made.replace("$read", names.next()?))
    });
    before.to_owned() + &rows.collect::<String>()
}

#[test]
fn types_in_headers_are_those_of_the_functions() {
    let c = C::read(
        &HEADERS
            .iter()
            .map(|header| code_of(header))
            .collect::<String>(),
    );
    let mut files = Vec::new();
    for directory in ["src", "child_process/src"] {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(directory),
            &mut files,
        );
    }
    let rust = Rust::read(&files);
    for (name, form) in &rust.functions {
        assert_eq!(c.functions.get(name), Some(form), "{name}");
    }
    let defined: BTreeSet<_> = rust.functions.iter().map(|(name, _)| name).collect();
    assert_eq!(defined, c.functions.keys().collect());
    assert_eq!(rust.structs, c.structs);
}

/// Those that take a handle are in the test that hands them what is none.
#[test]
fn every_function_with_a_handle_is_given_what_is_none() {
    let c = C::read(
        &HEADERS
            .iter()
            .map(|header| code_of(header))
            .collect::<String>(),
    );
    let test = fs::read_to_string(build::c_file("invalid.c")).unwrap();
    let mut asked = 0;
    for (name, form) in &c.functions {
        let handles = [
            "*const OHIPC",
            "*const SoftBusNode",
            "fn(*mut OHIPC",
            "fn(*mut SoftBusNode",
        ];
        let takes = handles.iter().any(|handle| form.contains(handle));
        // The functions of numbers are written with the name of their kind.
        let kind = name
            .trim_start_matches("OH_IPCParcel_Write")
            .trim_start_matches("OH_IPCParcel_Read");
        let kind = format!(", {kind});");
        assert!(
            !takes || test.contains(name) || test.contains(&kind),
            "{name}"
        );
        asked += usize::from(takes);
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn a_difference_of_types_is_seen() {
    let c = C::read(
        "typedef enum { ONE } Kind;
         typedef void (*Told)(int code, void *userData);
         typedef struct { uint32_t size; const char *name; } Made;
         int f(const Made *made, Kind kind, char **text, Told told);
         static inline int g(void) { if (1) { return 2; } return 3; }
         const char *h(void);",
    );
    let told = "fn(i32, *mut c_void)";
    assert_eq!(
        c.functions["f"],
        format!("fn(*const Made, i32, *mut *mut c_char, {told}) -> i32")
    );
    assert_eq!(c.functions["h"], "fn() -> *const c_char");
    assert_eq!(c.structs["Made"], "u32, *const c_char");
    assert_eq!(c.functions.len(), 2);
    let rust = Rust::read(&["type Told = extern \"C\" fn(code: c_int, user_data: *mut c_void);
        struct Options { size: u32, name: *const c_char }
        extern \"C\" fn OH_f(a: *const Options, told: Option<Told>, t: *mut *mut c_char,) -> c_int {}
        extern \"C\" fn SoftBus_g() {}"
        .to_owned()]);
    let options = "*const SoftBus_NodeOptions";
    let f = format!("fn({options}, {told}, *mut *mut c_char) -> i32");
    assert_eq!(rust.functions[0], ("OH_f".to_owned(), f));
    assert_eq!(
        rust.functions[1],
        ("SoftBus_g".to_owned(), "fn()".to_owned())
    );
    assert_eq!(rust.structs["SoftBus_NodeOptions"], c.structs["Made"]);
}
