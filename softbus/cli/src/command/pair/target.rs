//! Where the device is that the user wants to pair with.

use std::{net::SocketAddr, time::Duration};

use softbus::{Device, DeviceId, Node, certs::escape_untrusted};

use crate::{
    command::{Context, devices::look_around},
    failure::{Failure, Kind},
};

/// An address is taken as it is. A device is looked for by its id, the beginning of its id, or, for a stranger has no
/// other, the name it gives itself: whether it is the right one is what pairing finds out.
pub(super) async fn find(
    context: &Context<'_>,
    node: &Node,
    target: &str,
    look: Duration,
) -> Result<(Vec<SocketAddr>, Option<DeviceId>), Failure> {
    if let Ok(address) = target.parse() {
        return Ok((vec![address], None));
    }
    look_around(context.output, look).await;
    let devices = node.devices();
    let found: Vec<_> = devices
        .iter()
        .filter(|device| is_called(device, target))
        .collect();
    let shown = escape_untrusted(target, 80);
    match found[..] {
        [device] => Ok((device.addresses.clone(), Some(device.id))),
        [] => Err(
            Failure::new(Kind::NotFound, format!("no device {shown:?} was found")).hint(
                "`softbus devices` shows those that are; or give its address, as 192.168.1.5:4000",
            ),
        ),
        _ => Err(Failure::new(
            Kind::Usage,
            format!("{shown:?} is the name of several devices"),
        )
        .hint("give more of the id, as the other device shows it")),
    }
}

fn is_called(device: &Device, target: &str) -> bool {
    let normal = |text: &str| text.replace(['-', ' '], "").to_uppercase();
    let wanted = normal(target);
    let begins = wanted.len() >= 4 && normal(&device.id.to_string()).starts_with(&wanted);
    begins || device.name.as_deref() == Some(target)
}
