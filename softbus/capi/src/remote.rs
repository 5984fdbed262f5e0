//! `IPCKit/ipc_cremote_object.h`: stubs, proxies, death recipients.

pub(crate) mod death;
pub(crate) mod proxy;
pub(crate) mod stub;

pub(crate) use proxy::OHIPCRemoteProxy;
pub(crate) use stub::OHIPCRemoteStub;

use std::ffi::c_void;

use crate::{boundary::UserData, runtime};

/// A callback that says: the last reference is gone. A C function, or NULL.
pub(crate) type DestroyCallback = Option<extern "C" fn(user_data: *mut c_void)>;

/// Makes that callback when it is dropped itself.
#[derive(Debug)]
struct Destroyed {
    callback: DestroyCallback,
    user_data: UserData,
}

impl Drop for Destroyed {
    fn drop(&mut self) {
        let Some(callback) = self.callback else {
            return;
        };
        let user_data = self.user_data;
        if runtime::is_here() {
            // It may call, and wait for what only this thread can bring.
            runtime::aside(move || callback(user_data.get()));
        } else {
            callback(user_data.get());
        }
    }
}
