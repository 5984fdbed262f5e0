//! `softbus identity`

use serde_json::json;
use softbus::Identity;

use super::Context;
use crate::{failure::Failure, node::identity_failure};

/// Shows the id of this device, also while another process has the identity open.
pub(crate) fn show(context: &Context<'_>) -> Result<(), Failure> {
    let failed = |error| identity_failure(context, &error);
    let directory = context.directory.display().to_string();
    let (device, created) = match Identity::device_id_of(&context.directory).map_err(failed)? {
        Some(device) => (device, false),
        None => (
            *Identity::open(&context.directory)
                .map_err(failed)?
                .device_id(),
            true,
        ),
    };
    let object =
        json!({ "device": device.to_string(), "directory": directory, "created": created });
    if created {
        context
            .output
            .note(&format!("a new identity was made in {directory}"));
    }
    context.output.either(&object, || device.to_string())
}
