//! Two processes of one device, as two buses on a socket.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails its test")]

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use softbus::{
    Allow, CallOption, Caller, DeathReason, DeviceId, HandlerError, Parcel, RemoteObject,
    RemoteStub, SendRequestError, ServiceId, ServiceOptions, async_trait,
    local::{self, LocalError, LocalListener},
    rpc::{
        Bus, DeathLink, Peer, link::LinkClosed, opening::Credentials, parcel::MAX_RAW_DATA,
        peer::SessionEnd,
    },
};
use tokio::{io::AsyncWriteExt, sync::mpsc, time::timeout};

const SERVICE: ServiceId = ServiceId::new(7).unwrap();
const SOON: Duration = Duration::from_secs(20);
const ECHO: u32 = 1;
const WHO: u32 = 2;
const CALL_BACK: u32 = 3;
const ANOTHER: u32 = 4;

/// Gives back what it gets.
struct Echo;

#[async_trait]
impl RemoteStub for Echo {
    fn descriptor(&self) -> &str {
        "org.example.Echo"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            ECHO => {
                reply.raise_to_transport_limit();
                let size = data.read_u32()? as usize;
                let raw = data.read_u32()? as usize;
                let body = data.read_buffer(size)?.to_vec();
                reply.write_buffer(&body)?;
                if raw > 0 {
                    reply.write_raw_data(data.read_raw_data(raw)?)?;
                }
            }
            WHO => {
                reply.write_u32(u32::from(caller.is_local()))?;
                reply.write_u32(caller.pid().unwrap_or(0))?;
                reply.write_u32(caller.uid().unwrap_or(u32::MAX))?;
            }
            CALL_BACK => {
                let object = data.read_remote_object()?;
                let answer = object
                    .send_request(WHO, &Parcel::new(), CallOption::two_way())
                    .await
                    .map_err(|error| HandlerError::Failed(error.to_string()))?;
                reply.append(&answer)?;
            }
            ANOTHER => reply.write_remote_object(&RemoteObject::new(Self))?,
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

struct Two {
    _directory: tempfile::TempDir,
    path: PathBuf,
    listener: LocalListener,
    host: Arc<Bus>,
    at_host: Peer,
    client: Arc<Bus>,
    at_client: Peer,
    proxy: RemoteObject,
}

async fn two() -> Two {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus").join("bus.sock");
    let host = local::bus(DeviceId::from_bytes([7; 32]));
    let options = ServiceOptions::distributed(Allow::trusted());
    host.samgr()
        .add(SERVICE, &RemoteObject::new(Echo), options)
        .unwrap();
    let listener = LocalListener::bind(&path, Arc::clone(&host)).unwrap();
    let (at_host, attached) = tokio::join!(listener.accept(), local::attach(&path));
    let (client, at_client) = attached.unwrap();
    let proxy = at_client.get_service(SERVICE, SOON).await.unwrap();
    Two {
        _directory: directory,
        path,
        listener,
        host,
        at_host: at_host.unwrap(),
        client,
        at_client,
        proxy,
    }
}

async fn echo(proxy: &RemoteObject, body: usize, raw: usize) -> Result<(), SendRequestError> {
    let byte = |at: usize| (at * 7 + at / 251) as u8;
    let bytes: Vec<u8> = (0..body.max(raw)).map(byte).collect();
    let mut data = Parcel::new();
    data.raise_to_transport_limit();
    data.write_u32(body as u32).unwrap();
    data.write_u32(raw as u32).unwrap();
    data.write_buffer(&bytes[..body]).unwrap();
    if raw > 0 {
        data.write_raw_data(bytes[..raw].to_vec()).unwrap();
    }
    let option = CallOption::two_way().wait(SOON);
    let mut reply = proxy.send_request(ECHO, &data, option).await?;
    assert_eq!(reply.read_buffer(body).unwrap(), &bytes[..body]);
    if raw > 0 {
        assert_eq!(reply.read_raw_data(raw).unwrap(), &bytes[..raw]);
    }
    Ok(())
}

fn watch(proxy: &RemoteObject) -> (DeathLink, mpsc::UnboundedReceiver<DeathReason>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let tell = move |reason| {
        let _ = sender.send(reason);
    };
    (proxy.link_to_death(tell).unwrap(), receiver)
}

#[tokio::test]
async fn calls_of_every_size_go_over_the_sockets() {
    let two = two().await;
    for body in [
        0,
        1,
        64,
        32 * 1024,
        32 * 1024 + 4,
        1024 * 1024 - 8 * 1024 - 8,
    ] {
        echo(&two.proxy, body, 0).await.unwrap();
    }
    for raw in [1, 32 * 1024, 32 * 1024 + 1, 10_000_000] {
        echo(&two.proxy, 64, raw).await.unwrap();
    }
}

#[tokio::test]
async fn raw_data_up_to_its_limit_goes_by_shared_memory() {
    let two = two().await;
    echo(&two.proxy, 4, MAX_RAW_DATA).await.unwrap();
}

#[tokio::test]
async fn a_parcel_over_a_megabyte_names_the_limit() {
    let two = two().await;
    let limit = 1024 * 1024 - 8 * 1024;
    let error = echo(&two.proxy, limit - 4, 0).await.unwrap_err();
    let size = limit + 4;
    assert_eq!(error, SendRequestError::RequestTooLarge { size, limit });
}

#[tokio::test]
async fn a_handler_knows_the_process_that_calls() {
    let two = two().await;
    let ours = [1, std::process::id(), rustix::process::getuid().as_raw()];
    let mut data = Parcel::new();
    data.write_remote_object(&RemoteObject::new(Echo)).unwrap();
    let asked = [(WHO, &Parcel::new()), (CALL_BACK, &data)];
    for (code, data) in asked {
        let option = CallOption::two_way();
        let mut reply = two.proxy.send_request(code, data, option).await.unwrap();
        assert_eq!([(); 3].map(|()| reply.read_u32().unwrap()), ours);
    }
}

#[tokio::test]
async fn many_calls_at_once_and_none_is_lost() {
    let two = two().await;
    let calls = (0..500).map(|size| {
        let proxy = two.proxy.clone();
        tokio::spawn(async move { echo(&proxy, size * 4, 0).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(two.at_client.usage().calls, 0);
    assert_eq!(two.at_host.usage().serving, 0);
}

#[tokio::test]
async fn many_large_bodies_pass_each_other() {
    let two = two().await;
    let calls = (0..300).map(|_| {
        let proxy = two.proxy.clone();
        tokio::spawn(async move { echo(&proxy, 40 * 1024, 64 * 1024).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(two.at_client.usage().bulk + two.at_host.usage().bulk, 0);
}

#[tokio::test]
async fn who_closes_says_why() {
    let two = two().await;
    two.at_host
        .close(DeathReason::AccessRevoked, 0x102, "access\x1b[31m revoked");
    let end = timeout(SOON, two.at_client.ended()).await.unwrap();
    let SessionEnd::Link(LinkClosed::ByPeer { code, text }) = end else {
        panic!("{end:?}");
    };
    // What a peer says is shown in no terminal as it is.
    assert!(code == 0x102 && text.contains("revoked") && !text.contains('\x1b'));
    assert_eq!(two.proxy.death(), Some(DeathReason::AccessRevoked));
}

#[tokio::test]
async fn an_anonymous_stub_of_the_device_can_be_watched() {
    let two = two().await;
    let option = CallOption::two_way();
    let reply = two
        .proxy
        .send_request(ANOTHER, &Parcel::new(), option)
        .await;
    let stub = reply.unwrap().read_remote_object().unwrap();
    let (_link, mut told) = watch(&stub);
    two.at_host
        .close(DeathReason::ProcessDied, 0x100, "goodbye");
    let reason = timeout(SOON, told.recv()).await.unwrap().unwrap();
    assert_eq!(reason, DeathReason::HostGone);
    assert!(stub.is_dead());
}

#[tokio::test]
async fn a_second_listener_is_told_that_the_place_is_taken() {
    let two = two().await;
    let again = LocalListener::bind(&two.path, Arc::clone(&two.host));
    assert!(matches!(again.unwrap_err(), LocalError::InUse(path) if path == two.path));
    // A listener that goes leaves the place, and the sessions go on.
    drop(two.listener);
    assert!(!two.path.exists());
    echo(&two.proxy, 64, 0).await.unwrap();
    LocalListener::bind(&two.path, Arc::clone(&two.client)).unwrap();
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(
        local::attach(&path).await.unwrap_err(),
        LocalError::Absent(_)
    ));
    let bus = local::bus(DeviceId::from_bytes([7; 32]));
    LocalListener::bind(&path, bus).unwrap();
}

/// One that systemd has made holds no lock.
#[tokio::test]
async fn a_socket_that_somebody_else_listens_on_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    let somebodys = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let bus = local::bus(DeviceId::from_bytes([7; 32]));
    for _ in 0..3 {
        let refused = LocalListener::bind(&path, Arc::clone(&bus)).unwrap_err();
        assert!(matches!(refused, LocalError::InUse(found) if found == path));
    }
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(somebodys);
    LocalListener::bind(&path, bus).unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "precious").unwrap();
    let bus = local::bus(DeviceId::from_bytes([7; 32]));
    let refused = LocalListener::bind(&path, bus).unwrap_err();
    assert!(matches!(refused, LocalError::NotASocket(found) if found == path));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let two = two().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&two.path), 0o600);
    assert_eq!(mode(two.path.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn who_says_nothing_sensible_is_turned_away_and_others_are_let_in() {
    let two = two().await;
    let (accepted, stream) = tokio::join!(two.listener.accept(), async {
        let mut stream = tokio::net::UnixStream::connect(&two.path).await.unwrap();
        stream.write_all(&[0xff; 100]).await.unwrap();
        stream
    });
    assert!(matches!(accepted.unwrap_err(), LocalError::Protocol(_)));
    drop(stream);
    let (accepted, attached) = tokio::join!(two.listener.accept(), local::attach(&two.path));
    accepted.unwrap();
    attached.unwrap();
}

#[tokio::test]
async fn who_is_no_bus_is_not_attached_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (attached, _stream) = tokio::join!(local::attach(&path), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"220 mail ready, and more than 48 bytes of it, really\r\n")
            .await
            .unwrap();
        stream
    });
    assert!(matches!(attached.unwrap_err(), LocalError::Protocol(_)));
}

#[tokio::test]
async fn a_socket_pair_is_a_session_of_those_who_have_its_ends() {
    let host = local::bus(DeviceId::from_bytes([7; 32]));
    let options = ServiceOptions::distributed(Allow::trusted());
    let echo = RemoteObject::new(Echo);
    host.samgr().add(SERVICE, &echo, options).unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let (child, parent) = (
        Credentials { pid: 77, uid: 5 },
        Credentials { pid: 70, uid: 5 },
    );
    let (welcomed, joined) = tokio::join!(
        local::welcome(&host, ours, 3, child),
        local::join(theirs, parent)
    );
    let (_client, at_client) = joined.unwrap();
    assert_eq!(welcomed.unwrap().party().process, 3);
    let proxy = at_client.get_service(SERVICE, SOON).await.unwrap();
    let option = CallOption::two_way();
    let mut who = proxy
        .send_request(WHO, &Parcel::new(), option)
        .await
        .unwrap();
    let who = [(); 3].map(|()| who.read_u32().unwrap());
    assert_eq!(who, [1, 77, 5]);
}

#[tokio::test]
async fn a_socket_pair_whose_other_end_is_closed_is_no_session() {
    let host = local::bus(DeviceId::from_bytes([7; 32]));
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    let who = Credentials { pid: 77, uid: 5 };
    assert!(local::welcome(&host, ours, 3, who).await.is_err());
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    assert!(local::join(ours, who).await.is_err());
}
