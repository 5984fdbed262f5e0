//! `softbus load`

use std::time::Instant;

use serde_json::json;

use super::{Context, device};
use crate::{
    args::Load,
    failure::Failure,
    node::{OnSignal, with_node},
};

pub(crate) async fn run(context: &Context<'_>, load: Load) -> Result<(), Failure> {
    with_node(context, OnSignal::Interrupted, async |node| {
        let device = device(context, &load.device, node)?;
        let service = load.service;
        let (samgr, began) = (node.samgr(), Instant::now());
        let loaded = samgr.load_within(service, &device, load.wait).await;
        let us = node.device_id();
        loaded.map_err(|error| {
            let what = format!("service {service} of {}", device.short());
            context.asked(&device, &us).failure(&what, &error)
        })?;
        let elapsed_ms = began.elapsed().as_secs_f64() * 1000.0;
        let object = json!({
            "device": device.to_string(), "service": service.get(), "elapsed_ms": elapsed_ms,
        });
        context.output.either(&object, || {
            format!("service {service} of {} is there", device.short())
        })
    })
    .await
}
