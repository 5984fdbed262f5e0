//! `softbus watch`

use softbus::DeviceEvent;

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
        let mut watch = node.watch_devices();
        for device in watch.devices() {
            let event = match device.is_online() {
                true => DeviceEvent::Online(device.id),
                false => DeviceEvent::Found(device.id),
            };
            events.device(&event, Some(device))?;
        }
        loop {
            let event = watch.next().await;
            events.device(&event, watch.device(&event.device()))?;
        }
    })
    .await?;
    if context.output.is_json() {
        Events::stopped(context.output)
    } else {
        Ok(())
    }
}
