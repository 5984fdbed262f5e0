//! From the name of a type to what it is. A name may come from anybody: nothing in it makes this recurse or allocate
//! without bounds.

use std::{collections::HashSet, sync::Arc};

use super::{Body, Definition, DefinitionId, Fields, Type, Variant};

/// How deep types may nest in a name: no value that is deeper could be read.
const MAX_NESTING: usize = 64;
/// The longest name of a definition, field or variant, in bytes: it comes back with each value.
const MAX_NAME: usize = 256;
/// The most fields, elements of a tuple or variants of one definition: a value's variant is looked for among them.
const MAX_MEMBERS: usize = 4096;
/// The most elements of an array.
const MAX_ARRAY: usize = 1024 * 1024;

/// The type, or an opaque one with this name.
pub(super) fn parse(name: &str, definitions: &mut Vec<Definition>) -> Type {
    let known = definitions.len();
    let mut parser = Parser {
        rest: name,
        definitions,
        mentioned: Vec::new(),
        inside: 0,
        depth: 0,
    };
    match parser.any() {
        Some(found) if parser.rest.is_empty() => found,
        _ => {
            definitions.truncate(known);
            Type::Opaque(name.to_owned())
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    definitions: &'a mut Vec<Definition>,
    /// The derived types of the outermost one that is being read, in the order of their first mention.
    mentioned: Vec<DefinitionId>,
    /// In how many definitions we are.
    inside: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Option<Type> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return None;
        }
        let found = self.one()?;
        self.depth -= 1;
        Some(found)
    }

    fn one(&mut self) -> Option<Type> {
        if self.eat("()") {
            return Some(Type::Unit);
        }
        if self.eat("(") {
            return Some(Type::Tuple(self.list(")")?));
        }
        if self.eat("[") {
            let of = self.any()?;
            self.expect("; ")?;
            let len = self.number().filter(|len| *len <= MAX_ARRAY)?;
            self.expect("]")?;
            return Some(Type::Array(Box::new(of), len));
        }
        if self.eat("#") {
            let number: usize = self.number()?;
            return self.mentioned.get(number).copied().map(Type::Defined);
        }
        let name = self.word()?;
        match self.rest.chars().next() {
            Some('<') => self.generic(name),
            Some('{' | '(' | '[') => self.defined(name),
            _ => Some(plain(name)),
        }
    }

    fn generic(&mut self, name: &str) -> Option<Type> {
        self.expect("<")?;
        if name == "Remote" {
            let (descriptor, rest) = self.rest.split_once('>')?;
            self.rest = rest;
            return Some(Type::Object(Some(descriptor.to_owned())));
        }
        let first = Box::new(self.any()?);
        let found = match name {
            "Option" => Type::Option(first),
            "Vec" => Type::Vec(first),
            "Stream" => Type::Stream(first),
            "Result" | "Map" => {
                self.expect(", ")?;
                let second = Box::new(self.any()?);
                if name == "Map" {
                    Type::Map(first, second)
                } else {
                    Type::Result(first, second)
                }
            }
            _ => return None,
        };
        self.expect(">")?;
        Some(found)
    }

    fn defined(&mut self, name: &str) -> Option<Type> {
        if name.len() > MAX_NAME {
            return None;
        }
        let id = DefinitionId(self.definitions.len());
        self.definitions.push(Definition {
            name: name.to_owned(),
            body: Body::Struct(Fields::Unit),
        });
        self.mentioned.push(id);
        self.inside += 1;
        let body = if self.eat("[") {
            Body::Enum(self.variants()?)
        } else {
            Body::Struct(self.fields()?)
        };
        self.inside -= 1;
        if self.inside == 0 {
            self.mentioned.clear();
        }
        self.definitions[id.0].body = body;
        Some(Type::Defined(id))
    }

    fn variants(&mut self) -> Option<Vec<Variant>> {
        let mut variants = Vec::new();
        // A value says by name which one it is, and on the wire by number.
        let (mut names, mut tags) = (HashSet::new(), HashSet::new());
        while !self.eat("]") {
            if !variants.is_empty() {
                self.expect(", ")?;
            }
            let tag = self.number()?;
            self.expect(" ")?;
            let name = self.name()?;
            let fields = self.fields()?;
            let new = names.insert(Arc::clone(&name)) && tags.insert(tag);
            if !new || variants.len() == MAX_MEMBERS {
                return None;
            }
            variants.push(Variant { tag, name, fields });
        }
        Some(variants)
    }

    fn fields(&mut self) -> Option<Fields> {
        if self.eat("(") {
            return Some(Fields::Tuple(self.list(")")?));
        }
        if !self.eat("{") {
            return Some(Fields::Unit);
        }
        let mut fields = Vec::new();
        while !self.eat("}") {
            if !fields.is_empty() {
                self.expect(", ")?;
            }
            let name = self.name()?;
            self.expect(": ")?;
            if fields.len() == MAX_MEMBERS {
                return None;
            }
            fields.push((name, self.any()?));
        }
        Some(if fields.is_empty() {
            Fields::Unit
        } else {
            Fields::Named(fields)
        })
    }

    fn list(&mut self, close: &str) -> Option<Vec<Type>> {
        let mut types = Vec::new();
        while !self.eat(close) {
            if !types.is_empty() {
                self.expect(", ")?;
            }
            if types.len() == MAX_MEMBERS {
                return None;
            }
            types.push(self.any()?);
        }
        Some(types)
    }

    /// Of a field or variant.
    fn name(&mut self) -> Option<Arc<str>> {
        self.word()
            .filter(|name| name.len() <= MAX_NAME)
            .map(Arc::from)
    }

    fn word(&mut self) -> Option<&'a str> {
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn number<N: std::str::FromStr>(&mut self) -> Option<N> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_digit() || c == '-'))
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse().ok()
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, text: &str) -> Option<()> {
        self.eat(text).then_some(())
    }
}

fn plain(name: &str) -> Type {
    let integer = |signed, bits| Type::Integer { signed, bits };
    match name {
        "bool" => Type::Bool,
        "i8" => integer(true, 8),
        "i16" => integer(true, 16),
        "i32" => integer(true, 32),
        "i64" => integer(true, 64),
        "u8" => integer(false, 8),
        "u16" => integer(false, 16),
        "u32" => integer(false, 32),
        "u64" => integer(false, 64),
        "f32" => Type::F32,
        "f64" => Type::F64,
        "char" => Type::Char,
        "String" => Type::String,
        "Duration" => Type::Duration,
        "RemoteObject" => Type::Object(None),
        other => Type::Opaque(other.to_owned()),
    }
}
