//! `softbus run`

mod echo;

use softbus::{Allow, Node, RemoteObject, ServiceId, ServiceOptions};
use tokio::sync::mpsc;

use super::Context;
use crate::{
    args::Run,
    events::Events,
    failure::Failure,
    node::{OnSignal, with_node},
};
use echo::Echo;

pub(crate) async fn run(context: &Context<'_>, options: Run) -> Result<(), Failure> {
    with_node(context, OnSignal::Done, async |node| {
        if let Some(service) = options.echo {
            offer(node, service)?;
        }
        let events = Events::new(context, node);
        // Before it says that it has started: who reads that may change trust at once.
        let (sender, mut trust) = mpsc::unbounded_channel();
        let _subscription = node.trust().subscribe(move |change| {
            let _ = sender.send(*change);
        });
        events.started()?;
        if crate::command::trusted(node.trust()).is_empty() {
            context.output.note(&format!(
                "no device is trusted yet. Here: {} trust add ID. On the other machine: softbus trust add {}",
                context.softbus,
                node.device_id(),
            ));
        }
        let mut devices = node.device_events();
        loop {
            tokio::select! {
                event = devices.next() => events.device(&event)?,
                Some(change) = trust.recv() => events.trust(&change)?,
            }
        }
    })
    .await?;
    Events::stopped(context.output)
}

/// Registers the service to try things with.
fn offer(node: &Node, service: ServiceId) -> Result<(), Failure> {
    let options = ServiceOptions::distributed(Allow::trusted());
    let added = node.samgr().add(service, &RemoteObject::new(Echo), options);
    added.map_err(|error| Failure::failed(format!("--echo {service}: {error}")))
}
