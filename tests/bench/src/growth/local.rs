//! Two processes of one device: shared memory and file descriptors that are handed over.

use std::{
    os::fd::OwnedFd,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use softbus::{
    Allow, DeviceId, ServiceId, ServiceOptions, local, remote_interface,
    rpc::{Execution, StubOptions, ashmem::Ashmem},
};
use tokio::{io::AsyncReadExt, process::Command};

use super::{Grow, block_on};
use crate::driver::Figures;

const SERVICE: ServiceId = match ServiceId::new(1501) {
    Some(service) => service,
    None => unreachable!(),
};
const WAIT: Duration = Duration::from_secs(8);
const GIGABYTE: usize = 1 << 30;
/// How often it is handed over.
const HANDED_OVER: usize = 1000;
const CALLS: usize = 20_000;

#[remote_interface(descriptor = "org.example.bench.Desk")]
trait Desk {
    async fn look(&self, memory: Ashmem) -> (u8, u8);
    async fn take(&self, descriptor: OwnedFd) -> bool;
    async fn nothing(&self) -> bool;
}

struct Service;

impl Desk for Service {
    async fn look(&self, memory: Ashmem) -> (u8, u8) {
        let mut ends = [[0]; 2];
        let read = memory.read(0, &mut ends[0]);
        let read = read.and_then(|()| memory.read(memory.size() - 1, &mut ends[1]));
        match (read, ends) {
            (Ok(()), [[first], [last]]) => (first, last),
            (Err(_), _) => (0, 0),
        }
    }

    async fn take(&self, descriptor: OwnedFd) -> bool {
        drop(descriptor);
        true
    }

    async fn nothing(&self) -> bool {
        true
    }
}

/// In the process that hosts: starts the other, which measures.
pub(super) fn host() -> Result<Figures> {
    block_on(async {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("bus.sock");
        let bus = local::bus(DeviceId::from_bytes([1; 32]));
        let options = StubOptions::execution(Execution::Inline);
        let desk = DeskStub::with_options(Service, options).into_object();
        let allowed = ServiceOptions::distributed(Allow::trusted());
        bus.samgr().add(SERVICE, &desk, allowed)?;
        let listener = local::LocalListener::bind(&path, bus)?;
        let mut other = Command::from(Grow::LocalCaller { path }.command()?)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let _peer = listener.accept().await?;
        let mut said = String::new();
        let output = other.stdout.as_mut().context("its output")?;
        output.read_to_string(&mut said).await?;
        ensure!(other.wait().await?.success(), "the other process failed");
        serde_json::from_str(&said).context("what it said")
    })
}

/// In the other.
pub(super) fn caller(path: &Path) -> Result<Figures> {
    block_on(async {
        let (_bus, peer) = local::attach(path).await?;
        let desk = DeskProxy::new(peer.get_service(SERVICE, WAIT).await?);
        let mut figures = Figures::default();

        let memory = Ashmem::create("gigabyte", GIGABYTE)?;
        memory.write(GIGABYTE - 1, &[7])?;
        let mut times = Vec::with_capacity(HANDED_OVER);
        for nth in 0..HANDED_OVER {
            memory.write(0, &[nth as u8])?;
            let begun = Instant::now();
            let seen = desk.look(memory.clone()).await?;
            times.push(begun.elapsed());
            ensure!(seen == (nth as u8, 7), "the other process saw {seen:?}");
        }
        times.sort();
        figures.set("gigabyte_us", times[HANDED_OVER / 2].as_secs_f64() * 1e6);
        figures.set(
            "gigabyte_p99_us",
            times[HANDED_OVER * 99 / 100].as_secs_f64() * 1e6,
        );

        let descriptor = memory.share()?;
        let begun = Instant::now();
        for _ in 0..CALLS {
            desk.take(descriptor.try_clone_to_owned()?).await?;
        }
        let with_one = CALLS as f64 / begun.elapsed().as_secs_f64();
        figures.set("calls_s_with_descriptor", with_one);
        let begun = Instant::now();
        for _ in 0..CALLS {
            desk.nothing().await?;
        }
        figures.set("calls_s", CALLS as f64 / begun.elapsed().as_secs_f64());
        Ok(figures)
    })
}
