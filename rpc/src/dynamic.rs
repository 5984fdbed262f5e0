//! Calls of interfaces whose source is not at hand: types and values as data.
//!
//! A [`Description`](crate::describe::Description) names the types of each method; [`Types`] understands the names, and
//! writes and reads [`Value`]s of them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use softbus_rpc::{CallOption, Parcel, dynamic::{Types, Value}, remote_interface};
//!
//! #[remote_interface(descriptor = "org.example.Adder")]
//! trait Adder {
//!     async fn add(&self, a: i32, b: i32) -> i32;
//! }
//! # struct Simple;
//! # impl Adder for Simple { async fn add(&self, a: i32, b: i32) -> i32 { a + b } }
//! # let object = AdderStub::new(Simple).into_object();
//!
//! let description = object.describe(CallOption::two_way()).await?;
//! let add = &description.methods[0];
//! assert_eq!(add.name, "add");
//!
//! let mut types = Types::default();
//! let mut data = Parcel::new();
//! for (argument, number) in add.arguments.iter().zip([2, 3]) {
//!     let argument = types.parse(&argument.type_name);
//!     types.write(&argument, &Value::Signed(number), &mut data)?;
//! }
//! let mut reply = object.send_request(add.code, &data, CallOption::two_way()).await?;
//! let result = types.parse(&add.result);
//! assert_eq!(types.read(&result, &mut reply)?, Value::Signed(5));
//! # Ok(()) }
//! ```

mod codec;
mod parser;
mod stream;

pub use codec::WriteValueError;
pub use stream::ValueStream;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::RemoteObject;

/// A type of a value in a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// Nothing.
    Unit,
    /// `true` or `false`.
    Bool,
    /// A number: signed or not, of so many bits.
    Integer {
        /// Whether it may be below 0.
        signed: bool,
        /// 8, 16, 32 or 64.
        bits: u8,
    },
    /// A floating point number of 32 bits.
    F32,
    /// A floating point number of 64 bits.
    F64,
    /// One character.
    Char,
    /// Text.
    String,
    /// A time span.
    Duration,
    /// A value or none.
    Option(Box<Self>),
    /// A value or an error.
    Result(Box<Self>, Box<Self>),
    /// Values.
    Vec(Box<Self>),
    /// So many values.
    Array(Box<Self>, usize),
    /// Keys and values.
    Map(Box<Self>, Box<Self>),
    /// Values of several types.
    Tuple(Vec<Self>),
    /// A derived struct or enum: [`Types::definition`].
    Defined(DefinitionId),
    /// An object with this interface, or any object.
    Object(Option<String>),
    /// A stream.
    Stream(Box<Self>),
    /// A type with an encoding of its own, of which only the name is known.
    Opaque(String),
}

/// A definition among the [`Types`] that gave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionId(usize);

/// A derived type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Definition {
    /// What it is called.
    pub name: String,
    /// What it holds.
    pub body: Body,
}

/// What a derived type holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Fields.
    Struct(Fields),
    /// One of these.
    Enum(Vec<Variant>),
}

/// One variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variant {
    /// Its number on the wire.
    pub tag: i32,
    /// What it is called. Each value shares it.
    pub name: Arc<str>,
    /// What it holds.
    pub fields: Fields,
}

/// Fields of a struct or of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fields {
    /// None.
    Unit,
    /// Without names.
    Tuple(Vec<Type>),
    /// With names, which each value shares.
    Named(Vec<(Arc<str>, Type)>),
}

/// A value, of whichever type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing: of `()`, and of fields that are none.
    Unit,
    /// Of `bool`.
    Bool(bool),
    /// Of a signed number.
    Signed(i64),
    /// Of an unsigned number.
    Unsigned(u64),
    /// Of `f32` and `f64`.
    Float(f64),
    /// Of `char`.
    Char(char),
    /// Of a string.
    String(String),
    /// Of `Vec<u8>` and `[u8; N]`.
    Bytes(Bytes),
    /// Of a time span.
    Duration(Duration),
    /// Of an option.
    Option(Option<Box<Self>>),
    /// Of a result.
    Result(Result<Box<Self>, Box<Self>>),
    /// Of a vector or an array of anything but bytes.
    List(Vec<Self>),
    /// Of a map.
    Map(Vec<(Self, Self)>),
    /// Of a tuple, and of fields without names.
    Tuple(Vec<Self>),
    /// Of fields with names.
    Struct(Vec<(Arc<str>, Self)>),
    /// Of an enum: the variant's name, and its fields.
    Variant(Arc<str>, Box<Self>),
    /// An object.
    Object(RemoteObject),
}

/// The types of a description, with their definitions.
#[derive(Clone, Debug, Default)]
pub struct Types {
    definitions: Vec<Definition>,
}

impl Types {
    /// The type with this name, as [`Parcelable::type_name`](crate::Parcelable::type_name) makes it. Whatever cannot be
    /// understood is [`Type::Opaque`]; so is what has a name of more than 256 bytes, more than 4,096 fields or variants
    /// in one definition, or more than 64 levels: a peer may have sent it.
    pub fn parse(&mut self, name: &str) -> Type {
        parser::parse(name, &mut self.definitions)
    }

    /// What a derived type is.
    pub fn definition(&self, id: DefinitionId) -> Option<&Definition> {
        self.definitions.get(id.0)
    }

    /// All derived types, in the order in which they were first mentioned. One that several names mention comes once
    /// for each.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// A type as Rust would write it: derived ones by their names alone.
    pub fn display<'a>(&'a self, of: &'a Type) -> impl fmt::Display + 'a {
        Named { types: self, of }
    }
}

struct Named<'a> {
    types: &'a Types,
    of: &'a Type,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |of| Named {
            types: self.types,
            of,
        };
        match self.of {
            Type::Unit => f.write_str("()"),
            Type::Bool => f.write_str("bool"),
            Type::Integer { signed, bits } => {
                write!(f, "{}{bits}", if *signed { "i" } else { "u" })
            }
            Type::F32 => f.write_str("f32"),
            Type::F64 => f.write_str("f64"),
            Type::Char => f.write_str("char"),
            Type::String => f.write_str("String"),
            Type::Duration => f.write_str("Duration"),
            Type::Option(of) => write!(f, "Option<{}>", named(of)),
            Type::Result(value, error) => write!(f, "Result<{}, {}>", named(value), named(error)),
            Type::Vec(of) => write!(f, "Vec<{}>", named(of)),
            Type::Array(of, len) => write!(f, "[{}; {len}]", named(of)),
            Type::Map(key, value) => write!(f, "Map<{}, {}>", named(key), named(value)),
            Type::Tuple(types) => {
                f.write_str("(")?;
                for (place, of) in types.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", named(of))?;
                }
                f.write_str(if types.len() == 1 { ",)" } else { ")" })
            }
            Type::Defined(id) => match self.types.definition(*id) {
                Some(definition) => f.write_str(&definition.name),
                None => f.write_str("?"),
            },
            Type::Object(None) => f.write_str("RemoteObject"),
            Type::Object(Some(descriptor)) => write!(f, "Remote<{descriptor}>"),
            Type::Stream(of) => write!(f, "Stream<{}>", named(of)),
            Type::Opaque(name) => f.write_str(name),
        }
    }
}
