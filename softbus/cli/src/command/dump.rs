//! `softbus dump`

use std::{
    io::{self, PipeReader},
    thread,
};

use serde_json::json;
use softbus::{CallOption, RemoteObject, ServiceId, rpc::dump::DumpError};
use tokio::time::Instant;

use super::{Context, describe};
use crate::{
    args::Dump,
    failure::{Failure, Kind},
    node::{OnSignal, with_node},
};

pub(crate) async fn run(context: &Context<'_>, dump: Dump) -> Result<(), Failure> {
    if context.network.local_path().is_none() {
        let message = "only programs of this device can be asked what is in their services";
        return Err(Failure::new(Kind::Usage, message).hint("--local attaches to its bus"));
    }
    with_node(context, OnSignal::Interrupted, async |node| {
        let deadline = Instant::now() + dump.wait;
        let device = node.device_id().to_string();
        let object = describe::get(context, node, &device, dump.service, dump.wait).await?;
        let option = CallOption::two_way().wait(describe::left(deadline));
        let arguments: Vec<_> = dump.arguments.iter().map(String::as_str).collect();
        if !context.output.is_json() {
            // Its words and no others, as they come.
            let dumped = object.dump(io::stdout(), &arguments, option).await;
            return dumped.map_err(|error| failure(dump.service, error));
        }
        let text = text(&object, dump.service, &arguments, option).await?;
        let service = dump.service.get();
        context
            .output
            .object(&json!({ "service": service, "text": text }))
    })
    .await
}

async fn text(
    object: &RemoteObject,
    service: ServiceId,
    arguments: &[&str],
    option: CallOption,
) -> Result<String, Failure> {
    let no_pipe = |error: io::Error| Failure::failed(format!("no pipe: {error}"));
    let (reader, writer) = io::pipe().map_err(no_pipe)?;
    // Read while it is written: a pipe holds little.
    let reading = thread::spawn(move || read(reader));
    let dumped = object.dump(&writer, arguments, option).await;
    drop(writer);
    dumped.map_err(|error| failure(service, error))?;
    let text = reading.join();
    text.map_err(|_| Failure::failed("reading failed"))?
        .map_err(no_pipe)
}

fn read(mut reader: PipeReader) -> io::Result<String> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut reader, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failure(service: ServiceId, error: DumpError) -> Failure {
    match error {
        DumpError::Call(error) => error.into(),
        DumpError::Refused => {
            let message =
                format!("service {service} is of another user, who alone may ask, beside root");
            Failure::new(Kind::Refused, message)
        }
        DumpError::NotSupported => Failure::failed(format!("service {service} writes nothing")),
        other => Failure::failed(other.to_string()),
    }
}
