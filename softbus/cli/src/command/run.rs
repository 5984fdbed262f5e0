//! `softbus run`

mod echo;

use std::{convert::Infallible, pin::pin};

use softbus::{
    Allow, Node, RemoteObject, ServiceId, ServiceOptions, TrustStore, pairing::PairingOptions,
};
use tokio::sync::mpsc;

use super::{Context, pair::listen};
use crate::{
    args::Run,
    events::Events,
    failure::Failure,
    node::{OnSignal, with_host},
};
use echo::Echo;

pub(crate) async fn run(context: &Context<'_>, options: Run) -> Result<(), Failure> {
    with_host(context, OnSignal::Done, async |node| {
        if let Some(service) = options.echo {
            offer(node, service)?;
        }
        let events = Events::new(context, node);
        // Before it says that it has started: who reads that may change trust at once.
        let (sender, mut trust) = mpsc::unbounded_channel();
        let subscribe = |trust: &TrustStore| {
            trust.subscribe(move |change| {
                let _ = sender.send(*change);
            })
        };
        let _subscription = node.trust().map(subscribe);
        events.started()?;
        if crate::command::trusted(node.trust()).is_empty() {
            context.output.note(&format!(
                "no device is trusted yet. Here: {0} run --pair, or {0} trust add ID. On the other machine: softbus trust add {1}",
                context.softbus,
                node.device_id(),
            ));
        }
        let mut devices = node.device_events();
        let mut pairing = pin!(pair(context, node, options.pair));
        loop {
            tokio::select! {
                never = &mut pairing => match never {},
                event = devices.next() => {
                    let known = node.devices();
                    let device = known.iter().find(|device| device.id == event.device());
                    events.device(&event, device)?;
                }
                Some(change) = trust.recv() => events.trust(&change)?,
            }
        }
    })
    .await?;
    Events::stopped(context.output)
}

/// Lets another device pair, if that is wanted. However it ends, the node goes on.
async fn pair(context: &Context<'_>, node: &Node, wanted: bool) -> Infallible {
    if wanted
        && let Err(failure) = listen::open(context, node, PairingOptions::code_and_qr(), None).await
    {
        context.output.failure(&failure);
    }
    std::future::pending().await
}

/// Registers the service to try things with.
fn offer(node: &Node, service: ServiceId) -> Result<(), Failure> {
    let options = ServiceOptions::distributed(Allow::trusted());
    let added = node
        .samgr()
        .add(service, &RemoteObject::new(Echo::default()), options);
    added.map_err(|error| Failure::failed(format!("--echo {service}: {error}")))
}
