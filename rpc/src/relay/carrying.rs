//! The objects of a parcel that is passed on.

use proto::DeviceId;

use crate::{
    bus::Bus,
    parcel::{Item, PassObjectError},
    peer::PeerShared,
    remote::{LocalObject, RemoteObject, RemoteProxy},
    session::{Scope, passing_rules::Party},
};

/// An item that `giver` sends, in the form in which it may go on to a session; what the session does with it is decided where
/// it is sent.
pub(super) fn carry(item: Item, giver: Party, to: &PeerShared) -> Result<Item, PassObjectError> {
    let Item::Object(object) = item else {
        return Err(PassObjectError::Descriptor);
    };
    let carried = match to.scope() {
        Scope::SameDevice => to_process(object, to),
        Scope::OtherDevice => to_device(object, giver, to),
    };
    carried.map(Item::Object)
}

/// What another device hands to a process of this one.
fn to_process(object: RemoteObject, to: &PeerShared) -> Result<RemoteObject, PassObjectError> {
    match object.as_proxy() {
        Some(proxy) if proxy.death().is_some() => Err(PassObjectError::DeadObject),
        Some(proxy) if proxy.device() != to.remote().device => {
            Ok(RemoteObject::from_local(super::of(proxy)))
        }
        // What lives here comes home and is not handed out by others.
        _ => Err(PassObjectError::ThirdParty),
    }
}

/// What a process of this device hands to another one.
fn to_device(
    object: RemoteObject,
    giver: Party,
    to: &PeerShared,
) -> Result<RemoteObject, PassObjectError> {
    if let Some(own) = object.local() {
        may_hand_out(own, to)?;
        return Ok(object);
    }
    match object.as_proxy() {
        Some(proxy) if proxy.death().is_some() => Err(PassObjectError::DeadObject),
        // A stub of the process itself: it may hand out what is its own.
        Some(proxy) if proxy.home() == giver => Ok(RemoteObject::from_local(super::of(proxy))),
        // Of another process: decided where it is sent. Of another device: introduced, or back at its origin.
        _ => Ok(object),
    }
}

/// Whether a process that holds a stub of the host may hand it to another device.
fn may_hand_out(own: &LocalObject, to: &PeerShared) -> Result<(), PassObjectError> {
    let bus = to.bus().ok_or(PassObjectError::DeadObject)?;
    match &own.registration {
        Some(registration) if bus.admits(registration, to.remote().device) => Ok(()),
        Some(_) => Err(PassObjectError::OriginRefused),
        None if own.stub.options().re_exportable => Ok(()),
        None => Err(PassObjectError::NotReExportable),
    }
}

/// A stub of a process, for another device that somebody else than its owner hands it to: an object of the host that forwards,
/// in the form in which the owner lets others hand it out.
///
/// # Errors
/// An anonymous one is not marked as [re-exportable](crate::StubOptions::re_exportable); one that was registered is no longer,
/// or is not for this device.
pub(crate) fn hand_out(
    bus: &Bus,
    proxy: &RemoteProxy,
    to: DeviceId,
) -> Result<LocalObject, PassObjectError> {
    let Some(service) = proxy.service() else {
        return match proxy.0.re_exportable {
            true => Ok(super::of(proxy)),
            false => Err(PassObjectError::NotReExportable),
        };
    };
    let standing = bus.registry().guest(service).cloned();
    let standing = standing.filter(|standing| standing.is_proxy(proxy));
    let standing = standing.filter(|standing| bus.admits(&standing.registration, to));
    let standing = standing.ok_or(PassObjectError::OriginRefused)?;
    Ok(LocalObject {
        registration: Some(standing.registration),
        ..super::of(proxy)
    })
}
