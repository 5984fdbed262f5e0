//! What the camera offers.

use std::sync::{Mutex, PoisonError};

use softbus::{
    CallOption, Caller, RemoteObject, remote_interface,
    rpc::{ashmem::Ashmem, parcel::Bytes},
};

use crate::services::checksum;

#[remote_interface(descriptor = "org.example.demo.Camera")]
pub(super) trait Camera {
    /// Whether a process of this device calls, and which, as the system says.
    async fn who_am_i(&self, caller: &Caller) -> (bool, u32);
    /// The first and the last byte, after which the first is one more.
    async fn look(&self, memory: Ashmem) -> Result<(u8, u8), String>;
    /// Keeps a block of bytes, and gives its SHA-256.
    async fn put(&self, block: Bytes) -> [u8; 32];
    /// Gives it back.
    async fn get(&self) -> Bytes;
    /// Keeps an object of somebody's.
    async fn keep(&self, object: RemoteObject) -> bool;
    /// An object that is no service.
    async fn open(&self) -> RemoteObject;
}

#[derive(Debug, Default)]
pub(super) struct Pictures {
    block: Mutex<Bytes>,
}

impl Camera for Pictures {
    async fn who_am_i(&self, caller: &Caller) -> (bool, u32) {
        (caller.is_local(), caller.pid().unwrap_or_default())
    }

    async fn look(&self, memory: Ashmem) -> Result<(u8, u8), String> {
        let byte = |at: usize| {
            let mut byte = [0];
            let read = memory.read(at, &mut byte);
            read.map(|()| byte[0]).map_err(|error| error.to_string())
        };
        let (first, last) = (byte(0)?, byte(memory.size() - 1)?);
        let written = memory.write(0, &[first.wrapping_add(1)]);
        written.map_err(|error| error.to_string())?;
        Ok((first, last))
    }

    async fn put(&self, block: Bytes) -> [u8; 32] {
        *self.block.lock().unwrap_or_else(PoisonError::into_inner) = block.clone();
        checksum(block).await
    }

    async fn get(&self) -> Bytes {
        let block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        block.clone()
    }

    async fn keep(&self, object: RemoteObject) -> bool {
        object.ping(CallOption::two_way()).await.is_ok()
    }

    async fn open(&self) -> RemoteObject {
        CameraStub::new(Self::default()).into()
    }
}
