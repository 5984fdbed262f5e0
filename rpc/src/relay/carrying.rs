//! The objects of a parcel that is passed on.

use crate::{
    parcel::{Item, PassObjectError},
    peer::PeerShared,
    remote::{LocalObject, RemoteObject},
    session::Scope,
};

/// An item in the form in which it may go on to a session; what the session does with it is decided where it is sent.
pub(super) fn carry(item: Item, to: &PeerShared) -> Result<Item, PassObjectError> {
    let Item::Object(object) = item else {
        return Err(PassObjectError::Descriptor);
    };
    let carried = match to.scope() {
        Scope::SameDevice => to_process(object, to),
        Scope::OtherDevice => to_device(object, to),
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
fn to_device(object: RemoteObject, to: &PeerShared) -> Result<RemoteObject, PassObjectError> {
    if let Some(own) = object.local() {
        may_hand_out(own, to)?;
        return Ok(object);
    }
    match object.as_proxy() {
        Some(proxy) if proxy.death().is_some() => Err(PassObjectError::DeadObject),
        // A stub of the process itself: it may hand out what is its own.
        Some(proxy) if proxy.0.peer.scope() == Scope::SameDevice => {
            Ok(RemoteObject::from_local(super::of(proxy)))
        }
        // Of another device: introduced, or back at its origin.
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
