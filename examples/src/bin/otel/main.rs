//! One trace of calls across devices, in OpenTelemetry's terms: both ends of each call, joined by what the requests carry.
//!
//! ```sh
//! cargo run -p softbus-examples --bin otel
//! ```
//!
//! Three nodes of this process, told of each other on 127.0.0.1: the table asks the kitchen, which asks the cellar. The
//! spans are kept in memory and printed as a tree; it exits with 0 if they are one trace. `--without-propagator` leaves
//! out what joins them, to see the difference.

mod memory;
mod propagator;
mod tree;

use std::{process::ExitCode, time::Duration};

use opentelemetry::trace::TraceContextExt;
use softbus::{
    Allow, Identity, Node, RemoteObject, ServiceId, ServiceOptions, TrustStore, remote_interface,
    rpc::telemetry,
};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

#[remote_interface(descriptor = "org.example.Kitchen")]
trait Kitchen {
    async fn dinner(&self, guests: u32) -> Result<String, String>;
}

#[remote_interface(descriptor = "org.example.Cellar")]
trait Cellar {
    async fn bottles(&self, guests: u32) -> u32;
}

struct Cook {
    cellar: CellarProxy,
}

impl Kitchen for Cook {
    async fn dinner(&self, guests: u32) -> Result<String, String> {
        let bottles = self.cellar.bottles(guests).await;
        let bottles = bottles.map_err(|error| error.to_string())?;
        Ok(format!("dinner for {guests}, {bottles} bottles"))
    }
}

struct Butler;

impl Cellar for Butler {
    async fn bottles(&self, guests: u32) -> u32 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        guests.div_ceil(3)
    }
}

const KITCHEN: ServiceId = ServiceId::new(1403).unwrap();
const CELLAR: ServiceId = ServiceId::new(1404).unwrap();
const USAGE: &str = "usage: otel [--without-propagator]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let joined = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => true,
        ["--without-propagator"] => false,
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(joined).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(joined: bool) -> Result<(), Box<dyn std::error::Error>> {
    // Before the first call, like a subscriber.
    let mut spans = memory::install()?;
    if joined {
        telemetry::set_propagator(propagator::OpenTelemetry)?;
    }

    let cellar = node(&[]).await?;
    let butler = CellarStub::new(Butler);
    offer(&cellar, CELLAR, &butler.into())?;

    let kitchen = node(&[&cellar]).await?;
    let asked = kitchen.samgr().get(CELLAR, &cellar.device_id()).await?;
    let cook = KitchenStub::new(Cook {
        cellar: CellarProxy::new(asked),
    });
    offer(&kitchen, KITCHEN, &cook.into())?;

    let table = node(&[&kitchen]).await?;
    let asked = table.samgr().get(KITCHEN, &kitchen.device_id()).await?;
    let asked = KitchenProxy::new(asked);

    let evening = tracing::info_span!("evening");
    let trace = evening.context().span().span_context().trace_id();
    let answer = asked.dinner(4).instrument(evening).await?;
    println!("{answer}\n");

    // What serves a call may end after the answer has arrived.
    let complete = spans.wait_for(|spans| tree::of(trace, spans).len() >= tree::KINDS.len());
    let _ = tokio::time::timeout(Duration::from_secs(3), complete).await;
    let spans = tree::of(trace, &spans.borrow());
    print!("{}", tree::show(trace, &spans));
    for node in [table, kitchen, cellar] {
        node.shutdown().await;
    }
    Ok(tree::check(&spans)?)
}

/// A node that knows these others. It and they trust each other.
async fn node(others: &[&Node]) -> Result<Node, Box<dyn std::error::Error>> {
    let (identity, trust) = (Identity::generate()?, TrustStore::in_memory());
    let mut builder = Node::builder().listen(([127, 0, 0, 1], 0).into());
    for other in others {
        other
            .trust()
            .ok_or("no network")?
            .trust(*identity.device_id(), "")?;
        trust.trust(other.device_id(), "")?;
        let address = other.local_addr().ok_or("no network")?;
        builder = builder.static_peer(other.device_id(), address);
    }
    Ok(builder.identity(identity).trust(trust).start().await?)
}

fn offer(
    node: &Node,
    service: ServiceId,
    object: &RemoteObject,
) -> Result<(), softbus::rpc::AddServiceError> {
    let options = ServiceOptions::distributed(Allow::trusted());
    node.samgr().add(service, object, options)
}
