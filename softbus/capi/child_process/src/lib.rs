//! `AbilityKit/native_child_process.h`: starts a program that loads a library, and hands over a proxy of its stub.
//!
//! The child is a program of its own, `softbus-child`, that lies beside this library (or is named by the environment
//! variable `SOFTBUS_CHILD`): a fork of a process with threads would be of no use, and the application's own program would
//! run its constructors again. It gets one end of a socket pair, and with it a session with its parent; see
//! `softbus/child.h`, whose functions are those of `libipc_capi.so` and the only ones used here.
//!
//! Unsafe, because it is C on both sides.
#![expect(unsafe_code, reason = "functions of C, called and offered")]

use std::{
    env,
    ffi::{CStr, OsStr, OsString, c_char, c_int},
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, IntoRawFd},
        unix::{ffi::OsStrExt, net::UnixStream, process::CommandExt},
    },
    panic::catch_unwind,
    path::{Path, PathBuf},
    process::{Child, Command},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// `Ability_NativeChildProcess_ErrCode`.
const NO_ERROR: c_int = 0;
const INVALID_PARAM: c_int = 401;
const NOT_SUPPORTED: c_int = 801;
const INTERNAL: c_int = 16_000_050;
const TIMEOUT: c_int = 16_010_002;
const SERVICE_ERROR: c_int = 16_010_003;
const ALREADY_IN_CHILD: c_int = 16_010_005;
const MAX_CHILD_PROCESSES_REACHED: c_int = 16_010_006;
const LIB_LOADING_FAILED: c_int = 16_010_007;
const CONNECTION_FAILED: c_int = 16_010_008;

/// What `SoftBus_Child_Accept` returns for a child that has ended: `OH_IPC_DEAD_REMOTE_OBJECT`.
const DEAD_REMOTE_OBJECT: c_int = 1_901_005;
/// For one whose stub was no handle: `OH_IPC_CHECK_PARAM_ERROR`, as the child has reported.
const CHECK_PARAM: c_int = 1_901_000;
/// For one that is late: `SOFTBUS_ERR_TIMED_OUT`.
const TIMED_OUT: c_int = 7;

/// Children of a process at a time, as in OpenHarmony.
const MAX_CHILDREN: usize = 50;
/// How long a child may take until it has its stub.
const START_MS: u32 = 30_000;
/// The program that a child runs.
const LAUNCHER: &str = "softbus-child";
/// Where it is, if it is not beside this library.
const LAUNCHER_VARIABLE: &str = "SOFTBUS_CHILD";

static CHILDREN: AtomicUsize = AtomicUsize::new(0);

/// A proxy, to C. Here it is handed on and no more.
enum OHIPCRemoteProxy {}

/// `OH_Ability_OnNativeChildProcessStarted`.
type Started = extern "C" fn(error: c_int, proxy: *mut OHIPCRemoteProxy);

unsafe extern "C" {
    fn SoftBus_Child_Accept(
        socket: c_int,
        pid: i32,
        wait_ms: u32,
        proxy: *mut *mut OHIPCRemoteProxy,
    ) -> c_int;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_Ability_CreateNativeChildProcess(
    library: *const c_char,
    started: Option<Started>,
) -> c_int {
    let Some(started) = started.filter(|_| !library.is_null()) else {
        return INVALID_PARAM;
    };
    // SAFETY: not NULL, and the caller's string.
    let library = OsStr::from_bytes(unsafe { CStr::from_ptr(library) }.to_bytes()).to_owned();
    // A panic of ours must not go further; the application's callback is not in here.
    let begun = catch_unwind(|| begin(&library)).unwrap_or(Err(INTERNAL));
    let (error, proxy) = match begun {
        Ok(begun) => begun,
        Err(refused) => return refused,
    };
    started(error, proxy);
    NO_ERROR
}

/// Starts a child. An error is one before anything was tried.
fn begin(library: &OsStr) -> Result<(c_int, *mut OHIPCRemoteProxy), c_int> {
    if library.is_empty() {
        return Err(INVALID_PARAM);
    }
    let own = env::current_exe().unwrap_or_default();
    if own.file_name() == Some(OsStr::new(LAUNCHER)) {
        return Err(ALREADY_IN_CHILD);
    }
    let files = Files::find().ok_or(NOT_SUPPORTED)?;
    let place = Place::take().ok_or(MAX_CHILD_PROCESSES_REACHED)?;
    let beside = own.parent().unwrap_or_else(|| Path::new(""));
    Ok(match spawn(&files, library, beside) {
        Ok((child, socket)) => await_start(child, socket, place),
        Err(_) => (SERVICE_ERROR, ptr::null_mut()),
    })
}

/// One of the children there may be; given back when the process has ended.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |children| (children < MAX_CHILDREN).then_some(children + 1);
        let taken = CHILDREN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        CHILDREN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a child is started with.
struct Files {
    launcher: PathBuf,
    /// `libipc_capi.so` and this library, as this process has them: the child is to have the same.
    libraries: [PathBuf; 2],
}

impl Files {
    fn find() -> Option<Self> {
        let maps = fs::read("/proc/self/maps").ok()?;
        let capi = file_of(&maps, SoftBus_Child_Accept as *const () as usize)?;
        let own = file_of(
            &maps,
            OH_Ability_CreateNativeChildProcess as *const () as usize,
        )?;
        let beside = || own.with_file_name(LAUNCHER);
        let launcher = env::var_os(LAUNCHER_VARIABLE).map_or_else(beside, PathBuf::from);
        launcher.is_file().then_some(Self {
            launcher,
            libraries: [capi, own],
        })
    }
}

/// The file that is mapped at an address.
fn file_of(maps: &[u8], address: usize) -> Option<PathBuf> {
    maps.split(|byte| *byte == b'\n').find_map(|line| {
        let (range, _) = line.split_at(line.iter().position(|byte| *byte == b' ')?);
        let (begin, end) = std::str::from_utf8(range).ok()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let here = (number(begin)?..number(end)?).contains(&address);
        let path = line.iter().position(|byte| *byte == b'/')?;
        here.then(|| PathBuf::from(OsStr::from_bytes(&line[path..])))
    })
}

fn spawn(files: &Files, library: &OsStr, beside: &Path) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(&files.launcher);
    command
        .arg(theirs.as_raw_fd().to_string())
        .arg(std::process::id().to_string())
        .args(&files.libraries)
        .arg(library)
        .arg(candidate(library, beside));
    let number = theirs.as_raw_fd();
    let inherit = move || {
        // SAFETY: `theirs` is open until the child has been started.
        let theirs = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        Ok(rustix::io::fcntl_setfd(
            theirs.as_fd(),
            rustix::io::FdFlags::empty(),
        )?)
    };
    // SAFETY: between fork and exec there is one system call, which allocates nothing and takes no lock.
    unsafe { command.pre_exec(inherit) };
    let child = command.spawn()?;
    drop(theirs);
    Ok((child, ours))
}

/// Where a library also may be: beside the program.
fn candidate(library: &OsStr, beside: &Path) -> OsString {
    beside.join(library).into_os_string()
}

/// Waits for a child's stub, and for its end on a thread of its own.
fn await_start(
    mut child: Child,
    socket: UnixStream,
    place: Place,
) -> (c_int, *mut OHIPCRemoteProxy) {
    let mut proxy = ptr::null_mut();
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    // SAFETY: the socket is given away, and the result has its place.
    let error =
        unsafe { SoftBus_Child_Accept(socket.into_raw_fd(), pid, START_MS, &raw mut proxy) };
    if error != NO_ERROR {
        let _ = child.kill();
    }
    let waited = thread::Builder::new()
        .name("child".to_owned())
        .spawn(move || {
            let _ = child.wait();
            drop(place);
        });
    // Without a thread it stays a zombie until this process ends, and a place is lost with it.
    drop(waited);
    match error {
        NO_ERROR => (NO_ERROR, proxy),
        LIB_LOADING_FAILED | CONNECTION_FAILED => (error, ptr::null_mut()),
        CHECK_PARAM => (CONNECTION_FAILED, ptr::null_mut()),
        DEAD_REMOTE_OBJECT => (SERVICE_ERROR, ptr::null_mut()),
        TIMED_OUT => (TIMEOUT, ptr::null_mut()),
        _ => (INTERNAL, ptr::null_mut()),
    }
}
