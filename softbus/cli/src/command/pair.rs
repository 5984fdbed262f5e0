//! `softbus pair`

mod ask;
pub(super) mod listen;
mod target;

use serde_json::json;
use softbus::{
    Node,
    certs::escape_untrusted,
    pairing::{PairError, PairWith, PairedDevice, PairingCode},
};

use super::Context;
use crate::{
    args::Pair,
    failure::{Failure, Kind},
    node::{OnSignal, with_node},
};

pub(crate) async fn run(context: &Context<'_>, options: Pair) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    if context.network.local.is_some() {
        return Err(Failure::new(
            Kind::Usage,
            "a process that attaches has no trust store to pair for",
        )
        .hint("the host pairs while it runs: softbus run --local --pair"));
    }
    with_node(context, OnSignal::Interrupted, async |node| {
        let Some(target) = &options.target else {
            return listen::run(context, node, &options).await;
        };
        let with = whom(context, node, target, &options).await?;
        let with = with.named(options.name.as_deref().unwrap_or_default());
        let paired = node.pair(with).await;
        done(context, &paired.map_err(|error| failure(&error))?)
    })
    .await
}

/// Whom to pair with, and how.
async fn whom(
    context: &Context<'_>,
    node: &Node,
    target: &str,
    options: &Pair,
) -> Result<PairWith, Failure> {
    if target == "-" {
        let text = secret_text(context, options, "text of the QR code: ").await?;
        let invitation = text.parse().map_err(|error| {
            Failure::new(Kind::Usage, format!("{error}"))
                .hint("give the text that the QR code of `softbus pair --listen` holds, beginning with softbus:1?")
        })?;
        return Ok(PairWith::invitation(&invitation));
    }
    let (addresses, expected) = target::find(context, node, target, options.look.time).await?;
    let with = if options.compare {
        let name = options.name.clone().unwrap_or_default();
        PairWith::compare(addresses, move |request| {
            // A thread of its own: it waits for a person.
            std::thread::spawn(move || ask::about(request, &name));
        })
    } else {
        let typed = secret_text(context, options, "code that the other device shows: ").await?;
        let code = typed.parse::<PairingCode>();
        PairWith::code(
            addresses,
            code.map_err(|error| Failure::new(Kind::Usage, error.to_string()))?,
        )
    };
    Ok(match expected {
        Some(device) => with.expecting(device),
        None => with,
    })
}

/// From a file or the terminal, never from the command line, which every user of the machine can see.
async fn secret_text(
    context: &Context<'_>,
    options: &Pair,
    prompt: &str,
) -> Result<String, Failure> {
    match &options.code_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display()))),
        None => ask::line(context, prompt)
            .await
            .ok_or_else(|| Failure::new(Kind::Usage, "no code was given")),
    }
}

fn done(context: &Context<'_>, paired: &PairedDevice) -> Result<(), Failure> {
    let object = json!({
        "event": "paired", "device": paired.device.to_string(),
        "claimed_name": paired.claimed_name, "added": paired.added,
    });
    context.output.either(&object, || {
        let verb = if paired.added {
            "paired"
        } else {
            "paired again"
        };
        let name = escape_untrusted(&paired.claimed_name, 64);
        let quoted = if name.is_empty() {
            name
        } else {
            format!("  \"{name}\"")
        };
        format!("{verb}: {}{quoted}", paired.device)
    })
}

fn failure(error: &PairError) -> Failure {
    let (kind, hint) = match error {
        PairError::WrongCode => (
            Kind::Refused,
            "look at the code again; if it was right, somebody is between the two devices",
        ),
        PairError::CodeExpired | PairError::NotOpen => (
            Kind::Refused,
            "on the other machine run: softbus pair --listen",
        ),
        PairError::Busy => (Kind::Failed, "try again in some seconds"),
        PairError::Blocked => (
            Kind::Refused,
            "`softbus trust remove DEVICE` lifts the block",
        ),
        PairError::Declined | PairError::BlockedThere => {
            return Failure::new(Kind::Refused, error.to_string());
        }
        PairError::Unreachable(_) => (
            Kind::NotFound,
            "check that it runs `softbus pair --listen` and is on this network, or give its address, as 192.168.1.5:4000",
        ),
        PairError::TimedOut => return Failure::new(Kind::TimedOut, error.to_string()),
        PairError::Oneself | PairError::SomebodyElse => (
            Kind::NotFound,
            "give the address that the other machine shows",
        ),
        _ => return Failure::failed(escape_untrusted(&error.to_string(), 200)),
    };
    Failure::new(kind, escape_untrusted(&error.to_string(), 200)).hint(hint)
}
