//! The door of a host, and processes that mean harm there: inputs 46, 47 and 56 to 60 of `docs/security.md` where a whole node
//! is hosting. Each loses its place or its session; others are served meanwhile, and nothing of it stays open.

use std::{
    fs::Permissions,
    net::{Ipv4Addr, SocketAddr},
    os::{
        fd::AsFd,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use proto::frame::Frame;
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::set_thread_uid,
};
use softbus::{
    Allow, CallOption, Caller, HandlerError, Node, NodeBuilder, Parcel, RemoteObject, RemoteStub,
    ServiceOptions, async_trait, error::StartNodeError, local::LocalError,
};
use testkit::{skip::skip, wait::wait_until_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    SOON,
    raw::{RawProcess, encoded},
    run,
    stage::{SERVICE, closes, open},
};

/// What one user may have at the door.
const AT_THE_DOOR: usize = 16;

pub(crate) struct Echo;

#[async_trait]
impl RemoteStub for Echo {
    fn descriptor(&self) -> &str {
        "test.Echo"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(reply.write_u32(data.read_u32()?)?)
    }
}

/// A host with a service, and an honest process that has it.
pub(crate) struct Device {
    pub(crate) path: PathBuf,
    pub(crate) host: Node,
    pub(crate) process: Node,
    proxy: RemoteObject,
    _directory: tempfile::TempDir,
}

impl Device {
    pub(crate) async fn start(host: impl FnOnce(NodeBuilder, &Path) -> NodeBuilder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus.sock");
        let builder = Node::builder().identity_dir(directory.path().join("identity"));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let host = host(builder.listen(any), &path).start().await.unwrap();
        let options = ServiceOptions::distributed(Allow::trusted());
        let echo = RemoteObject::new(Echo);
        host.samgr().add(SERVICE, &echo, options).unwrap();
        let process = Node::attach(&path).await.unwrap();
        let proxy = process.samgr().get(SERVICE, &process.device_id()).await;
        Self {
            path,
            proxy: proxy.unwrap(),
            host,
            process,
            _directory: directory,
        }
    }

    /// Whether the honest process is served, and another one is let in.
    pub(crate) async fn serves(&self) {
        self.calls().await;
        let another = Node::attach(&self.path).await.unwrap();
        another
            .samgr()
            .get(SERVICE, &another.device_id())
            .await
            .unwrap();
        another.shutdown().await;
    }

    async fn calls(&self) {
        let mut data = Parcel::new();
        data.write_u32(7).unwrap();
        let option = CallOption::two_way().wait(SOON);
        let reply = self.proxy.send_request(1, &data, option).await;
        assert_eq!(reply.unwrap().read_u32().unwrap(), 7);
    }

    async fn connect(&self) -> tokio::net::UnixStream {
        tokio::net::UnixStream::connect(&self.path).await.unwrap()
    }
}

/// Sets the stage, and looks whether all is as before when the hostile process is gone.
pub(crate) fn act(act: impl AsyncFnOnce(&Device)) {
    run(async {
        let device = Device::start(|builder, path| builder.host_local(path)).await;
        let before = open();
        device.serves().await;
        closes(before).await;
        act(&device).await;
        closes(before).await;
        device.serves().await;
        let gone = async || device.host.usage().len() == 1;
        assert!(wait_until_async(SOON, gone).await, "one is attached");
        device.process.shutdown().await;
        device.host.shutdown().await;
    });
}

/// What a process says first: number and ticket.
fn claim(process: u64, ticket: u8) -> Vec<u8> {
    let number = process.to_le_bytes();
    [&b"SBLA"[..], &2_u32.to_le_bytes(), &number, &[ticket; 32]].concat()
}

/// All that the host says until it closes.
async fn said(stream: &mut tokio::net::UnixStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A socket that was closed with something unread ends so.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut said))
        .await
        .unwrap();
    said
}

#[test]
fn bytes_that_are_no_claim_are_turned_away() {
    let mut another_version = claim(0, 0);
    another_version[4] = 9;
    let prelude = [&b"SBLU"[..], &claim(1, 1)[4..]].concat();
    for bytes in [vec![0xff; 100], another_version, prelude, vec![0; 4 << 10]] {
        act(async |device| {
            let mut stream = device.connect().await;
            stream.write_all(&bytes).await.unwrap();
            assert!(said(&mut stream).await.is_empty(), "{bytes:?}");
        });
    }
}

#[test]
fn half_a_claim_and_the_end_hold_nothing() {
    act(async |device| {
        for len in [0, 1, 47] {
            let mut stream = device.connect().await;
            stream.write_all(&claim(0, 0)[..len]).await.unwrap();
        }
    });
}

#[test]
fn what_comes_behind_a_claim_and_is_no_hello_ends_the_session() {
    act(async |device| {
        let mut stream = device.connect().await;
        let much = [claim(0, 0), vec![0xee; 64 << 10]].concat();
        // The host may have had enough before it is all written.
        let _ = stream.write_all(&much).await;
        said(&mut stream).await;
    });
}

#[test]
fn descriptors_at_the_door_come_to_nobody() {
    act(async |device| {
        let stream = device.connect().await;
        let (pipe, _writer) = std::io::pipe().unwrap();
        let sent = crate::raw::send(&stream, &claim(0, 0), &[pipe.as_fd(); 16]).await;
        sent.unwrap();
        // It is let in as far as it says who it is, and is not held for more.
        stream.readable().await.unwrap();
    });
}

#[test]
fn the_number_of_another_process_is_not_had_by_claiming_it() {
    act(async |device| {
        let attached = device.host.usage();
        let [(honest, _)] = attached[..] else {
            panic!("the honest one alone is attached");
        };
        let honest = honest.process;
        let mut stream = device.connect().await;
        stream.write_all(&claim(honest, 1)).await.unwrap();
        let mut prelude = [0; 16];
        stream.read_exact(&mut prelude).await.unwrap();
        assert_eq!(&prelude[..4], b"SBLU");
        assert_ne!(prelude[8..], honest.to_le_bytes());
        device.calls().await;
    });
}

/// Only a host hands out sessions.
#[test]
fn a_process_that_hands_the_host_a_session_loses_its_own() {
    act(async |device| {
        let mut process = RawProcess::attach(&device.path).await;
        let (end, _other) = UnixStream::pair().unwrap();
        let mut packet = vec![4, 0];
        packet.extend([0; 24]);
        process.send_packet(&packet, &[end.as_fd(); 3]).await;
        assert!(process.reply().await.is_none());
    });
}

#[test]
fn a_process_that_never_reads_is_served_no_more_and_others_are() {
    act(async |device| {
        let mut process = RawProcess::attach(&device.path).await;
        let service = process.service().await;
        let mut taken = 0;
        while taken < 20_000 {
            let call = process.call(service, 1, &7_u32.to_le_bytes(), 0);
            let call = encoded(&Frame::Call(call));
            if !process.is_taken(&call).await {
                break;
            }
            taken += 1;
        }
        assert!(taken < 20_000, "it is not served without end");
        device.serves().await;
    });
}

/// What somebody is told for whom there is no room now.
fn no_room() -> Vec<u8> {
    let words = [2, 1, AT_THE_DOOR as u32].map(u32::to_le_bytes).concat();
    [&b"SBLN"[..], &words].concat()
}

#[test]
fn who_comes_too_often_and_says_nothing_is_told_so() {
    act(async |device| {
        let mut silent = Vec::new();
        for _ in 0..AT_THE_DOOR {
            silent.push(device.connect().await);
        }
        for _ in AT_THE_DOOR..64 {
            let mut refused = device.connect().await;
            assert_eq!(said(&mut refused).await, no_room());
        }
        device.calls().await;
        // It waits for a place, which there is when one of them goes.
        let attach = Node::attach(&device.path);
        tokio::pin!(attach);
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(attach.as_mut().poll(cx)));
        assert!(first.await.is_pending());
        silent.truncate(AT_THE_DOOR - 1);
        attach.await.unwrap().shutdown().await;
    });
}

/// A host that has no room: what it says is what who attaches is told.
#[test]
fn a_process_comes_again_while_that_is_of_use() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let refuse = async {
            for (soon, limit) in [(1, 16), (1, 16), (2, 256)] {
                let words = [2_u32, soon, limit].map(u32::to_le_bytes).concat();
                let (mut stream, _) = listener.accept().await.unwrap();
                stream
                    .write_all(&[&b"SBLN"[..], &words].concat())
                    .await
                    .unwrap();
            }
        };
        let (attached, ()) = tokio::join!(Node::attach(&path), refuse);
        let full = LocalError::Busy { limit: 256 };
        assert_eq!(attached.unwrap_err(), StartNodeError::Local(full));
    });
}

/// What a host keeps free of descriptors is for those that are attached.
#[test]
fn who_comes_when_few_descriptors_are_left_is_told_that_the_host_is_busy() {
    act(async |device| {
        let limit = getrlimit(Resource::Nofile);
        let current = Some(open() as u64 + 60);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
        let attached = Node::attach(&device.path).await;
        setrlimit(Resource::Nofile, limit).unwrap();
        let busy = LocalError::Busy { limit: 1 };
        assert_eq!(attached.unwrap_err(), StartNodeError::Local(busy));
    });
}

#[test]
fn a_host_for_a_group_has_a_socket_of_that_group() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(directory.path(), None, Some(65534)).unwrap();
        }
        let mode = Permissions::from_mode(0o2770);
        std::fs::set_permissions(directory.path(), mode).unwrap();
        let path = directory.path().join("bus.sock");
        let identity = directory.path().join("identity");
        let builder = Node::builder()
            .identity_dir(identity)
            .host_local_for_group(&path);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let host = builder.listen(any).start().await.unwrap();
        let of = |path: &Path| std::fs::metadata(path).unwrap();
        assert_eq!(of(&path).permissions().mode() & 0o777, 0o660);
        assert_eq!(of(&path).gid(), of(directory.path()).gid());
        Node::attach(&path).await.unwrap().shutdown().await;
        host.shutdown().await;
    });
}

/// Input 56: what another user may have of the door is its share of it.
#[test]
fn one_user_at_the_door_leaves_room_for_another() {
    if !rustix::process::getuid().is_root() {
        return skip("only root can be another user");
    }
    run(async {
        let device = Device::start(|builder, path| {
            let socket = UnixListener::bind(path).unwrap();
            for (path, mode) in [(path, 0o666), (path.parent().unwrap(), 0o711)] {
                std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            }
            builder.host_local_on(socket)
        })
        .await;
        let before = open();
        let path = device.path.clone();
        // Of this thread alone, which ends with it.
        let silent = std::thread::spawn(move || {
            set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
            let connect = |_| UnixStream::connect(&path).unwrap();
            (0..64).map(connect).collect::<Vec<_>>()
        });
        let silent = tokio::task::spawn_blocking(|| silent.join().unwrap());
        let silent = silent.await.unwrap();
        device.serves().await;
        drop(silent);
        closes(before).await;
    });
}
