//! A process with a service, and one that calls it.

use std::{
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use softbus::{
    Allow, CallOption, Caller, DeathReason, DeviceId, HandlerError, Parcel, RemoteObject,
    RemoteStub, SendRequestError, ServiceId, ServiceOptions, async_trait,
    local::{self, LocalListener},
    rpc::{
        Bus, Peer,
        ashmem::{Ashmem, Protection},
    },
};
use testkit::wait::wait_until_async;
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinHandle,
};

use crate::SOON;

pub(crate) const SERVICE: ServiceId = ServiceId::new(7).unwrap();

/// `u32` n and n descriptors; answers how many would survive an `exec`.
pub(crate) const TAKE: u32 = 1;
/// `u32` n; answers n pipes from which `given` can be read.
pub(crate) const GIVE: u32 = 2;
/// Shared memory; answers its first and its last byte, and raises the first if it may.
pub(crate) const LOOK: u32 = 3;
/// Keeps its arguments until the desk is told to let go.
pub(crate) const HOLD: u32 = 4;
/// Who calls: `u32` number and user.
pub(crate) const WHO: u32 = 5;
/// Raw data and its size before it; answers its sum.
pub(crate) const SUM: u32 = 6;
/// An object, a string and a descriptor; answers the string that the descriptor gives, and the object.
pub(crate) const MIXED: u32 = 7;

/// `u32` n; answers n bytes of raw data.
pub(crate) const RAW: u32 = 8;

/// Takes and gives.
pub(crate) struct Desk {
    pub(crate) let_go: Notify,
    /// A permit for each call that holds on.
    pub(crate) holding: Semaphore,
}

#[async_trait]
impl RemoteStub for Desk {
    fn descriptor(&self) -> &str {
        "org.example.Desk"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            TAKE => {
                let mut survive = 0;
                for _ in 0..data.read_u32()? {
                    let taken = data.read_file_descriptor()?;
                    let flags = rustix::io::fcntl_getfd(&taken).unwrap();
                    survive += u32::from(!flags.contains(rustix::io::FdFlags::CLOEXEC));
                }
                reply.write_u32(survive)?;
            }
            GIVE => {
                for _ in 0..data.read_u32()? {
                    let (reader, mut writer) = io::pipe().unwrap();
                    writer.write_all(b"given").unwrap();
                    reply.write_file_descriptor(&reader)?;
                }
            }
            LOOK => {
                let memory: Ashmem = data.read()?;
                let mut seen = [0; 2];
                memory.read(0, &mut seen[..1]).unwrap();
                memory.read(memory.size() - 1, &mut seen[1..]).unwrap();
                if memory.protection() == Protection::ReadWrite {
                    memory.write(0, &[seen[0] + 1]).unwrap();
                }
                reply.write_buffer(&[seen[0], seen[1], 0, 0])?;
            }
            HOLD => {
                self.holding.add_permits(1);
                self.let_go.notified().await;
            }
            WHO => {
                reply.write_u32(caller.pid().unwrap_or(0))?;
                reply.write_u32(caller.uid().unwrap_or(u32::MAX))?;
            }
            SUM => {
                let len = data.read_u32()? as usize;
                let raw = data.read_raw_data(len)?;
                reply.write_u64(raw.iter().map(|byte| u64::from(*byte)).sum())?;
            }
            RAW => {
                let len = data.read_u32()? as usize;
                reply.write_raw_data(vec![8; len])?;
            }
            MIXED => {
                let object = data.read_remote_object()?;
                let text = data.read_string()?;
                let mut pipe = io::PipeReader::from(data.read_file_descriptor()?);
                reply.write_string(&(text + &io::read_to_string(&mut pipe).unwrap()))?;
                reply.write_remote_object(&object)?;
            }
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

/// Both processes, here as two buses, and those that come later.
pub(crate) struct Stage {
    pub(crate) path: PathBuf,
    pub(crate) desk: Arc<Desk>,
    /// The sessions of those that come later, at the host.
    pub(crate) sessions: mpsc::UnboundedReceiver<Peer>,
    pub(crate) proxy: RemoteObject,
    pub(crate) at_client: Peer,
    pub(crate) at_host: Peer,
    _client: Arc<Bus>,
    _host: Arc<Bus>,
    accepting: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus.sock");
        let host = local::bus(DeviceId::from_bytes([7; 32]));
        let desk = Arc::new(Desk {
            let_go: Notify::new(),
            holding: Semaphore::new(0),
        });
        let options = ServiceOptions::distributed(Allow::trusted());
        let object = RemoteObject::new(Shared(Arc::clone(&desk)));
        host.samgr().add(SERVICE, &object, options).unwrap();
        let listener = LocalListener::bind(&path, Arc::clone(&host)).unwrap();
        let (sender, mut sessions) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            loop {
                // Who is turned away leaves the place to others.
                if let Ok(peer) = listener.accept().await
                    && sender.send(peer).is_err()
                {
                    return;
                }
            }
        });
        let (client, at_client) = local::attach(&path).await.unwrap();
        let at_host = sessions.recv().await.unwrap();
        let proxy = at_client.get_service(SERVICE, SOON).await.unwrap();
        Self {
            path,
            desk,
            sessions,
            proxy,
            at_client,
            at_host,
            _client: client,
            _host: host,
            accepting,
            _directory: directory,
        }
    }

    /// Whether the honest process is served.
    pub(crate) async fn serves(&self) {
        for _ in 0..50 {
            assert_eq!(take(&self.proxy, 1).await, Ok(0));
            assert_eq!(give(&self.proxy, 2).await.unwrap().len(), 2);
        }
    }

    /// Waits until so many more calls hold on.
    pub(crate) async fn hold(&self, calls: u32) {
        self.desk
            .holding
            .acquire_many(calls)
            .await
            .unwrap()
            .forget();
    }

    /// Closes the sessions and waits for their ends.
    pub(crate) async fn ends(self) {
        self.at_host
            .close(DeathReason::ProcessDied, 0x100, "leaving");
        self.at_client.ended().await;
    }
}

/// Waits until as much is open as before.
pub(crate) async fn closes(before: usize) {
    let closed = wait_until_async(SOON, async || open() == before).await;
    assert!(closed, "{} open, {before} before", open());
}

/// A stub that others hold too.
struct Shared(Arc<Desk>);

#[async_trait]
impl RemoteStub for Shared {
    fn descriptor(&self) -> &str {
        self.0.descriptor()
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.0.on_remote_request(caller, code, data, reply).await
    }
}

/// How many descriptors this process has open.
pub(crate) fn open() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A parcel with `n` descriptors.
pub(crate) fn with_pipes(n: u32) -> Parcel {
    let mut data = Parcel::new();
    data.write_u32(n).unwrap();
    let (reader, _writer) = io::pipe().unwrap();
    for _ in 0..n {
        data.write_file_descriptor(&reader).unwrap();
    }
    data
}

pub(crate) fn two_way() -> CallOption {
    CallOption::two_way().wait(SOON)
}

pub(crate) async fn take(proxy: &RemoteObject, n: u32) -> Result<u32, SendRequestError> {
    let mut reply = proxy.send_request(TAKE, &with_pipes(n), two_way()).await?;
    Ok(reply.read_u32().unwrap())
}

pub(crate) async fn give(proxy: &RemoteObject, n: u32) -> Result<Vec<OwnedFd>, SendRequestError> {
    let mut data = Parcel::new();
    data.write_u32(n).unwrap();
    let mut reply = proxy.send_request(GIVE, &data, two_way()).await?;
    Ok((0..n)
        .map(|_| reply.read_file_descriptor().unwrap())
        .collect())
}

/// What the other end sees at both ends of some memory.
pub(crate) async fn look(
    proxy: &RemoteObject,
    memory: &Ashmem,
) -> Result<[u8; 2], SendRequestError> {
    let mut data = Parcel::new();
    data.write_ashmem(memory).unwrap();
    look_at(proxy, &data).await
}

pub(crate) async fn look_at(
    proxy: &RemoteObject,
    data: &Parcel,
) -> Result<[u8; 2], SendRequestError> {
    let mut reply = proxy.send_request(LOOK, data, two_way()).await?;
    let seen = reply.read_buffer(4).unwrap();
    Ok([seen[0], seen[1]])
}

/// A parcel that says of a descriptor that it is shared memory of a size.
pub(crate) fn claim(descriptor: impl AsFd, size: i32) -> Parcel {
    let mut data = Parcel::new();
    data.write_file_descriptor(descriptor).unwrap();
    data.write_i32(size).unwrap();
    data
}
