//! What happens on the bus, a line each.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use softbus::{
    Device, DeviceEvent, DeviceId, Node, TrustStore,
    certs::{TrustChange, TrustEvent, escape_untrusted},
    presence::{DeviceChange, OfflineReason},
};

use crate::{
    command::{Context, addresses, devices, local_name},
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

    /// What happened to a device, and what is known of it now.
    pub(crate) fn device(&self, event: &DeviceEvent, now: Option<&Device>) -> Result<(), Failure> {
        let id = event.device();
        let addresses = now.map(addresses).unwrap_or_default();
        match event {
            DeviceEvent::Online(_) => {
                let object = self.object("online", &id, json!({ "addresses": addresses }));
                self.print(&object, "online", Style::Good, &id, &addresses.join(" "))
            }
            DeviceEvent::Offline(_, reason) => {
                let (reason, detail) = describe(reason);
                let more = json!({ "reason": reason, "detail": detail });
                let why = detail.map_or_else(
                    || reason.replace('_', " "),
                    |detail| format!("{reason}: {detail}"),
                );
                let object = self.object("offline", &id, more);
                self.print(&object, "offline", Style::Bad, &id, &why)
            }
            DeviceEvent::Found(_) => {
                let object = self.object("found", &id, self.known(now));
                self.print(&object, "found", Style::Dim, &id, &addresses.join(" "))
            }
            DeviceEvent::Changed(_, change) => {
                let mut more = self.known(now);
                let said = now.map(|now| said(change, now)).unwrap_or_default();
                more["changed"] = said.iter().map(|(what, _)| *what).collect();
                let object = self.object("changed", &id, more);
                let said: Vec<_> = said.into_iter().map(|(_, now)| now).collect();
                self.print(&object, "changed", Style::Plain, &id, &said.join(", "))
            }
            DeviceEvent::Lost(_) => {
                let object = self.object("lost", &id, json!({}));
                self.print(&object, "lost", Style::Dim, &id, "")
            }
            _ => Ok(()),
        }
    }

    /// As `softbus devices` says it.
    fn known(&self, device: Option<&Device>) -> Value {
        let names = self.names.as_ref();
        device.map_or_else(|| json!({}), |device| devices::object(names, device))
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
}

/// What is different about a device: for machines, and how it is now, for people.
fn said(change: &DeviceChange, now: &Device) -> Vec<(&'static str, String)> {
    let name = now.name.as_deref().unwrap_or("-");
    let transport = now.transport.map(|transport| transport.to_string());
    let said = [
        (
            change.presence,
            "presence",
            devices::presence(&now.presence).0.to_owned(),
        ),
        (
            change.name,
            "claimed_name",
            format!("\"{}\"", escape_untrusted(name, 64)),
        ),
        (
            change.transport,
            "transport",
            transport.unwrap_or_else(|| "-".to_owned()),
        ),
        (
            change.trusted,
            "trusted",
            if now.trusted {
                "trusted"
            } else {
                "not trusted"
            }
            .to_owned(),
        ),
        (change.addresses, "addresses", addresses(now).join(" ")),
    ];
    let different = said.into_iter().filter(|(different, ..)| *different);
    different.map(|(_, what, now)| (what, now)).collect()
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
