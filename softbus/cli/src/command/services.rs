//! `softbus services`

use serde_json::json;
use softbus::{DeviceId, Node, ServiceId, certs::escape_untrusted};

use super::{Context, device, devices::look_around, local_name};
use crate::{
    args::Services,
    failure::Failure,
    node::{OnSignal, with_node},
    output::{Style, Table},
};

pub(crate) async fn run(context: &Context<'_>, options: Services) -> Result<(), Failure> {
    with_node(
        context,
        OnSignal::Interrupted,
        async |node| match &options.device {
            Some(given) => {
                let device = device(context, given, node)?;
                let services = list(context, node, device).await?;
                print(context, node, &[(device, services)])
            }
            None => {
                look_around(context.output, options.look.time).await;
                print(context, node, &of_all(context, node).await)
            }
        },
    )
    .await
}

async fn list(
    context: &Context<'_>,
    node: &Node,
    device: DeviceId,
) -> Result<Vec<ServiceId>, Failure> {
    // An attached node asks the host, which knows them all.
    let attached = node.local_addr().is_none();
    if device == node.device_id() && !attached {
        return Err(Failure::failed(
            "this is this device: its services are those of the programs that run a node here",
        )
        .hint("host its bus and ask there, with --local on both commands, or ask from another device that this one trusts"));
    }
    let services = node.samgr().list_of(&device).await;
    let us = node.device_id();
    services.map_err(|error| {
        context
            .asked(&device, &us)
            .failure(&device.short().to_string(), &error)
    })
}

/// What every trusted device that is online offers; one that does not answer is passed over with a note.
async fn of_all(context: &Context<'_>, node: &Node) -> Vec<(DeviceId, Vec<ServiceId>)> {
    let mut found = Vec::new();
    for device in node.devices() {
        if !device.is_online() {
            continue;
        }
        match list(context, node, device.id).await {
            Ok(services) => found.push((device.id, services)),
            Err(failure) => {
                context
                    .output
                    .note(&format!("{}: {}", device.id.short(), failure.message))
            }
        }
    }
    found
}

fn print(
    context: &Context<'_>,
    node: &Node,
    found: &[(DeviceId, Vec<ServiceId>)],
) -> Result<(), Failure> {
    let output = context.output;
    let names = context.names(node);
    let names = names.as_ref();
    let all = || {
        found
            .iter()
            .flat_map(|(device, services)| services.iter().map(move |service| (device, service)))
    };
    if output.is_json() {
        return all().try_for_each(|(device, service)| {
            let name = local_name(names, device);
            output.object(&json!({
                "device": device.to_string(), "name": name, "service": service.get(),
            }))
        });
    }
    if found.is_empty() {
        output.note(
            "no trusted device is online. The services of this device itself belong to the programs that run a node here; \
             ask for them from another device.",
        );
        return Ok(());
    }
    let mut table = Table::new(["DEVICE", "NAME", "SERVICE"]);
    for (device, service) in all() {
        let name = local_name(names, device).unwrap_or_default();
        let id = device.short().to_string();
        table.row([
            (id, Style::Plain),
            (escape_untrusted(&name, 64), Style::Bold),
            (service.to_string(), Style::Plain),
        ]);
    }
    for (device, _) in found.iter().filter(|(_, services)| services.is_empty()) {
        output.note(&format!(
            "{} offers nothing that this device may call",
            device.short()
        ));
    }
    if all().next().is_none() {
        Ok(())
    } else {
        table.print(output)
    }
}
