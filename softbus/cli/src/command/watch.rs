//! `softbus watch`

use super::Context;
use crate::{
    events::Events,
    failure::Failure,
    node::{OnSignal, with_node},
};

pub(crate) async fn run(context: &Context<'_>) -> Result<(), Failure> {
    with_node(context, OnSignal::Done, async |node| {
        let events = Events::new(context, node);
        if context.output.is_json() {
            events.started()?;
        }
        let mut devices = node.device_events();
        loop {
            events.device(&devices.next().await)?;
        }
    })
    .await?;
    if context.output.is_json() {
        Events::stopped(context.output)
    } else {
        Ok(())
    }
}
