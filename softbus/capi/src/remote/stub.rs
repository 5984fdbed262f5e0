//! Stubs: objects whose requests a callback of C's answers.
//!
//! Unsafe, because a descriptor comes as a pointer; see `boundary.rs`.
#![expect(unsafe_code, reason = "functions that C calls")]

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use softbus::{
    Caller, HandlerError, Parcel, RemoteObject, RemoteStub, async_trait,
    rpc::{Execution, StubOptions, parcel::MAX_TOKEN_LEN},
};

use super::{DestroyCallback, Destroyed};
use crate::{
    boundary::{self, UserData, guard},
    error,
    handle::Handles,
    parcel::{Given, OHIPCParcel},
    skeleton::identity,
};

/// A stub, to C.
pub(crate) enum OHIPCRemoteStub {}

static STUBS: Handles<OHIPCRemoteStub, RemoteObject> = Handles::new(2);

/// `OH_OnRemoteRequestCallback`.
type RequestCallback = extern "C" fn(
    code: u32,
    data: *const OHIPCParcel,
    reply: *mut OHIPCParcel,
    user_data: *mut c_void,
) -> c_int;

struct Stub {
    descriptor: String,
    request: RequestCallback,
    /// Last: nothing of the stub is in use any more when C is told that it is gone.
    destroyed: Destroyed,
}

#[async_trait]
impl RemoteStub for Stub {
    fn descriptor(&self) -> &str {
        &self.descriptor
    }

    fn options(&self) -> StubOptions {
        // A C function blocks whatever it likes.
        StubOptions::execution(Execution::Blocking)
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let given = Given::new(data, reply);
        let user_data = self.destroyed.user_data;
        let answer = identity::within(caller, || {
            (self.request)(code, given.data, given.reply, user_data.get())
        });
        *reply = given.end();
        error::from_callback(answer)
    }
}

/// A new handle for an object.
pub(crate) fn handle(object: RemoteObject) -> *mut OHIPCRemoteStub {
    STUBS.insert(object)
}

/// The object of a handle.
pub(crate) fn object(stub: *const OHIPCRemoteStub) -> Option<RemoteObject> {
    STUBS.with(stub, |object| object.clone())
}

/// How many stubs there are.
pub(crate) fn count() -> usize {
    STUBS.count()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCRemoteStub_Create(
    descriptor: *const c_char,
    request: Option<RequestCallback>,
    destroy: DestroyCallback,
    user_data: *mut c_void,
) -> *mut OHIPCRemoteStub {
    // SAFETY: the caller's string, or NULL.
    let descriptor = unsafe { boundary::c_str(descriptor) };
    guard(ptr::null_mut(), || {
        let text = descriptor.and_then(|descriptor| descriptor.to_str().ok());
        let text = text.filter(|text| !text.is_empty() && text.len() <= MAX_TOKEN_LEN);
        let (Some(text), Some(request)) = (text, request) else {
            error::invalid();
            return ptr::null_mut();
        };
        handle(RemoteObject::new(Stub {
            descriptor: text.to_owned(),
            request,
            destroyed: Destroyed {
                callback: destroy,
                user_data: UserData::new(user_data),
            },
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCRemoteStub_Destroy(stub: *mut OHIPCRemoteStub) {
    guard((), || drop(STUBS.remove(stub)));
}
