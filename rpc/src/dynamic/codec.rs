//! Values into parcels and out of them, as the typed forms have it.

use std::fmt::Display;

use bytes::Bytes;

use super::{Body, Definition, DefinitionId, Fields, Type, Types, Value};
use crate::{
    Parcel,
    parcel::{Marshal, Parcelable, ReadParcelError, WriteParcelError},
};

/// The most values that one read gives, whatever the parcel holds.
const MAX_VALUES: usize = 1024 * 1024;
/// So many values may be read from no bytes at all, as those of `()` are; and one more for each byte. The least that
/// takes bytes takes four, so that there are enough for what it is wrapped in. What a parcel makes us hold is thus a
/// small multiple of its size.
const EMPTY_VALUES: usize = 16 * 1024;

/// Why a value was not written. The parcel is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteValueError {
    /// The value is not of the type.
    #[error("{at}: not of type {expected}")]
    Mismatch {
        /// Where in the value: names of fields and numbers of elements.
        at: String,
        /// The type there.
        expected: String,
    },
    /// Values of this type cannot be written without the source of the interface: a stream, or a type with an encoding
    /// of its own.
    #[error("{at}: a {name} cannot be written")]
    Inexpressible {
        /// Where in the value.
        at: String,
        /// The type.
        name: String,
    },
    /// The parcel did not take it.
    #[error(transparent)]
    Parcel(#[from] WriteParcelError),
}

impl Types {
    /// Appends a value of a type, all of it or nothing.
    ///
    /// # Errors
    /// [`WriteValueError`]; nothing is written.
    pub fn write(
        &self,
        of: &Type,
        value: &Value,
        parcel: &mut Parcel,
    ) -> Result<(), WriteValueError> {
        self.check(of, value, "value")?;
        let written = parcel.write(&Typed {
            types: self,
            of,
            value,
        });
        Ok(written?)
    }

    /// Reads a value of a type.
    ///
    /// # Errors
    /// [`ReadParcelError`]; the cursor stays. [`InvalidValue`](ReadParcelError::InvalidValue) for a stream, or a type
    /// with an encoding of its own, and for more values than 16,384 and one for each byte that is left, or than 1,048,576:
    /// values of some types take no bytes.
    pub fn read(&self, of: &Type, parcel: &mut Parcel) -> Result<Value, ReadParcelError> {
        let start = parcel.read_position();
        let mut reader = Reader {
            types: self,
            left: (EMPTY_VALUES + parcel.readable_bytes()).min(MAX_VALUES),
        };
        reader.value(of, parcel).inspect_err(|_| {
            // Back to a position that this parcel has given.
            let _ = parcel.rewind_read(start);
        })
    }

    fn body(&self, id: DefinitionId) -> Option<&Definition> {
        self.definition(id)
    }

    fn check(&self, of: &Type, value: &Value, at: &str) -> Result<(), WriteValueError> {
        let below = |what: &dyn Display| format!("{at}.{what}");
        let fits = match (of, value) {
            (Type::Stream(_) | Type::Opaque(_), _) => {
                return Err(WriteValueError::Inexpressible {
                    at: at.to_owned(),
                    name: self.display(of).to_string(),
                });
            }
            (Type::Integer { signed: true, bits }, Value::Signed(number)) => {
                number >> (bits - 1) == 0 || number >> (bits - 1) == -1
            }
            (
                Type::Integer {
                    signed: false,
                    bits,
                },
                Value::Unsigned(number),
            ) => *bits == 64 || number >> bits == 0,
            (Type::Option(of), Value::Option(value)) => match value {
                None => true,
                Some(value) => return self.check(of, value, at),
            },
            (Type::Result(of, _), Value::Result(Ok(value)))
            | (Type::Result(_, of), Value::Result(Err(value))) => return self.check(of, value, at),
            (Type::Vec(of), Value::Bytes(_)) => is_byte(of),
            (Type::Array(of, len), Value::Bytes(bytes)) => is_byte(of) && bytes.len() == *len,
            (Type::Vec(of), Value::List(values)) if !is_byte(of) => {
                return values
                    .iter()
                    .enumerate()
                    .try_for_each(|(place, value)| self.check(of, value, &below(&place)));
            }
            (Type::Array(of, len), Value::List(values)) if !is_byte(of) && values.len() == *len => {
                return values
                    .iter()
                    .enumerate()
                    .try_for_each(|(place, value)| self.check(of, value, &below(&place)));
            }
            (Type::Map(key_of, of), Value::Map(values)) => {
                return values
                    .iter()
                    .enumerate()
                    .try_for_each(|(place, (key, value))| {
                        self.check(key_of, key, &below(&place))?;
                        self.check(of, value, &below(&place))
                    });
            }
            (Type::Tuple(types), Value::Tuple(_)) => {
                return self.check_fields(&Fields::Tuple(types.clone()), value, of, at);
            }
            (Type::Defined(id), value) => match (self.body(*id).map(|found| &found.body), value) {
                (Some(Body::Struct(fields)), value) => {
                    return self.check_fields(fields, value, of, at);
                }
                (Some(Body::Enum(variants)), Value::Variant(name, value)) => {
                    match variants.iter().find(|variant| variant.name == *name) {
                        Some(variant) => {
                            return self.check_fields(&variant.fields, value, of, &below(name));
                        }
                        None => false,
                    }
                }
                _ => false,
            },
            (Type::Unit, Value::Unit)
            | (Type::Bool, Value::Bool(_))
            | (Type::F32 | Type::F64, Value::Float(_))
            | (Type::Char, Value::Char(_))
            | (Type::String, Value::String(_))
            | (Type::Duration, Value::Duration(_))
            | (Type::Object(_), Value::Object(_)) => true,
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(WriteValueError::Mismatch {
                at: at.to_owned(),
                expected: self.display(of).to_string(),
            })
        }
    }

    fn check_fields(
        &self,
        fields: &Fields,
        value: &Value,
        of: &Type,
        at: &str,
    ) -> Result<(), WriteValueError> {
        match (fields, value) {
            (Fields::Unit, Value::Unit) => return Ok(()),
            (Fields::Tuple(types), Value::Tuple(values)) if types.len() == values.len() => {
                return types.iter().zip(values).enumerate().try_for_each(
                    |(place, (of, value))| self.check(of, value, &format!("{at}.{place}")),
                );
            }
            (Fields::Named(types), Value::Struct(values))
                if types
                    .iter()
                    .map(|(name, _)| name)
                    .eq(values.iter().map(|(name, _)| name)) =>
            {
                return types
                    .iter()
                    .zip(values)
                    .try_for_each(|((name, of), (_, value))| {
                        self.check(of, value, &format!("{at}.{name}"))
                    });
            }
            _ => {}
        }
        Err(WriteValueError::Mismatch {
            at: at.to_owned(),
            expected: self.display(of).to_string(),
        })
    }
}

fn is_byte(of: &Type) -> bool {
    matches!(
        of,
        Type::Integer {
            signed: false,
            bits: 8
        }
    )
}

/// A value that was checked, with its type.
struct Typed<'a> {
    types: &'a Types,
    of: &'a Type,
    value: &'a Value,
}

const MISMATCH: WriteParcelError = WriteParcelError::InvalidValue("value of another type");

impl<'a> Typed<'a> {
    fn with(&self, of: &'a Type, value: &'a Value) -> Self {
        Self {
            types: self.types,
            of,
            value,
        }
    }

    fn fields(&self, fields: &'a Fields, value: &'a Value, parcel: &mut Parcel) -> Written {
        match (fields, value) {
            (Fields::Unit, _) => Ok(()),
            (Fields::Tuple(types), Value::Tuple(values)) => types
                .iter()
                .zip(values)
                .try_for_each(|(of, value)| self.with(of, value).marshal(parcel)),
            (Fields::Named(types), Value::Struct(values)) => types
                .iter()
                .zip(values)
                .try_for_each(|((_, of), (_, value))| self.with(of, value).marshal(parcel)),
            _ => Err(MISMATCH),
        }
    }

    fn list(&self, of: &'a Type, values: &'a [Value], parcel: &mut Parcel) -> Written {
        /// All of one kind, which pack better than one by one.
        fn packed<'a, T>(values: &'a [Value], get: impl Fn(&'a Value) -> Option<T>) -> Vec<T> {
            values.iter().filter_map(get).collect()
        }
        let signed = |value: &Value| match value {
            Value::Signed(number) => Some(*number),
            _ => None,
        };
        match of {
            Type::Bool => parcel.write(&packed(values, |value| match value {
                Value::Bool(value) => Some(*value),
                _ => None,
            })),
            Type::Integer {
                signed: true,
                bits: 8,
            } => parcel.write(&packed(values, |value| signed(value).map(|n| n as i8))),
            Type::Integer {
                signed: true,
                bits: 16,
            } => parcel.write(&packed(values, |value| signed(value).map(|n| n as i16))),
            Type::Integer {
                signed: false,
                bits: 16,
            } => parcel.write(&packed(values, |value| match value {
                Value::Unsigned(number) => Some(*number as u16),
                _ => None,
            })),
            of => {
                parcel.write_sequence(values, |parcel, value| self.with(of, value).marshal(parcel))
            }
        }
    }

    fn defined(&self, definition: &'a Definition, parcel: &mut Parcel) -> Written {
        parcel.write_nested(|parcel| match (&definition.body, self.value) {
            (Body::Struct(fields), value) => self.fields(fields, value, parcel),
            (Body::Enum(variants), Value::Variant(name, value)) => {
                let variant = variants.iter().find(|variant| variant.name == *name);
                let variant = variant.ok_or(MISMATCH)?;
                parcel.write_i32(variant.tag)?;
                self.fields(&variant.fields, value, parcel)
            }
            _ => Err(MISMATCH),
        })
    }
}

type Written = Result<(), WriteParcelError>;

impl Marshal for Typed<'_> {
    fn marshal(&self, parcel: &mut Parcel) -> Written {
        match (self.of, self.value) {
            (Type::Unit, _) => Ok(()),
            (Type::Bool, Value::Bool(value)) => parcel.write_bool(*value),
            // In a parcel all small numbers are of 32 bits, and it was checked that this one is in range.
            (Type::Integer { bits: 64, .. }, Value::Signed(value)) => parcel.write_i64(*value),
            (Type::Integer { bits: 64, .. }, Value::Unsigned(value)) => parcel.write_u64(*value),
            (Type::Integer { .. }, Value::Signed(value)) => parcel.write_i32(*value as i32),
            (Type::Integer { .. }, Value::Unsigned(value)) => parcel.write_u32(*value as u32),
            (Type::F32, Value::Float(value)) => parcel.write_f32(*value as f32),
            (Type::F64, Value::Float(value)) => parcel.write_f64(*value),
            (Type::Char, Value::Char(value)) => value.marshal(parcel),
            (Type::String, Value::String(value)) => parcel.write_string(value),
            (Type::Duration, Value::Duration(value)) => value.marshal(parcel),
            (Type::Option(_), Value::Option(None)) => parcel.write_i32(0),
            (Type::Option(of), Value::Option(Some(value))) => {
                parcel.write_i32(1)?;
                self.with(of, value).marshal(parcel)
            }
            (Type::Result(of, _), Value::Result(Ok(value))) => {
                parcel.write_i32(0)?;
                self.with(of, value).marshal(parcel)
            }
            (Type::Result(_, of), Value::Result(Err(value))) => {
                parcel.write_i32(1)?;
                self.with(of, value).marshal(parcel)
            }
            (Type::Vec(_), Value::Bytes(bytes)) => bytes.marshal(parcel),
            (Type::Array(..), Value::Bytes(bytes)) => parcel.write_buffer(bytes),
            (Type::Vec(of), Value::List(values)) => self.list(of, values, parcel),
            (Type::Array(of, _), Value::List(values)) => values
                .iter()
                .try_for_each(|value| self.with(of, value).marshal(parcel)),
            (Type::Map(key_of, of), Value::Map(values)) => {
                parcel.write_sequence(values, |parcel, (key, value)| {
                    self.with(key_of, key).marshal(parcel)?;
                    self.with(of, value).marshal(parcel)
                })
            }
            (Type::Tuple(types), Value::Tuple(values)) => types
                .iter()
                .zip(values)
                .try_for_each(|(of, value)| self.with(of, value).marshal(parcel)),
            (Type::Defined(id), _) => match self.types.definition(*id) {
                Some(definition) => self.defined(definition, parcel),
                None => Err(MISMATCH),
            },
            (Type::Object(_), Value::Object(object)) => parcel.write_remote_object(object),
            _ => Err(MISMATCH),
        }
    }
}

struct Reader<'a> {
    types: &'a Types,
    /// How many more values.
    left: usize,
}

type Read = Result<Value, ReadParcelError>;

impl Reader<'_> {
    fn value(&mut self, of: &Type, parcel: &mut Parcel) -> Read {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(ReadParcelError::InvalidValue("too many values"))?;
        let invalid = |what| Err(ReadParcelError::InvalidValue(what));
        Ok(match of {
            Type::Unit => Value::Unit,
            Type::Bool => Value::Bool(parcel.read_bool()?),
            Type::Integer { signed, bits } => integer(*signed, *bits, parcel)?,
            Type::F32 => Value::Float(parcel.read_f32()?.into()),
            Type::F64 => Value::Float(parcel.read_f64()?),
            Type::Char => Value::Char(parcel.read()?),
            Type::String => Value::String(parcel.read()?),
            Type::Duration => Value::Duration(parcel.read()?),
            Type::Option(of) => Value::Option(match tag(parcel)? {
                false => None,
                true => Some(Box::new(self.value(of, parcel)?)),
            }),
            Type::Result(of, error) => Value::Result(match tag(parcel)? {
                false => Ok(Box::new(self.value(of, parcel)?)),
                true => Err(Box::new(self.value(error, parcel)?)),
            }),
            Type::Vec(of) if is_byte(of) => Value::Bytes(parcel.read()?),
            Type::Array(of, len) if is_byte(of) => {
                Value::Bytes(Bytes::copy_from_slice(parcel.read_buffer(*len)?))
            }
            Type::Vec(of) => Value::List(self.list(of, parcel)?),
            Type::Array(of, len) => {
                let values = (0..*len).map(|_| self.value(of, parcel));
                Value::List(values.collect::<Result<_, _>>()?)
            }
            Type::Map(key, of) => {
                Value::Map(parcel.read_sequence(|parcel| {
                    Ok((self.value(key, parcel)?, self.value(of, parcel)?))
                })?)
            }
            Type::Tuple(types) => {
                let values = types.iter().map(|of| self.value(of, parcel));
                Value::Tuple(values.collect::<Result<_, _>>()?)
            }
            Type::Defined(id) => match self.types.definition(*id) {
                Some(definition) => {
                    parcel.read_nested(|parcel| self.defined(definition, parcel))?
                }
                None => return invalid("unknown type"),
            },
            Type::Object(_) => Value::Object(parcel.read_remote_object()?),
            Type::Stream(_) => return invalid("stream"),
            Type::Opaque(_) => return invalid("type with an encoding of its own"),
        })
    }

    fn list(&mut self, of: &Type, parcel: &mut Parcel) -> Result<Vec<Value>, ReadParcelError> {
        fn packed<T: Parcelable>(
            parcel: &mut Parcel,
            value: impl Fn(T) -> Value,
        ) -> Result<Vec<Value>, ReadParcelError> {
            Ok(parcel.read::<Vec<T>>()?.into_iter().map(value).collect())
        }
        match of {
            Type::Bool => packed(parcel, Value::Bool),
            Type::Integer {
                signed: true,
                bits: 8,
            } => packed(parcel, |number: i8| Value::Signed(number.into())),
            Type::Integer {
                signed: true,
                bits: 16,
            } => packed(parcel, |number: i16| Value::Signed(number.into())),
            Type::Integer {
                signed: false,
                bits: 16,
            } => packed(parcel, |number: u16| Value::Unsigned(number.into())),
            of => parcel.read_sequence(|parcel| self.value(of, parcel)),
        }
    }

    fn defined(&mut self, definition: &Definition, parcel: &mut Parcel) -> Read {
        match &definition.body {
            Body::Struct(fields) => self.fields(fields, parcel),
            Body::Enum(variants) => {
                let value = parcel.read_i32()?;
                let variant = variants.iter().find(|variant| variant.tag == value);
                let variant = variant.ok_or(ReadParcelError::InvalidTag { value })?;
                let fields = self.fields(&variant.fields, parcel)?;
                Ok(Value::Variant(variant.name.clone(), Box::new(fields)))
            }
        }
    }

    fn fields(&mut self, fields: &Fields, parcel: &mut Parcel) -> Read {
        Ok(match fields {
            Fields::Unit => Value::Unit,
            Fields::Tuple(types) => {
                let values = types.iter().map(|of| self.value(of, parcel));
                Value::Tuple(values.collect::<Result<_, _>>()?)
            }
            Fields::Named(types) => {
                let values = types
                    .iter()
                    .map(|(name, of)| Ok((name.clone(), self.value(of, parcel)?)));
                Value::Struct(values.collect::<Result<_, _>>()?)
            }
        })
    }
}

fn integer(signed: bool, bits: u8, parcel: &mut Parcel) -> Read {
    Ok(match (signed, bits) {
        (true, 8) => Value::Signed(parcel.read_i8()?.into()),
        (true, 16) => Value::Signed(parcel.read_i16()?.into()),
        (true, 32) => Value::Signed(parcel.read_i32()?.into()),
        (true, _) => Value::Signed(parcel.read_i64()?),
        (false, 8) => Value::Unsigned(parcel.read_u8()?.into()),
        (false, 16) => Value::Unsigned(parcel.read_u16()?.into()),
        (false, 32) => Value::Unsigned(parcel.read_u32()?.into()),
        (false, _) => Value::Unsigned(parcel.read_u64()?),
    })
}

fn tag(parcel: &mut Parcel) -> Result<bool, ReadParcelError> {
    match parcel.read_i32()? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(ReadParcelError::InvalidTag { value }),
    }
}
