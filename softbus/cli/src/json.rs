//! Values of described types as JSON, in both directions.

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Map, Number, Value as Json, json};
use softbus::rpc::dynamic::{Body, Fields, Type, Types, Value};

/// The value of an argument, as it stands on the command line: JSON, and where a text is wanted the text itself is good
/// enough.
pub(crate) fn argument(types: &Types, of: &Type, text: &str) -> Result<Value, String> {
    let json = match (of, serde_json::from_str::<Json>(text)) {
        (Type::String | Type::Char, Ok(json @ Json::String(_))) => json,
        (Type::String | Type::Char, _) => Json::String(text.to_owned()),
        (_, Ok(json)) => json,
        // A variant without fields, a number that JSON does not know, bytes.
        (Type::Defined(_) | Type::F32 | Type::F64 | Type::Vec(_) | Type::Array(..), Err(_)) => {
            Json::String(text.to_owned())
        }
        (_, Err(error)) => return Err(format!("no JSON: {error}")),
    };
    from_json(types, of, &json)
}

/// What a type looks like as JSON, for somebody who got it wrong.
pub(crate) fn form(types: &Types, of: &Type) -> String {
    match of {
        Type::Unit => "null".to_owned(),
        Type::Bool => "true or false".to_owned(),
        Type::Integer { .. } => format!("a number that fits {}", types.display(of)),
        Type::F32 | Type::F64 => r#"a number, "NaN", "Infinity" or "-Infinity""#.to_owned(),
        Type::Char => "a string of one character".to_owned(),
        Type::String => "a string".to_owned(),
        Type::Duration => "a number of seconds".to_owned(),
        Type::Option(of) => format!("null or {}", form(types, of)),
        Type::Result(..) => r#"{"Ok": ..} or {"Err": ..}"#.to_owned(),
        Type::Vec(of) | Type::Array(of, _) if is_byte(of) => {
            "a string in Base64, or a list of numbers up to 255".to_owned()
        }
        Type::Vec(_) => "a list".to_owned(),
        Type::Array(_, len) => format!("a list of {len}"),
        Type::Map(key, _) if **key == Type::String => "an object".to_owned(),
        Type::Map(..) => "a list of [key, value]".to_owned(),
        Type::Tuple(of) if of.len() == 1 => form(types, &of[0]),
        Type::Tuple(types) => format!("a list of {}", types.len()),
        Type::Defined(id) => match types.definition(*id).map(|found| &found.body) {
            Some(Body::Struct(fields)) => fields_form(fields),
            Some(Body::Enum(variants)) => {
                let forms: Vec<_> = variants
                    .iter()
                    .map(|variant| match &variant.fields {
                        Fields::Unit => format!("{:?}", variant.name),
                        fields => format!("{{{:?}: {}}}", variant.name, fields_form(fields)),
                    })
                    .collect();
                forms.join(" or ")
            }
            _ => "?".to_owned(),
        },
        other => format!("nothing: a {} cannot be written", types.display(other)),
    }
}

fn fields_form(fields: &Fields) -> String {
    match fields {
        Fields::Unit => "null".to_owned(),
        Fields::Tuple(types) if types.len() == 1 => "the value in it".to_owned(),
        Fields::Tuple(types) => format!("a list of {}", types.len()),
        Fields::Named(fields) => {
            let names: Vec<_> = fields
                .iter()
                .map(|(name, _)| format!("{name:?}: .."))
                .collect();
            format!("{{{}}}", names.join(", "))
        }
        _ => "?".to_owned(),
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

/// The value, or what would have been one.
fn from_json(types: &Types, of: &Type, json: &Json) -> Result<Value, String> {
    let within = |place: &dyn std::fmt::Display, of: &Type, json: &Json| {
        from_json(types, of, json).map_err(|error| format!("in {place}: {error}"))
    };
    let value = match (of, json) {
        (Type::Unit, Json::Null) => Some(Value::Unit),
        (Type::Bool, Json::Bool(value)) => Some(Value::Bool(*value)),
        (Type::Integer { signed: true, bits }, json) => integer::<i64>(json)
            .filter(|number| matches!(number >> (bits - 1), 0 | -1))
            .map(Value::Signed),
        (Type::Integer { bits, .. }, json) => integer::<u64>(json)
            .filter(|number| *bits == 64 || number >> bits == 0)
            .map(Value::Unsigned),
        (Type::F32 | Type::F64, json) => float(of, json).map(Value::Float),
        (Type::Char, Json::String(text)) => {
            let mut characters = text.chars();
            let first = characters.next().filter(|_| characters.next().is_none());
            first.map(Value::Char)
        }
        (Type::String, Json::String(text)) => Some(Value::String(text.clone())),
        (Type::Duration, json) => duration(json).map(Value::Duration),
        (Type::Option(_), Json::Null) => Some(Value::Option(None)),
        // What may be null itself is told from none.
        (Type::Option(inner), Json::Array(one)) if is_nullable(inner) && one.len() == 1 => Some(
            Value::Option(Some(Box::new(from_json(types, inner, &one[0])?))),
        ),
        (Type::Option(inner), json) if !is_nullable(inner) => {
            return Ok(Value::Option(Some(Box::new(from_json(
                types, inner, json,
            )?))));
        }
        (Type::Result(value, error), Json::Object(object)) if object.len() == 1 => {
            match (object.get("Ok"), object.get("Err")) {
                (Some(json), _) => Some(Value::Result(Ok(Box::new(within(&"Ok", value, json)?)))),
                (_, Some(json)) => Some(Value::Result(Err(Box::new(within(&"Err", error, json)?)))),
                _ => None,
            }
        }
        (Type::Vec(inner) | Type::Array(inner, _), json) if is_byte(inner) => {
            let fits = |bytes: &Vec<u8>| match of {
                Type::Array(_, len) => bytes.len() == *len,
                _ => true,
            };
            bytes(json)
                .filter(fits)
                .map(|bytes| Value::Bytes(bytes.into()))
        }
        (Type::Vec(inner), Json::Array(values)) => Some(Value::List(list(types, inner, values)?)),
        (Type::Array(inner, len), Json::Array(values)) if values.len() == *len => {
            Some(Value::List(list(types, inner, values)?))
        }
        (Type::Map(key, inner), Json::Object(object)) if **key == Type::String => {
            let entries = object
                .iter()
                .map(|(key, json)| Ok((Value::String(key.clone()), within(key, inner, json)?)));
            Some(Value::Map(entries.collect::<Result<_, String>>()?))
        }
        (Type::Map(key, inner), Json::Array(entries)) => {
            let pair = Type::Tuple(vec![(**key).clone(), (**inner).clone()]);
            let pairs = list(types, &pair, entries)?;
            let entries = pairs.into_iter().filter_map(|pair| match pair {
                Value::Tuple(pair) => <[Value; 2]>::try_from(pair)
                    .ok()
                    .map(<(Value, Value)>::from),
                _ => None,
            });
            Some(Value::Map(entries.collect()))
        }
        (Type::Tuple(inner), json) if inner.len() == 1 => {
            Some(Value::Tuple(vec![from_json(types, &inner[0], json)?]))
        }
        (Type::Tuple(inner), Json::Array(values)) if inner.len() == values.len() => {
            Some(tuple(types, inner, values)?)
        }
        (Type::Defined(id), json) => match types.definition(*id).map(|found| &found.body) {
            Some(Body::Struct(inner)) => fields(types, inner, json)?,
            Some(Body::Enum(variants)) => {
                let (name, inside) = match json {
                    Json::String(name) => (name, &Json::Null),
                    Json::Object(object) if object.len() == 1 => match object.iter().next() {
                        Some(entry) => entry,
                        None => return Err(wanted(types, of, json)),
                    },
                    _ => return Err(wanted(types, of, json)),
                };
                match variants.iter().find(|variant| *variant.name == **name) {
                    Some(variant) => fields(types, &variant.fields, inside)?
                        .map(|value| Value::Variant(variant.name.clone(), Box::new(value))),
                    None => None,
                }
            }
            _ => None,
        },
        _ => None,
    };
    value.ok_or_else(|| wanted(types, of, json))
}

fn wanted(types: &Types, of: &Type, json: &Json) -> String {
    let mut given = json.to_string();
    if given.chars().count() > 40 {
        given = given.chars().take(40).collect::<String>() + "..";
    }
    format!(
        "{given} is no {}, which is {}",
        types.display(of),
        form(types, of)
    )
}

fn is_nullable(of: &Type) -> bool {
    matches!(of, Type::Option(_) | Type::Unit)
}

fn list(types: &Types, of: &Type, values: &[Json]) -> Result<Vec<Value>, String> {
    let values = values.iter().enumerate().map(|(place, json)| {
        from_json(types, of, json).map_err(|error| format!("in element {place}: {error}"))
    });
    values.collect()
}

fn tuple(types: &Types, of: &[Type], values: &[Json]) -> Result<Value, String> {
    let values = of
        .iter()
        .zip(values)
        .enumerate()
        .map(|(place, (of, json))| {
            from_json(types, of, json).map_err(|error| format!("in element {place}: {error}"))
        });
    Ok(Value::Tuple(values.collect::<Result<_, _>>()?))
}

fn fields(types: &Types, of: &Fields, json: &Json) -> Result<Option<Value>, String> {
    Ok(match (of, json) {
        (Fields::Unit, Json::Null) => Some(Value::Unit),
        (Fields::Unit, Json::Object(object)) if object.is_empty() => Some(Value::Unit),
        (Fields::Tuple(inner), json) if inner.len() == 1 => {
            Some(Value::Tuple(vec![from_json(types, &inner[0], json)?]))
        }
        (Fields::Tuple(inner), Json::Array(values)) if inner.len() == values.len() => {
            Some(tuple(types, inner, values)?)
        }
        (Fields::Named(inner), Json::Object(object)) => {
            if let Some(unknown) = object
                .keys()
                .find(|key| !inner.iter().any(|(name, _)| **name == **key))
            {
                return Err(format!(
                    "there is no field {unknown:?}; it is {}",
                    fields_form(of)
                ));
            }
            let mut values = Vec::new();
            for (name, of) in inner {
                let json = match (object.get(&**name), of) {
                    (Some(json), _) => json,
                    (None, Type::Option(_)) => &Json::Null,
                    (None, _) => return Err(format!("field {name:?} is missing")),
                };
                let value = from_json(types, of, json);
                let value = value.map_err(|error| format!("in field {name:?}: {error}"))?;
                values.push((name.clone(), value));
            }
            Some(Value::Struct(values))
        }
        _ => None,
    })
}

/// A number, or one in a string: not every program's JSON has 64 bits.
fn integer<N: std::str::FromStr>(json: &Json) -> Option<N> {
    match json {
        Json::Number(number) => number.to_string().parse().ok(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn float(of: &Type, json: &Json) -> Option<f64> {
    let value = match json {
        Json::Number(number) => number.as_f64()?,
        Json::String(text) => match text.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return None,
        },
        _ => return None,
    };
    let fits = *of == Type::F64 || value.is_infinite() || !(value as f32).is_infinite();
    fits.then_some(value)
}

fn duration(json: &Json) -> Option<Duration> {
    match json {
        Json::Number(number) => Duration::try_from_secs_f64(number.as_f64()?).ok(),
        Json::Object(object) => {
            let part = |name| object.get(name).and_then(Json::as_u64);
            let nanos = u32::try_from(part("nanos")?).ok()?;
            (nanos < 1_000_000_000).then(|| Some(Duration::new(part("secs")?, nanos)))?
        }
        _ => None,
    }
}

fn bytes(json: &Json) -> Option<Vec<u8>> {
    match json {
        Json::String(text) => BASE64.decode(text.as_bytes()).ok(),
        Json::Array(values) => values
            .iter()
            .map(|value| u8::try_from(value.as_u64()?).ok())
            .collect(),
        _ => None,
    }
}

/// A value as JSON; `None` where there is an object in it.
pub(crate) fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Unit => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Signed(number) => (*number).into(),
        Value::Unsigned(number) => (*number).into(),
        Value::Float(value) => match Number::from_f64(*value) {
            Some(number) => Json::Number(number),
            None if value.is_nan() => "NaN".into(),
            None if *value > 0.0 => "Infinity".into(),
            None => "-Infinity".into(),
        },
        Value::Char(value) => value.to_string().into(),
        Value::String(text) => text.clone().into(),
        Value::Bytes(bytes) => BASE64.encode(bytes).into(),
        Value::Duration(value) => json!({ "secs": value.as_secs(), "nanos": value.subsec_nanos() }),
        Value::Option(None) => Json::Null,
        Value::Option(Some(value)) => match (&**value, to_json(value)?) {
            (Value::Option(_) | Value::Unit, json) => Json::Array(vec![json]),
            (_, json) => json,
        },
        Value::Result(Ok(value)) => json!({ "Ok": to_json(value)? }),
        Value::Result(Err(error)) => json!({ "Err": to_json(error)? }),
        Value::List(values) => values.iter().map(to_json).collect::<Option<_>>()?,
        // One value in parentheses is that value.
        Value::Tuple(values) if values.len() == 1 => to_json(&values[0])?,
        Value::Tuple(values) => values.iter().map(to_json).collect::<Option<_>>()?,
        Value::Map(entries)
            if entries
                .iter()
                .all(|(key, _)| matches!(key, Value::String(_))) =>
        {
            let entries = entries.iter().map(|(key, value)| match key {
                Value::String(key) => Some((key.clone(), to_json(value)?)),
                _ => None,
            });
            Json::Object(entries.collect::<Option<_>>()?)
        }
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| Some(Json::Array(vec![to_json(key)?, to_json(value)?])))
            .collect::<Option<_>>()?,
        Value::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| Some((name.to_string(), to_json(value)?)));
            Json::Object(fields.collect::<Option<Map<_, _>>>()?)
        }
        Value::Variant(name, fields) => match &**fields {
            Value::Unit => name.to_string().into(),
            fields => Json::Object(Map::from_iter([(name.to_string(), to_json(fields)?)])),
        },
        _ => return None,
    })
}
