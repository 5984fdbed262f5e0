//! Workloads about connections: how long one takes, and what an idle one costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{CONNECT, Figures};
use crate::{
    contestant::{Client, Contestant, End},
    process::{Server, Usage},
};

/// Connections that are made first and not counted.
const COLD: usize = 3;
/// Until nothing of an opening is left in flight.
const SETTLE: Duration = Duration::from_millis(500);

/// Connects and calls once.
async fn first_call<C: Contestant>(contestant: &C, end: &End<'_>) -> Result<C::Client> {
    let payload = Bytes::from_static(&[0x5a; 64]);
    let opening = async {
        let client = contestant.connect(end).await?;
        let length = client.echo(&payload).await?;
        ensure!(length == payload.len(), "not an echo");
        anyhow::Ok(client)
    };
    let opened = timeout(CONNECT, opening).await;
    opened.context("not connected in time")?
}

/// One connection after the other; each stays until the end, so that no leave-taking is measured.
pub(super) async fn one_by_one<'a, C: Contestant>(
    contestant: &C,
    end: impl Fn(usize) -> End<'a>,
    count: usize,
) -> Result<Figures> {
    let mut clients = Vec::new();
    let mut times = Vec::new();
    for nth in 0..count {
        let begun = Instant::now();
        clients.push(first_call(contestant, &end(nth)).await?);
        times.push(begun.elapsed());
    }
    let mut times = times.split_off(COLD.min(count - 1));
    times.sort_unstable();
    let mut figures = Figures::default();
    figures.set("connect_ms", times[times.len() / 2].as_secs_f64() * 1e3);
    Ok(figures)
}

/// Many connections that have made one call and then do nothing.
pub(super) async fn idle<'a, C: Contestant>(
    contestant: &C,
    end: impl Fn(usize) -> End<'a>,
    count: usize,
    server: &mut Server,
) -> Result<Figures> {
    // What is allocated once is not a peer's.
    let mut clients = vec![first_call(contestant, &end(0)).await?];
    sleep(SETTLE).await;
    let (here, there) = (Usage::of_self()?, server.usage()?);
    for nth in 1..count {
        clients.push(first_call(contestant, &end(nth)).await?);
    }
    sleep(SETTLE).await;
    let per_peer = |before: Usage, after: Usage| {
        after.rss_kib.saturating_sub(before.rss_kib) as f64 / (count - 1) as f64
    };
    let mut figures = Figures::default();
    figures.set("rss_kib_per_peer", per_peer(there, server.usage()?));
    figures.set("client_rss_kib", per_peer(here, Usage::of_self()?));
    Ok(figures)
}
