//! Workloads on one connection.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::{
    task::{JoinHandle, JoinSet, yield_now},
    time::{sleep_until, timeout},
};

use super::Figures;
use crate::{
    contestant::Client,
    process::{Server, Spec, Usage},
    workload::Shape,
};

/// How long calls that are under way at the end may take.
const DRAIN: Duration = Duration::from_secs(10);
/// How long one large transfer may take.
const TRANSFER: Duration = Duration::from_secs(60);
/// One-way messages in a row before others run.
const BURST: usize = 256;
/// Mixed: puts in flight beside the small calls, and their size.
const BULK: (usize, usize) = (2, 1 << 20);

/// A workload against one server.
pub(super) struct Cell<'a> {
    spec: &'a Spec,
    server: &'a mut Server,
}

/// What both processes had used at an instant.
struct Mark {
    at: Instant,
    cpu: f64,
    received: u64,
}

#[derive(Clone, Copy)]
enum Call {
    Echo,
    Put,
}

impl Call {
    async fn make(self, client: &impl Client, payload: &Bytes) -> Result<()> {
        match self {
            Self::Echo => {
                let length = client.echo(payload).await?;
                ensure!(length == payload.len(), "not an echo");
                Ok(())
            }
            Self::Put => client.put(payload).await,
        }
    }
}

/// When calls count.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    to: Instant,
}

impl<'a> Cell<'a> {
    pub(super) fn new(spec: &'a Spec, server: &'a mut Server) -> Self {
        Self { spec, server }
    }

    pub(super) async fn measure(&mut self, client: impl Client, shape: Shape) -> Result<Figures> {
        match shape {
            Shape::Echo { in_flight, size } => {
                self.closed_loop(client, Call::Echo, in_flight, size).await
            }
            Shape::Put { in_flight, size } => {
                self.closed_loop(client, Call::Put, in_flight, size).await
            }
            Shape::Mixed { in_flight, size } => self.mixed(client, in_flight, size).await,
            Shape::Transfer { bytes } => self.transfer(client, bytes).await,
            Shape::Notify { size } => self.notify(client, size).await,
            Shape::Slow { size } => self.slow(client, size).await,
            Shape::Connect { .. } | Shape::Idle { .. } => bail!("not on one connection"),
        }
    }

    fn mark(&mut self) -> Result<Mark> {
        let (client, server) = (Usage::of_self()?, self.server.usage()?);
        Ok(Mark {
            at: Instant::now(),
            cpu: client.cpu + server.cpu,
            received: server.received,
        })
    }

    fn window(&self) -> Window {
        let from = Instant::now() + self.spec.warm;
        Window {
            from,
            to: from + self.spec.measure,
        }
    }

    /// Marks at both ends of the window.
    async fn marks(&mut self, window: Window) -> Result<(Mark, Mark)> {
        sleep_until(window.from.into()).await;
        let before = self.mark()?;
        sleep_until(window.to.into()).await;
        Ok((before, self.mark()?))
    }

    async fn closed_loop(
        &mut self,
        client: impl Client,
        call: Call,
        in_flight: usize,
        size: usize,
    ) -> Result<Figures> {
        let window = self.window();
        let callers = callers(&client, call, in_flight, size, window)?;
        let (before, after) = self.marks(window).await?;
        let times = gather(callers).await?;
        let calls = times.len() as f64;
        ensure!(calls > 0.0, "no call was answered");
        let seconds = (window.to - window.from).as_secs_f64();
        let micros = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
        let mut figures = Figures::default();
        figures.set("p50_us", micros(0.5));
        figures.set("p99_us", micros(0.99));
        figures.set("calls_s", calls / seconds);
        let megabytes = calls * size as f64 / 1e6;
        // The marks are taken a little late when the runtime is busy, so they have a time of their own.
        let counted = calls / seconds * (after.at - before.at).as_secs_f64();
        let cpu = after.cpu - before.cpu;
        figures.set("cpu_100k", cpu / counted * 1e5);
        if matches!(call, Call::Put) {
            figures.set("mb_s", megabytes / seconds);
            figures.set("cpu_s_gb", cpu / (counted * size as f64) * 1e9);
        }
        Ok(figures)
    }

    async fn mixed(
        &mut self,
        client: impl Client,
        in_flight: usize,
        size: usize,
    ) -> Result<Figures> {
        let bulk = |client: &_, window| callers(client, Call::Put, BULK.0, BULK.1, window);
        let rate = |puts: &Histogram<u64>, window: Window| {
            let seconds = (window.to - window.from).as_secs_f64();
            puts.len() as f64 * BULK.1 as f64 / seconds / 1e6
        };
        // Alone before and after: what the machine does meanwhile then meets both.
        let window = self.window();
        let before = rate(&gather(bulk(&client, window)?).await?, window);
        let window = self.window();
        let puts = bulk(&client, window)?;
        let calls = callers(&client, Call::Echo, in_flight, size, window)?;
        let (puts, calls) = (gather(puts).await?, gather(calls).await?);
        let beside = rate(&puts, window);
        let seconds = (window.to - window.from).as_secs_f64();
        let window = self.window();
        let after = rate(&gather(bulk(&client, window)?).await?, window);
        let alone = f64::midpoint(before, after);
        let mut figures = Figures::default();
        figures.set("p50_us", calls.value_at_quantile(0.5) as f64 / 1e3);
        figures.set("p99_us", calls.value_at_quantile(0.99) as f64 / 1e3);
        figures.set("calls_s", calls.len() as f64 / seconds);
        figures.set("mb_s", beside);
        figures.set("alone_mb_s", alone);
        figures.set("bulk_share", beside / alone);
        Ok(figures)
    }

    async fn transfer(&mut self, client: impl Client, bytes: usize) -> Result<Figures> {
        // Windows and paths have grown when it counts.
        let warm = timeout(TRANSFER, client.transfer(bytes / 16)).await;
        warm.context("no transfer in time")??;
        let before = self.mark()?;
        let transfer = timeout(TRANSFER, client.transfer(bytes)).await;
        transfer.context("no transfer in time")??;
        let after = self.mark()?;
        let mut figures = Figures::default();
        let seconds = (after.at - before.at).as_secs_f64();
        figures.set("mb_s", bytes as f64 / seconds / 1e6);
        figures.set("cpu_s_gb", (after.cpu - before.cpu) / bytes as f64 * 1e9);
        Ok(figures)
    }

    async fn notify(&mut self, client: impl Client, size: usize) -> Result<Figures> {
        let payload = Bytes::from(vec![0x5a; size]);
        let window = self.window();
        let sender: JoinHandle<Result<()>> = tokio::spawn(async move {
            while Instant::now() < window.to {
                for _ in 0..BURST {
                    client.notify(&payload).await?;
                }
                yield_now().await;
            }
            Ok(())
        });
        let (before, after) = self.marks(window).await?;
        timeout(DRAIN, sender).await.context("no end in time")???;
        // What arrived counts, not what was sent.
        let messages = (after.received - before.received) as f64;
        ensure!(messages > 0.0, "no message arrived");
        let seconds = (after.at - before.at).as_secs_f64();
        let mut figures = Figures::default();
        figures.set("msgs_s", messages / seconds);
        figures.set("cpu_100k", (after.cpu - before.cpu) / messages * 1e5);
        Ok(figures)
    }

    /// A receiver that is slower than its sender: what both hold of what has not been taken yet.
    async fn slow(&mut self, client: impl Client, size: usize) -> Result<Figures> {
        let payload = Bytes::from(vec![0x5a; size]);
        let before = resident(Usage::of_self()?, self.server.usage()?);
        let window = self.window();
        let sender: JoinHandle<Result<()>> = tokio::spawn(async move {
            loop {
                client.notify(&payload).await?;
                if Instant::now() >= window.to {
                    return Ok(());
                }
                yield_now().await;
            }
        });
        let (first, last) = self.marks(window).await?;
        let after = resident(Usage::of_self()?, self.server.usage()?);
        // It may wait for room for a long time yet.
        sender.abort();
        match sender.await {
            Err(_) | Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error),
        }
        let messages = (last.received - first.received) as f64;
        ensure!(messages > 0.0, "no message arrived");
        let mut figures = Figures::default();
        figures.set("held_kib", (after - before).max(0.0));
        figures.set("msgs_s", messages / (last.at - first.at).as_secs_f64());
        Ok(figures)
    }
}

/// Resident memory of both processes, KiB.
fn resident(client: Usage, server: Usage) -> f64 {
    client.rss_kib as f64 + server.rss_kib as f64
}

/// Callers, and where they write down their times. All in one place: one for each would be more memory than the caches
/// hold, and what is measured would be that.
struct Callers {
    tasks: JoinSet<Result<()>>,
    times: Arc<Mutex<Histogram<u64>>>,
}

/// Starts callers; each calls again as soon as it is answered, and times what is answered within the window.
fn callers<C: Client>(
    client: &C,
    call: Call,
    in_flight: usize,
    size: usize,
    window: Window,
) -> Result<Callers> {
    let payload = Bytes::from(vec![0x5a; size]);
    let times = Arc::new(Mutex::new(Histogram::new_with_bounds(
        100,
        60_000_000_000,
        3,
    )?));
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, payload) = (client.clone(), payload.clone());
        let times = Arc::clone(&times);
        tasks.spawn(async move {
            let mut begun = Instant::now();
            while begun < window.to {
                call.make(&client, &payload).await?;
                let answered = Instant::now();
                if answered >= window.from && answered < window.to {
                    let took = (answered - begun).as_nanos() as u64;
                    lock(&times).saturating_record(took);
                }
                begun = answered;
            }
            Ok(())
        });
    }
    Ok(Callers { tasks, times })
}

async fn gather(mut callers: Callers) -> Result<Histogram<u64>> {
    let gathered = async {
        while let Some(ended) = callers.tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    let within = DRAIN + Duration::from_secs(60);
    timeout(within, gathered)
        .await
        .context("no end in time")??;
    Ok(lock(&callers.times).clone())
}

fn lock(times: &Mutex<Histogram<u64>>) -> MutexGuard<'_, Histogram<u64>> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}
