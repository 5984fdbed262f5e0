//! `softbus call` of a method by its name, with arguments as JSON.

use serde_json::Value as Json;
use serde_json::json;
use softbus::{
    CallOption, Parcel, RemoteObject,
    certs::escape_untrusted,
    rpc::dynamic::{Type, Value, ValueStream},
};
use tokio::time::Instant;

use crate::{
    args::{Call, MethodName},
    command::{Context, describe},
    failure::{Failure, Kind},
    interface::{Interface, Method},
    json,
};

pub(super) async fn run(
    context: &Context<'_>,
    object: &RemoteObject,
    call: &Call,
    deadline: Instant,
) -> Result<(), Failure> {
    if !call.arguments.0.is_empty() || !call.reply.is_empty() {
        let message = "--i32, --string .. and --reply are for calls by code; a described method takes its arguments as JSON";
        return Err(
            Failure::new(Kind::Usage, message).hint("leave them out, or give the method's code")
        );
    }
    let interface = describe::describe(object, call.service, deadline).await?;
    let method = find(&interface, &call.method)?;
    let data = write(&interface, method, &call.values)?;
    let one_way = call.oneway || is_one_way(&interface, method);
    let option = if one_way {
        CallOption::one_way()
    } else {
        CallOption::two_way()
    };
    let began = Instant::now();
    let option = option.wait(describe::left(deadline));
    let mut reply = object.send_request(method.code, &data, option).await?;
    let elapsed = began.elapsed();
    let result = if one_way {
        None
    } else {
        match read(&interface, method, &mut reply)? {
            Answer::Value(value) => Some(value),
            Answer::Stream(stream) => return print_all(context, *stream).await,
        }
    };
    if !context.output.is_json() {
        return result.map_or(Ok(()), |value| print(context, &value));
    }
    let result = result.map(|value| expressed(&value)).transpose()?;
    context.output.object(&json!({
        "device": object.device().map(|device| device.to_string()), "service": call.service.get(),
        "method": method.name, "code": method.code, "one_way": one_way, "result": result,
        "elapsed_ms": elapsed.as_secs_f64() * 1000.0,
    }))
}

fn is_one_way(interface: &Interface, method: &Method) -> bool {
    let methods = &interface.description.methods;
    methods
        .iter()
        .any(|found| found.code == method.code && found.one_way)
}

fn find<'a>(interface: &'a Interface, name: &MethodName) -> Result<&'a Method, Failure> {
    let found = interface.methods.iter().find(|method| match name {
        MethodName::Code(code) => method.code == *code,
        MethodName::Name(name) => method.name == *name,
    });
    found.ok_or_else(|| {
        let descriptor = escape_untrusted(&interface.description.descriptor, 200);
        let message = format!("{descriptor} has no method {name}");
        let signatures = interface
            .methods
            .iter()
            .map(|method| interface.signature(method));
        let list: Vec<_> = signatures.collect();
        Failure::failed(message).hint(format!("it has: {}", list.join("\n               ")))
    })
}

fn write(interface: &Interface, method: &Method, values: &[String]) -> Result<Parcel, Failure> {
    let wrong = |message: String| {
        Failure::new(Kind::Usage, message).hint(format!("it is: {}", interface.signature(method)))
    };
    let name = escape_untrusted(&method.name, 200);
    if values.len() != method.arguments.len() {
        let wanted = method.arguments.len();
        return Err(wrong(format!(
            "{name} takes {wanted} arguments and not {}",
            values.len()
        )));
    }
    let mut data = Parcel::new();
    data.raise_to_transport_limit();
    for ((argument, of), text) in method.arguments.iter().zip(values) {
        let value = json::argument(&interface.types, of, text);
        let written = value.and_then(|value| {
            let written = interface.types.write(of, &value, &mut data);
            written.map_err(|error| error.to_string())
        });
        written.map_err(|error| {
            let text = format!("argument {argument} of {name}: {error}");
            wrong(escape_untrusted(&text, usize::MAX))
        })?;
    }
    Ok(data)
}

enum Answer {
    Value(Value),
    Stream(Box<ValueStream>),
}

fn read(interface: &Interface, method: &Method, reply: &mut Parcel) -> Result<Answer, Failure> {
    let types = &interface.types;
    let malformed = |error| {
        Failure::failed(format!("reply: {error}"))
            .hint("call the method by its code, with --reply hex, to see the bytes")
    };
    let stream = |of: &Type, reply: &mut Parcel| {
        let stream = types.read_stream(of, reply);
        stream
            .map(|stream| Answer::Stream(Box::new(stream)))
            .map_err(malformed)
    };
    match &method.result {
        Type::Stream(of) => return stream(of, reply),
        Type::Result(value, _) => {
            if let Type::Stream(of) = &**value
                && reply.readable_bytes() >= 4
            {
                let start = reply.read_position();
                if reply.read_i32() == Ok(0) {
                    return stream(of, reply);
                }
                // An error, which the type says how to read.
                let _ = reply.rewind_read(start);
            }
        }
        _ => {}
    }
    match types.read(&method.result, reply).map_err(malformed)? {
        Value::Result(Ok(value)) => Ok(Answer::Value(*value)),
        Value::Result(Err(error)) => {
            let error = expressed(&error)?.to_string();
            let message = format!("the service answered an error: {error}");
            Err(Failure::failed(escape_untrusted(&message, usize::MAX)))
        }
        value => Ok(Answer::Value(value)),
    }
}

fn expressed(value: &Value) -> Result<Json, Failure> {
    json::to_json(value).ok_or_else(|| {
        Failure::failed("the result holds an object, which only a program can use")
            .hint("write one with the softbus crate")
    })
}

fn print(context: &Context<'_>, value: &Value) -> Result<(), Failure> {
    match value {
        Value::Unit => Ok(()),
        Value::String(text) => context.output.line(&escape_untrusted(text, usize::MAX)),
        value => context.output.object(&expressed(value)?),
    }
}

/// Each item as it comes, until the stream ends or the user has enough.
async fn print_all(context: &Context<'_>, mut stream: ValueStream) -> Result<(), Failure> {
    while let Some(item) = stream.next().await {
        let item = item.map_err(|error| {
            let message = format!("the stream ended: {error}");
            Failure::failed(escape_untrusted(&message, 1000))
        })?;
        if context.output.is_json() {
            context
                .output
                .object(&json!({ "item": expressed(&item)? }))?;
        } else {
            print(context, &item)?;
        }
    }
    Ok(())
}
