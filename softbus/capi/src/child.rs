//! `softbus/child.h`: sessions of a process and the children it has started.
//!
//! The child reports to its parent by a call: its stub, or why there is none. So what the parent holds is an anonymous
//! object of another local process, like any that came in a parcel.
//!
//! Unsafe, because sockets come as numbers that their callers give away.
#![expect(unsafe_code, reason = "functions that C calls")]

use std::{
    collections::HashMap,
    error::Error,
    ffi::c_int,
    io::{self, Write},
    os::{
        fd::{FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use softbus::{
    Allow, CallOption, Caller, DeviceId, HandlerError, Parcel, RemoteObject, RemoteStub, ServiceId,
    ServiceOptions, async_trait,
    local::{self, LocalError},
    rpc::{Bus, Peer, limits::HANDSHAKE_TIME, opening::Credentials},
};
use tokio::{io::AsyncReadExt, sync::oneshot};

use crate::{
    boundary::{Out, guard},
    error::{self, CHECK_PARAM, DEAD_REMOTE_OBJECT, INNER, SUCCESS},
    remote::{OHIPCRemoteProxy, OHIPCRemoteStub, proxy, stub},
    runtime,
};

/// Under which id a parent is there for its children.
const PARENT: ServiceId = ServiceId::new(1).unwrap();
/// *This is my object*, or the error in its place.
const REPORT: u32 = 1;

/// `SOFTBUS_ERR_TIMED_OUT`, for a child that is late.
const TIMED_OUT: c_int = 7;

/// What a child reports.
type Report = Result<RemoteObject, c_int>;

/// Why there is no child, or no parent: a number, and words for the thread that asked, which this is found out on another of.
struct Failure {
    number: c_int,
    words: String,
}

impl Failure {
    fn new(number: c_int, why: &dyn Error) -> Self {
        let words = error::text_of(why);
        Self { number, words }
    }

    /// What a function returns.
    fn tell(self) -> c_int {
        match self.number {
            INNER => error::explain(&self.words),
            _ => error::say(&self.words),
        }
        self.number
    }
}

/// Children whose report is waited for, by the number of their process.
static EXPECTED: Mutex<Option<HashMap<u32, oneshot::Sender<Report>>>> = Mutex::new(None);

/// This process's bus for its children.
static BUS: LazyLock<Arc<Bus>> = LazyLock::new(|| {
    let mut device = [0; 32];
    // Without random bytes no session can be opened either, and that is said there.
    let _ = getrandom::fill(&mut device);
    let bus = local::bus(DeviceId::from_bytes(device));
    let options = ServiceOptions::distributed(Allow::trusted());
    if let Err(refused) = bus.samgr().add(PARENT, &RemoteObject::new(Parent), options) {
        error::inner(&refused);
    }
    bus
});

/// The session with the parent, in a child.
static TO_PARENT: Mutex<Option<(Arc<Bus>, Peer)>> = Mutex::new(None);
static LEAVING: AtomicBool = AtomicBool::new(false);

struct Parent;

#[async_trait]
impl RemoteStub for Parent {
    fn descriptor(&self) -> &str {
        "softbus.Parent"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        if code != REPORT {
            return Err(HandlerError::UnknownMethod);
        }
        let report = match data.read_i32()? {
            SUCCESS => Ok(data.read_remote_object()?),
            error => Err(error),
        };
        let expected = caller
            .pid()
            .and_then(|pid| expected().get_or_insert_default().remove(&pid));
        let expected = expected.ok_or(HandlerError::Refused)?;
        expected.send(report).map_err(|_| HandlerError::Refused)
    }
}

fn expected() -> MutexGuard<'static, Option<HashMap<u32, oneshot::Sender<Report>>>> {
    EXPECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_parent() -> MutexGuard<'static, Option<(Arc<Bus>, Peer)>> {
    TO_PARENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process's user as that of a process it has started, or that has started it.
fn credentials(pid: u32) -> Credentials {
    let uid = rustix::process::getuid().as_raw();
    Credentials { pid, uid }
}

async fn accept(socket: UnixStream, pid: u32, wait: Duration) -> Result<RemoteObject, Failure> {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    let (sender, mut report) = oneshot::channel();
    expected().get_or_insert_default().insert(pid, sender);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let accepted = async {
        let socket = begun(socket).await;
        let socket = socket.map_err(|ended| Failure::new(DEAD_REMOTE_OBJECT, &ended))?;
        let peer = local::welcome(&BUS, socket, number, credentials(pid)).await;
        let peer = peer.map_err(|refused| gone_or(TIMED_OUT, &refused))?;
        // Lives until either process ends it, whatever becomes of who waits here.
        let session = peer.clone();
        tokio::spawn(async move { session.ended().await });
        tokio::select! {
            // What it has reported before its end counts.
            biased;
            report = &mut report => {
                let report = report.map_err(|unheard| Failure::new(INNER, &unheard))?;
                report.map_err(|number| Failure {
                    number,
                    words: format!("the child has reported {number}"),
                })
            }
            _ = peer.ended() => Err(Failure {
                number: DEAD_REMOTE_OBJECT,
                words: "the child has ended".to_owned(),
            }),
        }
    };
    let accepted = tokio::time::timeout(wait, accepted).await;
    expected().get_or_insert_default().remove(&pid);
    accepted.unwrap_or_else(|late| Err(Failure::new(TIMED_OUT, &late)))
}

/// Why there is no session with a process: `late` if it is there and says nothing.
fn gone_or(late: c_int, error: &LocalError) -> Failure {
    let number = match error {
        LocalError::TimedOut => late,
        // It has ended, or is none of ours.
        _ => DEAD_REMOTE_OBJECT,
    };
    Failure::new(number, error)
}

/// Waits until the child is there to open a session, which then has little time: what comes before, loading libraries and
/// running their constructors, may take as long as it likes.
async fn begun(socket: UnixStream) -> io::Result<UnixStream> {
    socket.set_nonblocking(true)?;
    let mut socket = tokio::net::UnixStream::from_std(socket)?;
    socket.read_u8().await?;
    socket.into_std()
}

async fn report(mut socket: UnixStream, parent: u32, mine: Report) -> Result<(), Failure> {
    // One byte in an empty socket never waits.
    let written = socket.write_all(&[1]);
    written.map_err(|ended| Failure::new(DEAD_REMOTE_OBJECT, &ended))?;
    let joined = local::join(socket, credentials(parent)).await;
    let (bus, peer) = joined.map_err(|refused| gone_or(INNER, &refused))?;
    let session = peer.clone();
    tokio::spawn(async move {
        session.ended().await;
        if !LEAVING.load(Ordering::Acquire) {
            end_with_parent();
        }
    });
    *to_parent() = Some((bus, peer.clone()));
    let inner = |refused: &dyn Error| Failure::new(INNER, refused);
    let parent = peer.get_service(PARENT, HANDSHAKE_TIME).await;
    let parent = parent.map_err(|refused| inner(&refused))?;
    let mut data = Parcel::new();
    let written = match &mine {
        Ok(object) => data
            .write_i32(SUCCESS)
            .and_then(|()| data.write_remote_object(object)),
        Err(error) => data.write_i32(*error),
    };
    written.map_err(|refused| inner(&refused))?;
    let option = CallOption::two_way().wait(HANDSHAKE_TIME);
    let sent = parent.send_request(REPORT, &data, option).await;
    sent.map(drop).map_err(|refused| {
        let number = error::number_of(&refused).unwrap_or(INNER);
        Failure::new(number, &refused)
    })
}

/// A child whose parent is gone is nobody's.
fn end_with_parent() {
    // SAFETY: ends the process at once, which needs nothing of it. Not `exit`: its handlers would run beside the thread
    // of the application.
    unsafe { libc::_exit(1) }
}

/// A socket that C gives away.
///
/// # Safety
/// It is open and nobody else's, or no descriptor at all.
unsafe fn socket_of(socket: RawFd) -> Option<UnixStream> {
    // SAFETY: promised by the caller, and not -1.
    let socket = (socket >= 0).then(|| unsafe { OwnedFd::from_raw_fd(socket) })?;
    // It may be one that a program that is started has inherited: no other is to.
    let _ = rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC);
    Some(UnixStream::from(socket))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Child_Accept(
    socket: RawFd,
    pid: i32,
    wait_ms: u32,
    proxy: *mut *mut OHIPCRemoteProxy,
) -> c_int {
    // SAFETY: the caller gives its socket away, and says that the result may go there, or NULL.
    let (socket, out) = unsafe { (socket_of(socket), Out::new(proxy)) };
    guard(INNER, || {
        let (Some(socket), Some(out), Ok(pid @ 1..)) = (socket, out, u32::try_from(pid)) else {
            return error::check_param();
        };
        let wait = Duration::from_millis(wait_ms.into());
        match runtime::wait_there(move || accept(socket, pid, wait)) {
            Ok(Ok(object)) => {
                out.set(proxy::handle(object));
                SUCCESS
            }
            Ok(Err(failure)) => failure.tell(),
            Err(refused) => error::inner(&refused),
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Child_Report(
    socket: RawFd,
    parent: i32,
    error: c_int,
    stub: *const OHIPCRemoteStub,
) -> c_int {
    // SAFETY: the caller gives its socket away.
    let socket = unsafe { socket_of(socket) };
    guard(INNER, || {
        let (Some(socket), Ok(parent @ 1..)) = (socket, u32::try_from(parent)) else {
            return error::check_param();
        };
        let mine = match (error, stub::object(stub)) {
            (SUCCESS, Some(object)) => Ok(object),
            // The parent is told as well: it would wait for nothing.
            (SUCCESS, None) => Err(CHECK_PARAM),
            (error, _) => Err(error),
        };
        let no_stub = error == SUCCESS && mine.is_err();
        let reported = runtime::wait_there(move || report(socket, parent, mine));
        match reported {
            _ if no_stub => error::check_param(),
            Ok(Ok(())) => SUCCESS,
            Ok(Err(failure)) => failure.tell(),
            Err(refused) => error::inner(&refused),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn SoftBus_Child_Leave() {
    guard((), || {
        LEAVING.store(true, Ordering::Release);
        let to_parent = to_parent().take();
        if let Some((bus, peer)) = to_parent {
            let _ = runtime::wait_there(move || async move {
                peer.leave(0, "the child ends").await;
                drop(bus);
            });
        }
        runtime::stop();
    });
}
