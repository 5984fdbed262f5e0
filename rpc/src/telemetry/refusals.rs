//! What the log says of a call that was not served: at the callee, which refused it, and at the caller, which has the
//! typed error in hand. Folded, because a peer can make as many as it likes.

use proto::{DeviceId, ServiceId, frame::Status};

use super::{CallStatus, REFUSAL_TARGET, fold::Line, metrics};
use crate::{
    Bus,
    error::{GetServiceError, SendRequestError},
    peer::{PeerShared, now},
};

/// A call of the peer's was not served, or not to its end.
#[cold]
pub(crate) fn at_callee(peer: &PeerShared, code: u32, service: Option<ServiceId>, status: Status) {
    let status = CallStatus::from(status);
    let service = service.map(ServiceId::get);
    // The service's own answer is nobody's refusal, and a caller that gives up has its reasons.
    if matches!(
        status,
        CallStatus::Ok | CallStatus::Service | CallStatus::Cancelled
    ) {
        return;
    }
    metrics::refused("server", status);
    let Some(folded) = peer.telemetry().fold().admit(Line::Refused(status), now()) else {
        return;
    };
    let (device, kind) = (peer.remote().device, status.as_str());
    if status.is_guarded() {
        tracing::warn!(target: REFUSAL_TARGET, ?device, service, code, kind, folded, "call refused");
    } else {
        tracing::info!(target: REFUSAL_TARGET, ?device, service, code, kind, folded, "call not served");
    }
}

/// A call of ours failed.
#[cold]
pub(crate) fn at_caller(
    peer: &PeerShared,
    code: u32,
    service: Option<ServiceId>,
    error: &SendRequestError,
) {
    let status = CallStatus::from(error);
    let service = service.map(ServiceId::get);
    if status == CallStatus::Service {
        return;
    }
    metrics::refused("client", status);
    let Some(folded) = peer.telemetry().fold().admit(Line::Failed(status), now()) else {
        return;
    };
    let (device, kind) = (peer.remote().device, status.as_str());
    // What the other side says in words of its own is not ours to log.
    let error = match error {
        SendRequestError::Internal(_) => None,
        error => Some(tracing::field::display(error)),
    };
    tracing::info!(target: REFUSAL_TARGET, ?device, service, code, kind, folded, error, "call failed");
}

/// One-way calls of ours were refused by the peer and never reached a handler.
#[cold]
pub(crate) fn one_way_at_caller(peer: &PeerShared, count: u64) {
    let status = CallStatus::Refused;
    metrics::refused("client", status);
    let Some(folded) = peer.telemetry().fold().admit(Line::Failed(status), now()) else {
        return;
    };
    let device = peer.remote().device;
    tracing::warn!(target: REFUSAL_TARGET, ?device, count, folded, "peer refused one-way calls");
}

/// A service of ours was not given to a device that asked for it.
#[cold]
pub(crate) fn look_up_at_callee(bus: &Bus, device: DeviceId, code: u32, error: &GetServiceError) {
    let status = CallStatus::from(error);
    metrics::refused("server", status);
    let Some(folded) = bus.look_ups().admit(Line::Refused(status), now()) else {
        return;
    };
    let kind = status.as_str();
    tracing::info!(target: REFUSAL_TARGET, ?device, code, kind, folded, "look-up refused");
}

/// A device did not give us a service.
#[cold]
pub(crate) fn look_up_at_caller(peer: &PeerShared, service: ServiceId, error: &GetServiceError) {
    let status = CallStatus::from(error);
    metrics::refused("client", status);
    let Some(folded) = peer.telemetry().fold().admit(Line::Failed(status), now()) else {
        return;
    };
    let (device, kind, service) = (peer.remote().device, status.as_str(), service.get());
    tracing::info!(target: REFUSAL_TARGET, ?device, service, kind, folded, "look-up failed");
}

/// For who connects devices: a device that is not trusted here, or is blocked, dialled and was turned away.
#[cold]
pub fn turned_away(bus: &Bus, device: DeviceId, from: impl std::fmt::Display) {
    let status = CallStatus::NotTrusted;
    metrics::refused("server", status);
    let Some(folded) = bus.look_ups().admit(Line::Refused(status), now()) else {
        return;
    };
    let kind = status.as_str();
    tracing::info!(target: REFUSAL_TARGET, ?device, %from, kind, folded, "device turned away");
}

/// For who connects devices: there is no session with a device that something was wanted of, and why.
#[cold]
pub fn not_reached(bus: &Bus, device: DeviceId, error: &GetServiceError) {
    let status = CallStatus::from(error);
    metrics::refused("client", status);
    let Some(folded) = bus.look_ups().admit(Line::Failed(status), now()) else {
        return;
    };
    let kind = status.as_str();
    tracing::info!(target: REFUSAL_TARGET, ?device, kind, folded, %error, "device not reached");
}
