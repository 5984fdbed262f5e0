//! `softbus call`

mod described;

use serde_json::{Value, json};
use softbus::{CallOption, Parcel, RemoteObject, certs::escape_untrusted};
use tokio::time::Instant;

use super::{Context, describe};
use crate::{
    args::{Argument, Call, CallArguments, MethodName, ReplyType},
    failure::Failure,
    node::{OnSignal, with_node},
};

pub(crate) async fn run(context: &Context<'_>, call: Call) -> Result<(), Failure> {
    with_node(context, OnSignal::Interrupted, async |node| {
        let deadline = Instant::now() + call.wait;
        let object = describe::get(context, node, &call.device, call.service, call.wait).await?;
        match call.method {
            MethodName::Code(code) if call.values.is_empty() => {
                by_code(context, &object, &call, code, deadline).await
            }
            _ => described::run(context, &object, &call, deadline).await,
        }
    })
    .await
}

async fn by_code(
    context: &Context<'_>,
    object: &RemoteObject,
    call: &Call,
    code: u32,
    deadline: Instant,
) -> Result<(), Failure> {
    let data = write(&call.arguments)?;
    let began = Instant::now();
    let mut reply = send(object, call, code, &data, deadline).await?;
    let elapsed = began.elapsed();
    let (values, left) = read(&mut reply, &call.reply)?;
    if !context.output.is_json() {
        return print(context, &values, left);
    }
    let reply: Vec<_> = values
        .iter()
        .map(|(kind, value)| json!({ "type": kind, "value": value }))
        .collect();
    context.output.object(&json!({
            "device": object.device().map(|device| device.to_string()), "service": call.service.get(), "code": code,
            "one_way": call.oneway, "reply": reply, "unread_bytes": left,
            "elapsed_ms": elapsed.as_secs_f64() * 1000.0,
        }))
}

fn write(arguments: &CallArguments) -> Result<Parcel, Failure> {
    let mut data = Parcel::new();
    data.raise_to_transport_limit();
    for argument in &arguments.0 {
        let written = match argument {
            Argument::I32(value) => data.write_i32(*value),
            Argument::I64(value) => data.write_i64(*value),
            Argument::Text(value) => data.write_string(value),
            Argument::Bool(value) => data.write_bool(*value),
        };
        written.map_err(|error| Failure::failed(format!("arguments: {error}")))?;
    }
    Ok(data)
}

async fn send(
    object: &RemoteObject,
    call: &Call,
    code: u32,
    data: &Parcel,
    deadline: Instant,
) -> Result<Parcel, Failure> {
    let option = if call.oneway {
        CallOption::one_way()
    } else {
        CallOption::two_way()
    };
    Ok(object
        .send_request(code, data, option.wait(describe::left(deadline)))
        .await?)
}

/// A value of the reply with the name of its type.
type NamedValue = (&'static str, Value);

/// The values of the reply, and how many bytes are left. Where no types are said, all bytes are a value, if there are any.
fn read(reply: &mut Parcel, types: &[ReplyType]) -> Result<(Vec<NamedValue>, usize), Failure> {
    let types = match types {
        [] if reply.data_size() > 0 => &[ReplyType::Hex],
        types => types,
    };
    let mut values = Vec::new();
    for (place, kind) in (1..).zip(types) {
        let value = match kind {
            ReplyType::I32 => reply.read_i32().map(|value| ("i32", value.into())),
            ReplyType::I64 => reply.read_i64().map(|value| ("i64", value.into())),
            ReplyType::Text => reply.read_string().map(|value| ("string", value.into())),
            ReplyType::Bool => reply.read_bool().map(|value| ("bool", value.into())),
            ReplyType::Hex => {
                let len = reply.readable_bytes();
                reply
                    .read_buffer(len)
                    .map(|bytes| ("hex", hex(bytes).into()))
            }
        };
        values.push(value.map_err(|error| {
            Failure::failed(format!("value {place} of the reply: {error}"))
                .hint("the reply holds something else; --reply hex shows its bytes")
        })?);
    }
    Ok((values, reply.readable_bytes()))
}

fn print(context: &Context<'_>, values: &[NamedValue], left: usize) -> Result<(), Failure> {
    for (_, value) in values {
        let text = match value {
            Value::String(text) => escape_untrusted(text, usize::MAX),
            other => other.to_string(),
        };
        context.output.line(&text)?;
    }
    if left > 0 {
        context.output.note(&format!(
            "{left} bytes of the reply were not read; --reply hex shows them"
        ));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
