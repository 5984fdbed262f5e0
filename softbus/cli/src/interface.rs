//! A described interface as people read it.

use softbus::{
    certs::escape_untrusted,
    rpc::{
        describe::{Description, MethodDescription},
        dynamic::{Body, Definition, Fields, Type, Types},
    },
};

/// The most characters of one name that a peer chose.
const MAX_NAME: usize = 200;

/// An interface, and the types that its methods use.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) description: Description,
    pub(crate) types: Types,
    pub(crate) methods: Vec<Method>,
}

/// A method with its types.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) code: u32,
    pub(crate) name: String,
    pub(crate) arguments: Vec<(String, Type)>,
    pub(crate) result: Type,
}

impl Interface {
    pub(crate) fn new(description: Description) -> Self {
        let mut types = Types::default();
        let methods = description
            .methods
            .iter()
            .map(|method| Method {
                code: method.code,
                name: method.name.clone(),
                arguments: method
                    .arguments
                    .iter()
                    .map(|argument| (argument.name.clone(), types.parse(&argument.type_name)))
                    .collect(),
                result: types.parse(&method.result),
            })
            .collect();
        Self {
            description,
            types,
            methods,
        }
    }

    /// `name(a: A, b: B) -> R`, harmless.
    pub(crate) fn signature(&self, method: &Method) -> String {
        let named = |(name, of): &(String, Type)| format!("{name}: {}", self.types.display(of));
        let arguments: Vec<_> = method.arguments.iter().map(named).collect();
        let mut text = format!("{}({})", method.name, arguments.join(", "));
        if method.result != Type::Unit {
            text += &format!(" -> {}", self.types.display(&method.result));
        }
        escape_untrusted(&text, usize::MAX)
    }

    /// All of it, line by line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let descriptor = escape_untrusted(&self.description.descriptor, MAX_NAME);
        let mut lines = vec![format!("interface {descriptor} {{")];
        let rows: Vec<_> = self
            .methods
            .iter()
            .zip(&self.description.methods)
            .map(|(method, description)| {
                let code = method.code.to_string();
                (code, self.signature(method) + ";", notes(description))
            })
            .collect();
        let widest = |width: fn(&(String, String, String)) -> usize| {
            rows.iter().map(width).max().unwrap_or(0)
        };
        let codes = widest(|(code, _, _)| code.len());
        // One long line does not push the notes of all others out of sight.
        let signatures = widest(|(_, signature, _)| signature.chars().count()).min(60);
        for (code, signature, notes) in &rows {
            let line = format!("    {code:>codes$}  {signature:signatures$}  {notes}");
            lines.push(line.trim_end().to_owned());
        }
        lines.push("}".to_owned());
        for definition in self.definitions() {
            lines.push(String::new());
            lines.extend(definition.lines().map(ToOwned::to_owned));
        }
        lines
    }

    /// The definitions of derived types, each once.
    pub(crate) fn definitions(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for definition in self.types.definitions() {
            let text = self.definition(definition);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    fn definition(&self, definition: &Definition) -> String {
        let name = &definition.name;
        let text = match &definition.body {
            Body::Struct(Fields::Named(fields)) => {
                let mut text = format!("struct {name} {{\n");
                for (name, of) in fields {
                    text += &format!("    {name}: {},\n", self.types.display(of));
                }
                text + "}"
            }
            Body::Struct(fields) => format!("struct {name}{}", self.fields(fields)),
            Body::Enum(variants) => {
                let mut text = format!("enum {name} {{\n");
                for (place, variant) in variants.iter().enumerate() {
                    text += &format!("    {}{}", variant.name, self.fields(&variant.fields));
                    // As the compiler would count them, unless told otherwise.
                    if usize::try_from(variant.tag) != Ok(place) {
                        text += &format!(" = {}", variant.tag);
                    }
                    text += ",\n";
                }
                text + "}"
            }
            _ => format!("type {name}"),
        };
        text.lines()
            .map(|line| escape_untrusted(line, usize::MAX))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn fields(&self, fields: &Fields) -> String {
        match fields {
            Fields::Tuple(types) => {
                let types: Vec<_> = types
                    .iter()
                    .map(|of| self.types.display(of).to_string())
                    .collect();
                format!("({})", types.join(", "))
            }
            Fields::Named(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, of)| format!("{name}: {}", self.types.display(of)))
                    .collect();
                format!(" {{ {} }}", fields.join(", "))
            }
            _ => String::new(),
        }
    }
}

fn notes(method: &MethodDescription) -> String {
    let mut notes = Vec::new();
    if method.one_way {
        notes.push("one-way".to_owned());
    }
    if method.idempotent {
        notes.push("idempotent".to_owned());
    }
    if let Some(wait) = method.wait {
        notes.push(format!("waits {wait:?}"));
    }
    if notes.is_empty() {
        return String::new();
    }
    format!("// {}", notes.join(", "))
}
