//! `softbus/device.h`: what OpenHarmony leaves to other kits.
//!
//! Unsafe, because texts, options and places for results come as pointers; see `boundary.rs`.
#![expect(unsafe_code, reason = "functions that C calls")]

use std::{
    error::Error,
    ffi::{CStr, OsStr, c_char, c_int},
    net::SocketAddr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use softbus::{
    Allow, DeviceId, GetServiceError, Identity, Interfaces, Node, NodeBuilder, ServiceId,
    ServiceOptions, TrustStore,
    certs::{ChangeTrustError, ImportTrustError},
    error::StartNodeError,
    local::{self, LocalError},
    rpc::AddServiceError,
};

use crate::{
    boundary::{self, Out, guard},
    error,
    handle::Handles,
    parcel,
    remote::{OHIPCRemoteProxy, OHIPCRemoteStub, death, proxy, stub},
    runtime,
};

/// A node, to C.
enum SoftBusNode {}

static NODES: Handles<SoftBusNode, Node> = Handles::new(5);

/// `SoftBus_Error`.
const OK: c_int = 0;
const ARGUMENT: c_int = 1;
const ABSENT: c_int = 2;
const NOT_DISTRIBUTED: c_int = 3;
const REFUSED: c_int = 4;
const NOT_TRUSTED: c_int = 5;
const UNREACHABLE: c_int = 6;
const TIMED_OUT: c_int = 7;
const BUSY: c_int = 8;
const IDENTITY: c_int = 9;
const ADDRESS: c_int = 10;
const FAILED: c_int = 11;

/// `SoftBus_NodeOptions`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Options {
    size: u32,
    port: u16,
    mdns: u8,
    reserved: u8,
    identity_directory: *const c_char,
    listen: *const c_char,
    trust_file: *const c_char,
    peers: *const c_char,
    name: *const c_char,
}

/// An error with its number: the words go to who asks.
fn failed(number: c_int, error: &dyn Error) -> c_int {
    error::remember(error);
    number
}

/// An error of an argument, in words.
fn wrong(what: &str) -> c_int {
    boundary::set_last_error(what.to_owned());
    ARGUMENT
}

fn path_of(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}

fn text_of(text: &CStr) -> Result<&str, c_int> {
    text.to_str().map_err(|invalid| failed(ARGUMENT, &invalid))
}

fn device_of(text: &CStr) -> Result<DeviceId, c_int> {
    let parsed = text_of(text)?.parse::<DeviceId>();
    parsed.map_err(|invalid| failed(ARGUMENT, &invalid))
}

fn service_of(id: u32) -> Result<ServiceId, c_int> {
    ServiceId::new(id).ok_or_else(|| wrong("a service id is 1 to 0x00ffffff"))
}

fn node_of(node: *const SoftBusNode) -> Result<Node, c_int> {
    NODES
        .with(node, |node| node.clone())
        .ok_or_else(|| wrong("no node"))
}

/// What the options say, copied from the caller's memory.
struct Start {
    directory: PathBuf,
    trust_file: Option<PathBuf>,
    builder: NodeBuilder,
}

impl Start {
    /// # Safety
    /// The texts are strings, or NULL.
    unsafe fn read(options: &Options) -> Result<Self, c_int> {
        // SAFETY: promised by the caller, for this and the others.
        let text = |text| unsafe { boundary::c_str(text) };
        let directory = text(options.identity_directory).filter(|text| !text.is_empty());
        let directory = directory.ok_or_else(|| wrong("no identityDirectory"))?;
        let mut builder = Node::builder().port(options.port);
        if options.mdns != 0 {
            builder = builder.mdns(Interfaces::All);
        }
        if let Some(listen) = text(options.listen) {
            let address = text_of(listen)?.parse::<SocketAddr>();
            builder = builder.listen(address.map_err(|invalid| failed(ARGUMENT, &invalid))?);
        }
        if let Some(name) = text(options.name) {
            builder = builder.name(text_of(name)?);
        }
        for line in text(options.peers).map_or(Ok(""), text_of)?.lines() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (device, address) = line
                .rsplit_once(' ')
                .ok_or_else(|| wrong("a peer is an id and an address"))?;
            let device = device.trim().parse::<DeviceId>();
            let device = device.map_err(|invalid| failed(ARGUMENT, &invalid))?;
            let address = address.parse::<SocketAddr>();
            let address = address.map_err(|invalid| failed(ARGUMENT, &invalid))?;
            builder = builder.static_peer(device, address);
        }
        Ok(Self {
            directory: path_of(directory).to_owned(),
            trust_file: text(options.trust_file).map(|path| path_of(path).to_owned()),
            builder,
        })
    }

    fn start(self) -> Result<Node, c_int> {
        let identity = Identity::open(&self.directory);
        let identity = identity.map_err(|refused| failed(IDENTITY, &refused))?;
        let trust = TrustStore::open(&self.directory);
        let trust = trust.map_err(|refused| failed(IDENTITY, &refused))?;
        if let Some(list) = self.trust_file {
            // Before anybody can come.
            let imported = trust.import(list);
            imported.map_err(|refused| import_failed(&refused))?;
        }
        let builder = self.builder.identity(identity).trust(trust);
        let started = runtime::wait_there(move || builder.start());
        let started = started.map_err(|refused| failed(FAILED, &refused))?;
        started.map_err(|refused| {
            let number = match refused {
                StartNodeError::Bind { .. } => ADDRESS,
                StartNodeError::Identity(_) | StartNodeError::Trust(_) => IDENTITY,
                _ => FAILED,
            };
            failed(number, &refused)
        })
    }
}

/// The one place that gives changes of whom we trust their numbers.
fn trust_failed(error: &ChangeTrustError) -> c_int {
    let number = match error {
        ChangeTrustError::InvalidName => ARGUMENT,
        ChangeTrustError::Blocked { .. } => REFUSED,
        ChangeTrustError::Full => BUSY,
        ChangeTrustError::Open(_) | ChangeTrustError::Save(_) => IDENTITY,
        _ => FAILED,
    };
    failed(number, error)
}

fn import_failed(error: &ImportTrustError) -> c_int {
    match error {
        ImportTrustError::Change(refused) => trust_failed(refused),
        _ => failed(IDENTITY, error),
    }
}

/// The one place that gives look-ups their numbers.
fn look_up_failed(error: &GetServiceError) -> c_int {
    let number = match error {
        GetServiceError::Absent => ABSENT,
        GetServiceError::NotDistributed => NOT_DISTRIBUTED,
        GetServiceError::Refused => REFUSED,
        GetServiceError::DeviceNotTrusted | GetServiceError::NotTrustedByDevice => NOT_TRUSTED,
        GetServiceError::Unreachable(_) | GetServiceError::NoCommonVersion { .. } => UNREACHABLE,
        GetServiceError::TimedOut { .. } => TIMED_OUT,
        GetServiceError::Busy
        | GetServiceError::TooManyLoads { .. }
        | GetServiceError::TooManyRestarts { .. } => BUSY,
        _ => FAILED,
    };
    failed(number, error)
}

fn get(
    node: *mut SoftBusNode,
    service: u32,
    device: Option<&CStr>,
    wait_ms: u32,
    until_there: bool,
) -> Result<*mut OHIPCRemoteProxy, c_int> {
    let node = node_of(node)?;
    let service = service_of(service)?;
    let device = device.map_or_else(|| Ok(node.device_id()), device_of)?;
    let wait = match wait_ms {
        0 => softbus::rpc::limits::DEFAULT_WAIT,
        ms => Duration::from_millis(ms.into()),
    };
    let found = runtime::wait_there(move || async move {
        let samgr = node.samgr();
        if until_there {
            samgr.wait_for(service, &device, wait).await
        } else {
            samgr.get_within(service, &device, wait).await
        }
    });
    let found = found.map_err(|refused| failed(FAILED, &refused))?;
    found
        .map(proxy::handle)
        .map_err(|refused| look_up_failed(&refused))
}

/// A result as its number.
fn number(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(OK)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Node_Start(
    options: *const Options,
    node: *mut *mut SoftBusNode,
) -> c_int {
    // SAFETY: the caller's options and the place for the result, or NULL.
    let (options, out) = unsafe { (boundary::read(options), Out::new(node)) };
    guard(FAILED, || {
        let (Some(options), Some(out)) = (options, out) else {
            return wrong("no options, or no place for the node");
        };
        if (options.size as usize) < size_of::<Options>() {
            return wrong("options of another size");
        }
        // SAFETY: the caller's strings.
        let start = unsafe { Start::read(&options) };
        number(start.and_then(Start::start).map(|node| {
            out.set(NODES.insert(node));
        }))
    })
}

/// The one place that gives failures to attach their numbers.
fn attach_failed(error: &StartNodeError) -> c_int {
    let number = match error {
        StartNodeError::Local(LocalError::Absent(_) | LocalError::TimedOut) => UNREACHABLE,
        StartNodeError::Local(LocalError::Denied(_)) => REFUSED,
        StartNodeError::Local(LocalError::Busy { .. } | LocalError::TooManyAtOnce { .. }) => BUSY,
        _ => FAILED,
    };
    failed(number, error)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Node_Attach(
    path: *const c_char,
    node: *mut *mut SoftBusNode,
) -> c_int {
    // SAFETY: the caller's string and the place for the result, or NULL.
    let (path, out) = unsafe { (boundary::c_str(path), Out::new(node)) };
    guard(FAILED, || {
        let Some(out) = out else {
            return wrong("no place for the node");
        };
        let path = path.map_or_else(local::default_path, |path| path_of(path).to_owned());
        let attached = runtime::wait_there(move || Node::attach(path));
        match attached {
            Ok(Ok(node)) => {
                out.set(NODES.insert(node));
                OK
            }
            Ok(Err(refused)) => attach_failed(&refused),
            Err(refused) => failed(FAILED, &refused),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn SoftBus_Node_Stop(node: *mut SoftBusNode) {
    guard((), || {
        if let Some(node) = NODES.remove(node) {
            let _ = runtime::wait_there(move || async move { node.shutdown().await });
        }
    });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Node_GetDeviceId(
    node: *const SoftBusNode,
    text: *mut c_char,
    size: u32,
) -> c_int {
    guard(FAILED, || {
        number(node_of(node).and_then(|node| {
            let id = node.device_id().to_string();
            // SAFETY: the caller says how long its buffer is, or NULL.
            let written = unsafe { boundary::write_text(text, size as usize, &id) };
            written.ok_or_else(|| wrong("no room for the device id"))
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn SoftBus_Node_GetPort(node: *const SoftBusNode) -> u16 {
    guard(0, || {
        let address = node_of(node).ok().and_then(|node| node.local_addr());
        address.map_or(0, |address| address.port())
    })
}

/// Whom a node trusts. One that is attached to the host of its device's bus trusts nobody itself.
fn trust_of(node: &Node) -> Result<&TrustStore, c_int> {
    node.trust()
        .ok_or_else(|| wrong("an attached node has no trust store"))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Node_Trust(
    node: *mut SoftBusNode,
    device: *const c_char,
    name: *const c_char,
) -> c_int {
    // SAFETY: the caller's strings, or NULL.
    let (device, name) = unsafe { (boundary::c_str(device), boundary::c_str(name)) };
    guard(FAILED, || {
        number(node_of(node).and_then(|node| {
            let device = device_of(device.ok_or_else(|| wrong("no device"))?)?;
            let trusted = trust_of(&node)?.trust(device, text_of(name.unwrap_or_default())?);
            trusted.map_err(|refused| trust_failed(&refused))
        }))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Node_Forget(node: *mut SoftBusNode, device: *const c_char) -> c_int {
    // SAFETY: the caller's string, or NULL.
    let device = unsafe { boundary::c_str(device) };
    guard(FAILED, || {
        number(node_of(node).and_then(|node| {
            let device = device_of(device.ok_or_else(|| wrong("no device"))?)?;
            let forgotten = trust_of(&node)?.forget(&device);
            match forgotten.map_err(|refused| trust_failed(&refused))? {
                true => Ok(()),
                false => {
                    error::say("it was not trusted");
                    Err(ABSENT)
                }
            }
        }))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Node_LoadTrust(node: *mut SoftBusNode, path: *const c_char) -> c_int {
    // SAFETY: the caller's string, or NULL.
    let path = unsafe { boundary::c_str(path) };
    guard(FAILED, || {
        number(node_of(node).and_then(|node| {
            let path = path_of(path.ok_or_else(|| wrong("no path"))?);
            let imported = trust_of(&node)?.import(path);
            imported
                .map(drop)
                .map_err(|refused| import_failed(&refused))
        }))
    })
}

/// The one place that gives refused registrations their numbers.
fn add_failed(error: &AddServiceError) -> c_int {
    let number = match error {
        AddServiceError::LimitReached { .. } => BUSY,
        AddServiceError::NotOurs | AddServiceError::DeadObject => ARGUMENT,
        AddServiceError::HeldByAnother | AddServiceError::Refused => REFUSED,
        AddServiceError::HostUnreachable(_) => UNREACHABLE,
        _ => FAILED,
    };
    failed(number, error)
}

#[unsafe(no_mangle)]
extern "C" fn SoftBus_Service_Add(
    node: *mut SoftBusNode,
    service: u32,
    object: *const OHIPCRemoteStub,
    access: c_int,
) -> c_int {
    guard(FAILED, || {
        number(node_of(node).and_then(|node| {
            let service = service_of(service)?;
            let object = stub::object(object).ok_or_else(|| wrong("no stub"))?;
            let options = match access {
                0 => ServiceOptions::local(),
                1 => ServiceOptions::distributed(Allow::trusted()),
                _ => return Err(wrong("no such access")),
            };
            let added = runtime::wait_there(move || async move {
                // Waits for the host, if there is one.
                node.samgr().register(service, &object, options).await
            });
            let added = added.map_err(|refused| failed(FAILED, &refused))?;
            added.map_err(|refused| add_failed(&refused))
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn SoftBus_Service_Remove(node: *mut SoftBusNode, service: u32) -> c_int {
    guard(FAILED, || {
        number(node_of(node).and_then(|node| {
            let removed = node.samgr().remove(service_of(service)?);
            removed.map_err(|refused| failed(ABSENT, &refused))
        }))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Service_Get(
    node: *mut SoftBusNode,
    service: u32,
    device: *const c_char,
    wait_ms: u32,
    proxy: *mut *mut OHIPCRemoteProxy,
) -> c_int {
    // SAFETY: handed on to our caller.
    unsafe { look_up(node, service, device, wait_ms, proxy, false) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn SoftBus_Service_WaitFor(
    node: *mut SoftBusNode,
    service: u32,
    device: *const c_char,
    wait_ms: u32,
    proxy: *mut *mut OHIPCRemoteProxy,
) -> c_int {
    // SAFETY: handed on to our caller.
    unsafe { look_up(node, service, device, wait_ms, proxy, true) }
}

/// # Safety
/// `device` is a string or NULL, and the result may go to `proxy`, or it is NULL.
unsafe fn look_up(
    node: *mut SoftBusNode,
    service: u32,
    device: *const c_char,
    wait_ms: u32,
    proxy: *mut *mut OHIPCRemoteProxy,
    until_there: bool,
) -> c_int {
    // SAFETY: promised by the caller.
    let (device, out) = unsafe { (boundary::c_str(device), Out::new(proxy)) };
    guard(FAILED, || {
        let Some(out) = out else {
            return wrong("no place for the proxy");
        };
        let found = get(node, service, device, wait_ms, until_there);
        number(found.map(|proxy| out.set(proxy)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn SoftBus_LastError() -> *const c_char {
    boundary::last_error()
}

#[unsafe(no_mangle)]
extern "C" fn SoftBus_HandleCount() -> u32 {
    guard(0, || {
        let all = parcel::count() + stub::count() + proxy::count() + death::count();
        u32::try_from(all + NODES.count()).unwrap_or(u32::MAX)
    })
}
