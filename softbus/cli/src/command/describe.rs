//! `softbus describe`

use std::time::Duration;

use serde_json::{Value, json};
use softbus::{CallOption, Node, RemoteObject, ServiceId, rpc::describe::DescribeError};
use tokio::time::Instant;

use super::{Context, device};
use crate::{
    args::Describe,
    failure::{Failure, Kind},
    interface::Interface,
    node::{OnSignal, with_node},
};

pub(crate) async fn run(context: &Context<'_>, options: Describe) -> Result<(), Failure> {
    with_node(context, OnSignal::Interrupted, async |node| {
        let deadline = Instant::now() + options.wait;
        let object = get(
            context,
            node,
            &options.device,
            options.service,
            options.wait,
        )
        .await?;
        let interface = describe(&object, options.service, deadline).await?;
        if context.output.is_json() {
            return context
                .output
                .object(&as_json(&interface, &object, options.service));
        }
        interface
            .lines()
            .iter()
            .try_for_each(|line| context.output.line(line))
    })
    .await
}

/// The service the user means.
pub(super) async fn get(
    context: &Context<'_>,
    node: &Node,
    given: &str,
    service: ServiceId,
    wait: Duration,
) -> Result<RemoteObject, Failure> {
    let device = device(context, given, node)?;
    let object = node.samgr().get_within(service, &device, wait).await;
    let us = node.device_id();
    object.map_err(|error| {
        let what = format!("service {service} of {}", device.short());
        context.asked(&device, &us).failure(&what, &error)
    })
}

/// What it says of itself.
pub(super) async fn describe(
    object: &RemoteObject,
    service: ServiceId,
    deadline: Instant,
) -> Result<Interface, Failure> {
    let option = CallOption::two_way().wait(left(deadline));
    match object.describe(option).await {
        Ok(description) => Ok(Interface::new(description)),
        Err(DescribeError::NotDescribed) => {
            let message = format!("service {service} does not describe its interface");
            Err(Failure::failed(message).hint(
                "its program was written without one; call it by the codes of its methods, with --i32, --string .. and --reply",
            ))
        }
        Err(DescribeError::Call(softbus::SendRequestError::Refused)) => {
            let message =
                format!("service {service} does not describe its interface to this device");
            Err(Failure::new(Kind::Refused, message).hint(
                "the program there has to allow it; methods can still be called by their codes, with --i32, --string .. and --reply",
            ))
        }
        Err(DescribeError::Call(error)) => Err(error.into()),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

/// What is left of the time. No wait at all would mean the default one.
pub(super) fn left(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

fn as_json(interface: &Interface, object: &RemoteObject, service: ServiceId) -> Value {
    let methods: Vec<_> = interface
        .methods
        .iter()
        .zip(&interface.description.methods)
        .map(|(method, description)| {
            let arguments: Vec<_> = method
                .arguments
                .iter()
                .map(|(name, of)| json!({ "name": name, "type": interface.types.display(of).to_string() }))
                .collect();
            json!({
                "code": method.code, "name": method.name, "arguments": arguments,
                "result": interface.types.display(&method.result).to_string(),
                "one_way": description.one_way, "idempotent": description.idempotent,
                "wait_ms": description.wait.map(|wait| wait.as_secs_f64() * 1000.0),
            })
        })
        .collect();
    json!({
        "device": object.device().map(|device| device.to_string()), "service": service.get(),
        "descriptor": interface.description.descriptor, "methods": methods,
        "types": interface.definitions(),
    })
}
