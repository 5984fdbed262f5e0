//! Buses of one process, joined by memory links.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::BootId;
use softbus::{
    Allow, DeviceId, RemoteObject, ServiceId, ServiceOptions, remote_interface,
    rpc::{
        Bus, BusConfig, Execution, MemoryLink, Peer, StubOptions,
        opening::{self, Incoming, Remote},
        session::passing_rules::Party,
    },
};

use super::block_on;
use crate::{driver::Figures, process::Usage};

const SERVICE: ServiceId = match ServiceId::new(1500) {
    Some(service) => service,
    None => unreachable!(),
};
const WAIT: Duration = Duration::from_secs(8);
/// As many as a parcel carries.
const BATCH: usize = 64;
/// How many calls are counted.
const CALLS: usize = 20_000;

#[remote_interface(descriptor = "org.example.bench.Maker")]
trait Maker {
    async fn make(&self, count: u32) -> Vec<RemoteObject>;
}

#[remote_interface(descriptor = "org.example.bench.Made")]
trait Made {
    async fn echo(&self, payload: Bytes) -> Bytes;
}

struct Service;

impl Maker for Service {
    async fn make(&self, count: u32) -> Vec<RemoteObject> {
        (0..count).map(|_| made()).collect()
    }
}

impl Made for Service {
    async fn echo(&self, payload: Bytes) -> Bytes {
        payload
    }
}

fn made() -> RemoteObject {
    MadeStub::with_options(Service, StubOptions::execution(Execution::Inline)).into_object()
}

fn bus(number: u64) -> Arc<Bus> {
    let mut device = [0; 32];
    device[..8].copy_from_slice(&number.to_le_bytes());
    let party = Party {
        device: DeviceId::from_bytes(device),
        process: 0,
    };
    let boot = BootId {
        epoch: 1,
        random: number,
    };
    Bus::new(BusConfig::new(party, boot))
}

/// A session of two buses: the calling end, and the other one, to be kept.
async fn join(here: &Arc<Bus>, there: &Arc<Bus>) -> Result<(Peer, Peer)> {
    let remote = |bus: &Bus| Remote::device(bus.party());
    let (to_there, to_here) = MemoryLink::pair();
    let accept = async {
        let incoming = Incoming::accept(there, Arc::new(to_here), remote(here)).await?;
        incoming.welcome(there).await
    };
    let connect = opening::connect(here, Arc::new(to_there), remote(there), 0);
    let (ours, theirs) = tokio::join!(connect, accept);
    Ok((ours?, theirs?))
}

fn offer(bus: &Arc<Bus>, object: &RemoteObject) -> Result<()> {
    let options = ServiceOptions::distributed(Allow::trusted());
    Ok(bus.samgr().add(SERVICE, object, options)?)
}

/// Calls each in turn; CPU microseconds of a call. All have been called before: what is made at a first call is made.
async fn calls(proxies: &[MadeProxy]) -> Result<f64> {
    let payload = Bytes::from_static(&[0x5a; 64]);
    let mut before = Usage::of_self()?;
    for nth in 0..proxies.len() + CALLS {
        if nth == proxies.len() {
            before = Usage::of_self()?;
        }
        proxies[nth % proxies.len()].echo(payload.clone()).await?;
    }
    Ok((Usage::of_self()?.cpu - before.cpu) / CALLS as f64 * 1e6)
}

fn kib_each(before: Usage, after: Usage, count: usize) -> f64 {
    after.rss_kib.saturating_sub(before.rss_kib) as f64 / count as f64
}

/// A call among so many objects of one peer, and what an object takes.
pub(super) fn objects(count: usize) -> Result<Figures> {
    block_on(async {
        let (here, there) = (bus(1), bus(2));
        offer(&there, &MakerStub::new(Service).into_object())?;
        let (peer, _other) = join(&here, &there).await?;
        let maker = MakerProxy::new(peer.get_service(SERVICE, WAIT).await?);
        // What is allocated once is not an object's.
        let first = MadeProxy::new(maker.make(1).await?.pop().context("one was asked for")?);
        calls(&[first]).await?;
        let before = Usage::of_self()?;
        let mut proxies = Vec::with_capacity(count);
        while proxies.len() < count {
            let batch = BATCH.min(count - proxies.len());
            let made = maker.make(batch as u32).await?;
            proxies.extend(made.into_iter().map(MadeProxy::new));
        }
        let cpu = calls(&proxies).await?;
        let mut figures = Figures::default();
        figures.set("cpu_us_call", cpu);
        figures.set("kib_each", kib_each(before, Usage::of_self()?, count));
        Ok(figures)
    })
}

/// A call of one of so many peers, a call of each in turn, and what a session takes.
pub(super) fn peers(count: usize) -> Result<Figures> {
    block_on(async {
        let here = bus(0);
        let mut kept = Vec::with_capacity(count);
        let mut proxies = Vec::with_capacity(count);
        let mut before = Usage::of_self()?;
        for nth in 0..=count as u64 {
            let there = bus(nth + 1);
            offer(&there, &made())?;
            let (peer, other) = join(&here, &there).await?;
            let object = peer.get_service(SERVICE, WAIT).await?;
            let proxy = MadeProxy::new(object);
            if nth == 0 {
                // What is allocated once is not a peer's.
                calls(std::slice::from_ref(&proxy)).await?;
                before = Usage::of_self()?;
            } else {
                proxies.push(proxy);
            }
            kept.push((there, peer, other));
        }
        let in_turn = calls(&proxies).await?;
        let one = calls(&proxies[..1]).await?;
        let mut figures = Figures::default();
        figures.set("cpu_us_call", one);
        figures.set("cpu_us_call_in_turn", in_turn);
        figures.set("kib_each", kib_each(before, Usage::of_self()?, count));
        Ok(figures)
    })
}
