//! Proxies: calling objects elsewhere.
//!
//! Unsafe, because options and places for results come as pointers; see `boundary.rs`.
#![expect(unsafe_code, reason = "functions that C calls")]

use std::{
    ffi::{c_char, c_int, c_void},
    time::Duration,
};

use softbus::{CallOption, RemoteObject, SendRequestError};

use super::death::Watch;
use crate::{
    boundary::{self, Allocator, OutText, guard},
    error::{self, CODE_OUT_OF_RANGE, INNER, SUCCESS},
    handle::Handles,
    parcel::{self, OHIPCParcel},
    runtime,
};

/// A proxy, to C.
pub(crate) enum OHIPCRemoteProxy {}

pub(super) static PROXIES: Handles<OHIPCRemoteProxy, Proxy> = Handles::new(3);

/// What a handle of a proxy stands for.
pub(super) struct Proxy {
    object: RemoteObject,
    /// Who is to be told of its death.
    pub(super) watches: Vec<Watch>,
}

/// `OH_IPC_MessageOption`.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct MessageOption {
    mode: c_int,
    timeout: u32,
    reserved: *mut c_void,
}

const SYNC: c_int = 0;
const ASYNC: c_int = 1;
const FIRST_CODE: u32 = 0x01;
const LAST_CODE: u32 = 0x00ff_ffff;

/// A new handle for an object.
pub(crate) fn handle(object: RemoteObject) -> *mut OHIPCRemoteProxy {
    PROXIES.insert(Proxy {
        object,
        watches: Vec::new(),
    })
}

/// The object of a handle.
pub(crate) fn object(proxy: *const OHIPCRemoteProxy) -> Option<RemoteObject> {
    PROXIES.with(proxy, |proxy| proxy.object.clone())
}

/// How many proxies there are.
pub(crate) fn count() -> usize {
    PROXIES.count()
}

/// How a request is sent. The time-out is for other devices, as its documentation says.
fn call_option(object: &RemoteObject, mode: c_int, timeout: u32) -> CallOption {
    let option = if mode == ASYNC {
        CallOption::one_way()
    } else {
        CallOption::two_way()
    };
    let elsewhere = object
        .as_proxy()
        .is_some_and(|proxy| !proxy.is_on_this_device());
    if timeout > 0 && elsewhere {
        option.wait(Duration::from_secs(timeout.into()))
    } else {
        option
    }
}

fn send_request(
    proxy: *const OHIPCRemoteProxy,
    code: u32,
    data: *const OHIPCParcel,
    reply: *mut OHIPCParcel,
    option: Option<MessageOption>,
) -> c_int {
    let option = option.unwrap_or(MessageOption {
        mode: SYNC,
        timeout: 0,
        reserved: std::ptr::null_mut(),
    });
    let (Some(object), Some(data)) = (object(proxy), parcel::copy_of(data)) else {
        return error::check_param();
    };
    if !{ option.reserved }.is_null() {
        return error::check_param();
    }
    if !(FIRST_CODE..=LAST_CODE).contains(&code) {
        error::remember(&SendRequestError::InvalidCode { code });
        return CODE_OUT_OF_RANGE;
    }
    let wants_reply = parcel::is_valid(reply);
    if !wants_reply && option.mode == SYNC {
        return error::check_param();
    }
    let option = call_option(&object, option.mode, option.timeout);
    match runtime::wait(object.send_request(code, &data, option)) {
        Ok(Ok(answer)) if wants_reply && !option.is_one_way() => parcel::fill(reply, answer),
        Ok(Ok(_)) => SUCCESS,
        Ok(Err(refused)) => error::of_request(&refused),
        Err(refused) => error::inner(&refused),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCRemoteProxy_SendRequest(
    proxy: *const OHIPCRemoteProxy,
    code: u32,
    data: *const OHIPCParcel,
    reply: *mut OHIPCParcel,
    option: *const MessageOption,
) -> c_int {
    // SAFETY: the caller's option, or NULL.
    let option = unsafe { boundary::read(option) };
    guard(INNER, || send_request(proxy, code, data, reply, option))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCRemoteProxy_GetInterfaceDescriptor(
    proxy: *mut OHIPCRemoteProxy,
    descriptor: *mut *mut c_char,
    len: *mut i32,
    allocator: Allocator,
) -> c_int {
    // SAFETY: the caller says that results may go there, or NULL, and what its allocator returns.
    let out = unsafe { OutText::new(descriptor, len, allocator) };
    guard(INNER, || {
        let (Some(object), Some(out)) = (object(proxy), out) else {
            return error::check_param();
        };
        let asked = runtime::wait(async {
            if let Some(reason) = object.death() {
                return Err(SendRequestError::DeadObject { reason });
            }
            object.descriptor().await
        });
        match asked {
            Ok(Ok(text)) => out.set(&text),
            Ok(Err(refused)) => error::of_request(&refused),
            Err(refused) => error::inner(&refused),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCRemoteProxy_IsRemoteDead(proxy: *const OHIPCRemoteProxy) -> c_int {
    guard(1, || {
        object(proxy).map_or(1, |object| c_int::from(object.is_dead()))
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCRemoteProxy_Destroy(proxy: *mut OHIPCRemoteProxy) {
    guard((), || {
        let Some(Proxy { object, watches }) = PROXIES.remove(proxy) else {
            return;
        };
        for watch in watches {
            watch.take_back();
        }
        drop(object);
    });
}
