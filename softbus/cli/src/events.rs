//! What happens on the bus, a line each.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use softbus::{
    DeviceEvent, DeviceId, Node, TrustStore,
    certs::{TrustChange, TrustEvent, escape_untrusted},
    presence::OfflineReason,
};

use crate::{
    command::{Context, addresses, local_name},
    failure::Failure,
    output::Style,
};

/// The most characters of a peer's explanation.
const MAX_DETAIL: usize = 200;

/// Prints events of one node.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    context: &'a Context<'a>,
    node: &'a Node,
    names: Option<TrustStore>,
    began: Instant,
}

impl<'a> Events<'a> {
    pub(crate) fn new(context: &'a Context<'a>, node: &'a Node) -> Self {
        Self {
            context,
            node,
            names: context.names(node),
            began: Instant::now(),
        }
    }

    pub(crate) fn started(&self) -> Result<(), Failure> {
        let device = self.node.device_id();
        let address = self.node.local_addr().map(|address| address.to_string());
        let directory = self.context.directory.display().to_string();
        let services: Vec<_> = self
            .node
            .samgr()
            .list()
            .into_iter()
            .map(softbus::ServiceId::get)
            .collect();
        let object = json!({
            "event": "started", "device": device.to_string(), "address": address,
            "directory": directory, "epoch": self.node.boot_id().epoch, "services": services,
        });
        self.context.output.either(&object, || {
            let address = address.unwrap_or_else(|| "attached".to_owned());
            let mut text =
                format!("device     {device}\naddress    {address}\ndirectory  {directory}");
            for service in services {
                text.push_str(&format!("\nservice    {service}"));
            }
            text
        })
    }

    pub(crate) fn device(&self, event: &DeviceEvent) -> Result<(), Failure> {
        match event {
            DeviceEvent::Online(device) => {
                let addresses = self.addresses(device);
                let object = self.object("online", device, json!({ "addresses": addresses }));
                self.print(&object, "online", Style::Good, device, &addresses.join(" "))
            }
            DeviceEvent::Offline(device, reason) => {
                let (reason, detail) = describe(reason);
                let object = self.object(
                    "offline",
                    device,
                    json!({ "reason": reason, "detail": detail }),
                );
                let why = detail.map_or_else(
                    || reason.replace('_', " "),
                    |detail| format!("{reason}: {detail}"),
                );
                self.print(&object, "offline", Style::Bad, device, &why)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn trust(&self, change: &TrustChange) -> Result<(), Failure> {
        let (event, style) = match change.event {
            TrustEvent::Trusted => ("trusted", Style::Good),
            TrustEvent::Renamed => ("renamed", Style::Plain),
            TrustEvent::Forgotten => ("forgotten", Style::Bad),
            TrustEvent::Blocked => ("blocked", Style::Bad),
            _ => return Ok(()),
        };
        let object = self.object(event, &change.device, json!({}));
        self.print(&object, event, style, &change.device, "")
    }

    pub(crate) fn stopped(output: &crate::output::Output) -> Result<(), Failure> {
        output.either(&json!({ "event": "stopped" }), || "stopped".to_owned())
    }

    fn object(&self, event: &str, device: &DeviceId, more: Value) -> Value {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut object = more;
        object["event"] = event.into();
        object["device"] = device.to_string().into();
        object["name"] = self.name(device).into();
        object["time_ms"] = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).into();
        object
    }

    fn print(
        &self,
        object: &Value,
        event: &str,
        style: Style,
        device: &DeviceId,
        more: &str,
    ) -> Result<(), Failure> {
        let output = self.context.output;
        output.either(object, || {
            let seconds = self.began.elapsed().as_secs_f64();
            let event = output.paint(style, &format!("{event:9}"));
            let name = self
                .name(device)
                .map_or_else(String::new, |name| escape_untrusted(&name, 64));
            format!(
                "{seconds:9.3}s  {event}  {}  {name:12}  {more}",
                device.short()
            )
            .trim_end()
            .to_owned()
        })
    }

    fn name(&self, device: &DeviceId) -> Option<String> {
        local_name(self.names.as_ref(), device)
    }

    fn addresses(&self, id: &DeviceId) -> Vec<String> {
        let devices = self.node.devices();
        devices
            .iter()
            .find(|device| device.id == *id)
            .map(addresses)
            .unwrap_or_default()
    }
}

/// A name for machines, and what is to be said besides.
fn describe(reason: &OfflineReason) -> (&'static str, Option<String>) {
    let name = match reason {
        OfflineReason::Left => "left",
        OfflineReason::Crashed => "crashed",
        OfflineReason::TimedOut => "timed_out",
        OfflineReason::Restarted => "restarted",
        OfflineReason::AccessRevoked => "access_revoked",
        OfflineReason::HostGone => "host_gone",
        OfflineReason::Failed(text) => return ("failed", Some(escape_untrusted(text, MAX_DETAIL))),
        other => {
            return (
                "other",
                Some(escape_untrusted(&other.to_string(), MAX_DETAIL)),
            );
        }
    };
    (name, None)
}
