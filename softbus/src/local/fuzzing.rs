//! See [`crate::fuzzing`].

use std::sync::{Arc, Weak};

use rpc::{Bus, HandlerError, Parcel};

use super::{
    desk::{DeskStub, DeviceRecord, HostDesk},
    prelude::{CLAIM, Claim, Prelude, Refusal},
};
use crate::device::{Device, Known};

/// What a process that attaches says, as it would be said again.
pub fn claim_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes: &[u8; CLAIM] = bytes.try_into().ok()?;
    Claim::decode(bytes).ok().map(Claim::encode)
}

/// What a host answers it.
pub fn prelude_again(bytes: &[u8]) -> Option<Vec<u8>> {
    Prelude::decode(bytes).ok().map(Prelude::encode)
}

/// What it answers instead.
pub fn refusal_again(bytes: &[u8]) -> Option<Vec<u8>> {
    Refusal::decode(bytes).map(Refusal::encode)
}

/// What the desk of a host that is leaving answers a process, if it answers at once.
pub fn ask_desk(
    bus: &Arc<Bus>,
    code: u32,
    data: Parcel,
) -> Option<(Result<(), HandlerError>, Parcel)> {
    let desk = DeskStub::new(HostDesk(Weak::new()));
    rpc::fuzzing::ask_as_process(bus, &desk, code, data)
}

/// What a host tells of devices, and as it would tell it again.
pub fn devices_again(told: &mut Parcel) -> Option<(u64, Vec<Device>, Parcel)> {
    let (version, records) = told.read::<(u64, Vec<DeviceRecord>)>().ok()?;
    let known: Vec<_> = records.into_iter().map(Known::from).collect();
    let devices = known.iter().map(|known| known.device.clone()).collect();
    let records: Vec<_> = known.into_iter().map(DeviceRecord::from).collect();
    let mut again = Parcel::new();
    again.raise_to_transport_limit();
    again.write(&(version, records)).ok()?;
    Some((version, devices, again))
}
