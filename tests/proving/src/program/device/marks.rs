//! What every device serves, and writes down that it did.

use std::{
    fs::File,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use softbus::{DeviceId, Node, RemoteObject, ServiceId, remote_interface};

use crate::program::Result;

pub(crate) const MARKS: ServiceId = ServiceId::new(1405).unwrap();
/// Of a process that is attached to a device.
pub(crate) const OF_A_PROCESS: ServiceId = ServiceId::new(1406).unwrap();

#[remote_interface(descriptor = "org.example.proving.Marks")]
pub(crate) trait Marks {
    /// Writes down that this call of a run was served.
    async fn mark(&self, run: u64, number: u64) -> u64;
    /// The same without an answer.
    #[oneway]
    async fn note(&self, run: u64, number: u64);
    /// Gives back what it is given.
    async fn echo(&self, bytes: Vec<u8>) -> Vec<u8>;
}

/// Written to a file, which outlives a process that is killed.
struct Ledger(Arc<Mutex<File>>);

impl Ledger {
    fn write(&self, run: u64, number: u64) {
        let entry = [run.to_le_bytes(), number.to_le_bytes()].concat();
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk shows as lost calls.
        let _ = file.write_all(&entry);
    }
}

impl Marks for Ledger {
    async fn mark(&self, run: u64, number: u64) -> u64 {
        self.write(run, number);
        number
    }

    async fn note(&self, run: u64, number: u64) {
        self.write(run, number);
    }

    async fn echo(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}

/// Serves, and writes into this file.
pub(super) fn stub(file: &Arc<Mutex<File>>) -> RemoteObject {
    MarksStub::new(Ledger(Arc::clone(file))).into()
}

/// Those of another device.
pub(super) async fn marks(node: &Node, device: &DeviceId) -> Result<MarksProxy> {
    Ok(MarksProxy::new(node.samgr().get(MARKS, device).await?))
}
