//! `softbus pair --listen`: shows what the other device needs, and asks about who has it.

use std::net::{Ipv4Addr, SocketAddr};

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde_json::json;
use softbus::{
    Node,
    discovery::local_addresses,
    pairing::{OpenPairingError, PairingEvent, PairingListener, PairingOptions, WindowEnd},
};

use super::{ask, done, failure};
use crate::{
    args::Pair,
    command::Context,
    failure::{Failure, Kind},
};

pub(super) async fn run(context: &Context<'_>, node: &Node, options: &Pair) -> Result<(), Failure> {
    open(context, node, how(options), options.name.as_deref()).await
}

/// Opens a window and tells what happens there, until a device is paired or the window's time is over.
pub(in crate::command) async fn open(
    context: &Context<'_>,
    node: &Node,
    how: PairingOptions,
    name: Option<&str>,
) -> Result<(), Failure> {
    let mut window = node
        .open_pairing(how.clone())
        .await
        .map_err(|error| not_opened(context, &error))?;
    show(context, node, &window, &how)?;
    let mut last = None;
    while let Some(event) = window.next().await {
        match event {
            PairingEvent::Request(request) => {
                let name = name.unwrap_or_default().to_owned();
                std::thread::spawn(move || ask::about(request, &name));
            }
            PairingEvent::Failed {
                device,
                error,
                attempts_left,
            } => {
                let object = json!({
                    "event": "failed", "device": device.to_string(), "error": error.to_string(),
                    "attempts_left": attempts_left,
                });
                context.output.either(&object, || {
                    format!("{error}; {attempts_left} attempts are left ({device})")
                })?;
                last = Some(error);
            }
            PairingEvent::Paired(paired) => {
                // Where nobody was asked, nobody has said yet what to call it.
                if let Some(name) = name
                    && let Some(trust) = node.trust()
                {
                    let named = trust.trust(paired.device, name);
                    named.map_err(|error| Failure::failed(error.to_string()))?;
                }
                return done(context, &paired);
            }
            PairingEvent::Closed(WindowEnd::Failed) => {
                return Err(Failure::new(Kind::Refused, "the attempts are used up")
                    .hint("the next window can be opened in a while, longer each time"));
            }
            _ => {}
        }
    }
    Err(last.map_or_else(
        || Failure::new(Kind::TimedOut, "nobody paired in time"),
        |error| failure(&error),
    ))
}

fn how(options: &Pair) -> PairingOptions {
    let ways = match (options.compare, options.qr) {
        (true, _) => PairingOptions::compare(),
        (_, true) => PairingOptions::qr(),
        _ => PairingOptions::code_and_qr(),
    };
    let ways = ways.open_for(options.open_for);
    let ways = if options.yes {
        ways.without_asking()
    } else {
        ways
    };
    if options.despite_failures {
        ways.despite_failures()
    } else {
        ways
    }
}

fn not_opened(context: &Context<'_>, error: &OpenPairingError) -> Failure {
    let failure = Failure::new(Kind::Refused, error.to_string());
    match error {
        OpenPairingError::Frozen { .. } => failure.hint(format!(
            "if you know who gave the wrong codes: {} pair --listen --despite-failures",
            context.softbus
        )),
        _ => Failure::failed(error.to_string()),
    }
}

fn show(
    context: &Context<'_>,
    node: &Node,
    window: &PairingListener,
    how: &PairingOptions,
) -> Result<(), Failure> {
    let addresses = addresses(node);
    let invitation = window
        .invitation(addresses.iter().copied())
        .map(|invitation| invitation.reveal());
    let code = window.code();
    if context.output.is_json() {
        return context.output.object(&json!({
            "event": "open", "device": node.device_id().to_string(),
            "addresses": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "code": code.as_ref().map(|code| code.reveal()),
            "invitation": invitation.as_deref(), "seconds": how.time().as_secs(),
        }));
    }
    if let Some(text) = &invitation {
        if let Ok(qr) = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::L) {
            context
                .output
                .line(&qr.render::<Dense1x2>().quiet_zone(true).build())?;
        }
        context.output.line(text)?;
    }
    if let Some(code) = &code {
        let (first, second) = code.reveal().split_at(3);
        context.output.line(&format!("code: {first} {second}"))?;
    }
    let whom = addresses
        .first()
        .map_or_else(|| node.device_id().to_string(), ToString::to_string);
    let compare = if code.is_none() && invitation.is_none() {
        " --compare"
    } else {
        ""
    };
    context.output.note(&format!(
        "on the other machine run, within {} s: softbus pair {whom}{compare}",
        how.time().as_secs()
    ));
    Ok(())
}

/// Where the other device may reach this one.
fn addresses(node: &Node) -> Vec<SocketAddr> {
    let Some(local) = node.local_addr() else {
        return Vec::new();
    };
    if !local.ip().is_unspecified() {
        return vec![local];
    }
    let mut addresses = local_addresses().unwrap_or_default();
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    addresses
        .into_iter()
        .map(|ip| SocketAddr::new(ip, local.port()))
        .collect()
}
