//! How a registration travels from a process to the host of its bus.

use proto::{DeviceId, ServiceId};

use crate::{
    Parcel,
    error::AddServiceError,
    parcel::{ReadParcelError, WriteParcelError},
    registry::{Allow, Describe, ServiceOptions},
    remote::RemoteObject,
};

/// What a host answers to a registration.
mod added {
    pub(super) const YES: i32 = 0;
    pub(super) const NOT_OURS: i32 = 1;
    /// The limit and how many it would have been follow.
    pub(super) const LIMIT: i32 = 2;
    pub(super) const DEAD: i32 = 3;
    pub(super) const HELD: i32 = 4;
    pub(super) const REFUSED: i32 = 5;
}

/// Which devices a rule names.
mod rule {
    pub(super) const NOBODY: i32 = 0;
    pub(super) const TRUSTED: i32 = 1;
    /// A count and the devices follow.
    pub(super) const DEVICES: i32 = 2;
    /// Of who may ask for a description: who may call.
    pub(super) const CALLERS: i32 = 3;
    /// Those that the policy of the device's owner admits.
    pub(super) const POLICY: i32 = 4;
}

pub(super) fn write_add(
    service: ServiceId,
    options: &ServiceOptions,
    object: &RemoteObject,
) -> Result<Parcel, WriteParcelError> {
    let mut parcel = Parcel::new();
    parcel.raise_to_transport_limit();
    parcel.write_u32(service.get())?;
    parcel.write_remote_object(object)?;
    match &options.allow {
        Some(allow) => write_allow(&mut parcel, allow)?,
        None => parcel.write_i32(rule::NOBODY)?,
    }
    match &options.describe {
        Describe::ToCallers => parcel.write_i32(rule::CALLERS)?,
        Describe::ToNobody => parcel.write_i32(rule::NOBODY)?,
        Describe::To(allow) => write_allow(&mut parcel, allow)?,
    }
    Ok(parcel)
}

/// A registration as it comes: what under which id, and how.
pub(super) struct Add {
    pub(super) service: ServiceId,
    pub(super) object: RemoteObject,
    pub(super) options: ServiceOptions,
}

pub(super) fn read_add(parcel: &mut Parcel) -> Result<Add, ReadParcelError> {
    let service = ServiceId::new(parcel.read_u32()?);
    let service = service.ok_or(ReadParcelError::InvalidValue("service id"))?;
    let object = parcel.read_remote_object()?;
    let allow = match parcel.read_i32()? {
        rule::NOBODY => None,
        kind => Some(read_allow(parcel, kind)?),
    };
    let describe = match parcel.read_i32()? {
        rule::CALLERS => Describe::ToCallers,
        rule::NOBODY => Describe::ToNobody,
        kind => Describe::To(read_allow(parcel, kind)?),
    };
    Ok(Add {
        service,
        object,
        options: ServiceOptions { allow, describe },
    })
}

fn write_allow(parcel: &mut Parcel, allow: &Allow) -> Result<(), WriteParcelError> {
    let Some(devices) = allow.listed() else {
        return parcel.write_i32(match allow.is_by_policy() {
            true => rule::POLICY,
            false => rule::TRUSTED,
        });
    };
    parcel.write_i32(rule::DEVICES)?;
    parcel.write_u32(u32::try_from(devices.len()).unwrap_or(u32::MAX))?;
    for device in devices {
        parcel.write_buffer(device.as_bytes())?;
    }
    Ok(())
}

fn read_allow(parcel: &mut Parcel, kind: i32) -> Result<Allow, ReadParcelError> {
    match kind {
        rule::TRUSTED => Ok(Allow::trusted()),
        rule::POLICY => Ok(Allow::by_policy()),
        rule::DEVICES => {
            let mut devices = Vec::new();
            // As many as there are bytes for, whatever the count says.
            for _ in 0..parcel.read_u32()? {
                let id = <[u8; 32]>::try_from(parcel.read_buffer(32)?).unwrap_or([0; 32]);
                devices.push(DeviceId::from_bytes(id));
            }
            Ok(Allow::devices(devices))
        }
        _ => Err(ReadParcelError::InvalidValue("access rule")),
    }
}

pub(super) fn write_added(
    reply: &mut Parcel,
    added: &Result<(), AddServiceError>,
) -> Result<(), WriteParcelError> {
    match added {
        Ok(()) => reply.write_i32(added::YES),
        Err(AddServiceError::LimitReached { limit, value }) => {
            reply.write_i32(added::LIMIT)?;
            reply.write_u32(u32::try_from(*limit).unwrap_or(u32::MAX))?;
            reply.write_u32(u32::try_from(*value).unwrap_or(u32::MAX))
        }
        Err(AddServiceError::DeadObject) => reply.write_i32(added::DEAD),
        Err(AddServiceError::HeldByAnother) => reply.write_i32(added::HELD),
        Err(AddServiceError::Refused) => reply.write_i32(added::REFUSED),
        Err(_) => reply.write_i32(added::NOT_OURS),
    }
}

pub(super) fn read_added(
    reply: &mut Parcel,
) -> Result<Result<(), AddServiceError>, ReadParcelError> {
    Ok(match reply.read_i32()? {
        added::YES => Ok(()),
        added::LIMIT => Err(AddServiceError::LimitReached {
            limit: reply.read_u32()? as usize,
            value: reply.read_u32()? as usize,
        }),
        added::DEAD => Err(AddServiceError::DeadObject),
        added::HELD => Err(AddServiceError::HeldByAnother),
        added::REFUSED => Err(AddServiceError::Refused),
        _ => Err(AddServiceError::NotOurs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_comes_as_it_went() {
        let service = ServiceId::new(7).unwrap();
        let some = || Allow::devices([3, 4].map(|byte| DeviceId::from_bytes([byte; 32])));
        let object = crate::fuzzing::a_stub();
        for options in [
            ServiceOptions::local(),
            ServiceOptions::local().undescribed(),
            ServiceOptions::distributed(Allow::by_policy()),
            ServiceOptions::distributed(Allow::trusted()),
            ServiceOptions::distributed(some()).described_to(Allow::trusted()),
            ServiceOptions::distributed(Allow::trusted()).described_to(some()),
        ] {
            let mut parcel = write_add(service, &options, &object).unwrap();
            let read = read_add(&mut parcel).unwrap();
            assert_eq!((read.service, read.options), (service, options));
            assert_eq!(read.object, object);
        }
    }

    #[test]
    fn a_count_without_devices_is_refused() {
        let mut parcel = Parcel::new();
        parcel.write_i32(rule::DEVICES).unwrap();
        parcel.write_u32(u32::MAX).unwrap();
        let kind = parcel.read_i32().unwrap();
        assert!(read_allow(&mut parcel, kind).is_err());
    }

    #[test]
    fn refusals_of_a_registration_are_told_apart() {
        for answer in [
            Ok(()),
            Err(AddServiceError::NotOurs),
            Err(AddServiceError::LimitReached {
                limit: 1000,
                value: 1001,
            }),
            Err(AddServiceError::DeadObject),
            Err(AddServiceError::HeldByAnother),
            Err(AddServiceError::Refused),
        ] {
            let mut reply = Parcel::new();
            write_added(&mut reply, &answer).unwrap();
            assert_eq!(read_added(&mut reply), Ok(answer));
        }
    }
}
