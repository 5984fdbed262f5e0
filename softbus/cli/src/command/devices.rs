//! `softbus devices`

use std::time::Duration;

use serde_json::json;
use softbus::{Device, TrustStore, certs::escape_untrusted, presence::Presence};

use super::{Context, addresses, local_name};
use crate::{
    args::Devices,
    failure::Failure,
    node::{OnSignal, with_node},
    output::{Output, Style, Table},
};

/// How often the progress is redrawn.
const FRAME: Duration = Duration::from_millis(100);

pub(crate) async fn run(context: &Context<'_>, options: Devices) -> Result<(), Failure> {
    with_node(context, OnSignal::Interrupted, async |node| {
        look_around(context.output, options.look.time).await;
        let devices = node.devices();
        let names = context.names(node);
        let names = names.as_ref();
        if context.output.is_json() {
            return devices.iter().try_for_each(|device| context.output.object(&object(names, device)));
        }
        if devices.is_empty() {
            context.output.note("no devices found; --for SECONDS looks longer, --peer DEVICE@ADDR says where one is");
            return Ok(());
        }
        let mut table = Table::new(["ID", "NAME", "PRESENCE", "TRUSTED", "VIA", "ADDRESSES"]);
        for device in &devices {
            table.row(row(names, device, options.long));
        }
        table.print(context.output)
    })
    .await
}

/// Waits, and shows on a terminal that it does.
pub(super) async fn look_around(output: &Output, time: Duration) {
    if !output.shows_progress() {
        return tokio::time::sleep(time).await;
    }
    let until = tokio::time::Instant::now() + time;
    let _clear = ClearProgress(output);
    for spinner in ["|", "/", "-", "\\"].into_iter().cycle() {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return;
        }
        output.progress(&format!(
            "{spinner} looking around, {:.0} s",
            left.as_secs_f64().ceil()
        ));
        tokio::time::sleep(left.min(FRAME)).await;
    }
}

/// Leaves a clean line behind, also when the wait is interrupted.
struct ClearProgress<'a>(&'a Output);

impl Drop for ClearProgress<'_> {
    fn drop(&mut self) {
        self.0.progress("");
    }
}

pub(crate) fn object(names: Option<&TrustStore>, device: &Device) -> serde_json::Value {
    json!({
        "device": device.id.to_string(),
        "name": local_name(names, &device.id),
        "claimed_name": device.name.as_deref().map(|name| escape_untrusted(name, 64)),
        "presence": presence(&device.presence).0,
        "trusted": device.trusted,
        "transport": device.transport.map(|transport| transport.to_string()),
        "addresses": addresses(device),
    })
}

fn row(names: Option<&TrustStore>, device: &Device, long: bool) -> [(String, Style); 6] {
    let id = if long {
        device.id.to_string()
    } else {
        device.id.short().to_string()
    };
    let name = match (local_name(names, &device.id), &device.name) {
        (Some(name), _) => (escape_untrusted(&name, 64), Style::Bold),
        (None, Some(claimed)) => (format!("\"{}\"", escape_untrusted(claimed, 64)), Style::Dim),
        (None, None) => ("-".to_owned(), Style::Dim),
    };
    let (presence, style) = presence(&device.presence);
    let transport = device
        .transport
        .map_or_else(|| "-".to_owned(), |transport| transport.to_string());
    let trusted = if device.trusted {
        ("yes", Style::Good)
    } else {
        ("no", Style::Dim)
    };
    [
        (id, Style::Plain),
        name,
        (presence.to_owned(), style),
        (trusted.0.to_owned(), trusted.1),
        (transport, Style::Plain),
        (addresses(device).join(" "), Style::Plain),
    ]
}

pub(crate) fn presence(presence: &Presence) -> (&'static str, Style) {
    match presence {
        Presence::Candidate => ("candidate", Style::Dim),
        Presence::Connecting => ("connecting", Style::Unsure),
        Presence::Online => ("online", Style::Good),
        Presence::Suspect => ("suspect", Style::Unsure),
        Presence::Offline(_) => ("offline", Style::Bad),
        _ => ("other", Style::Dim),
    }
}
