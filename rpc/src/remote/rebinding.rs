//! Objects that outlive what they call: whichever object stands for a service at the moment.
//!
//! Dead stays dead: a proxy that died is never called again. A rebinding object is no proxy but a place, where who follows the service
//! puts the proxy there is.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use proto::{DeviceId, ServiceId};
use tokio::{sync::watch, time::Instant};

use super::{RemoteObject, Repr};
use crate::{
    Parcel,
    call::CallOption,
    death::{DeathReason, Recipient},
    error::{LinkToDeathError, SendRequestError},
    interface::Interface,
    limits,
    session::Scope,
};

/// What stands for a service.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Bound {
    /// How many objects there have been.
    pub times: u64,
    /// The one there is.
    pub object: Option<RemoteObject>,
    /// Why the last one died.
    pub death: Option<DeathReason>,
}

impl Bound {
    /// Whether there is none, and none is to be expected: we may not call the service any more.
    fn is_refused(&self) -> bool {
        self.object.is_none() && self.death == Some(DeathReason::AccessRevoked)
    }
}

/// The end of who follows a service and says what stands for it. Dropped, it says no more.
#[derive(Debug)]
pub struct Binder {
    bound: watch::Sender<Bound>,
    recipients: Arc<Recipients>,
}

impl Binder {
    /// This object stands for the service from now on.
    pub fn bind(&self, object: RemoteObject) {
        // Not dropped under the lock of the channel: it may be the last reference.
        let mut before = None;
        self.bound.send_modify(|bound| {
            bound.times += 1;
            before = bound.object.replace(object);
        });
        drop(before);
    }

    /// The object is dead, and whoever has linked to its death is told so.
    pub fn unbind(&self, reason: DeathReason) {
        // As in `bind`.
        let mut before = None;
        self.bound.send_modify(|bound| {
            before = bound.object.take();
            bound.death = Some(reason);
        });
        if before.is_some() {
            self.recipients.tell(reason);
        }
    }
}

/// The end of who calls the service, or watches what stands for it. Clones share everything.
#[derive(Clone, Debug)]
pub struct Binding {
    bound: watch::Receiver<Bound>,
    recipients: Arc<Recipients>,
}

impl Binding {
    /// Nothing stands for the service yet.
    pub fn new() -> (Binder, Self) {
        let (sender, bound) = watch::channel(Bound::default());
        let recipients = Arc::<Recipients>::default();
        let binder = Binder {
            bound: sender,
            recipients: Arc::clone(&recipients),
        };
        (binder, Self { bound, recipients })
    }

    /// What stands for the service, and a sign whenever that changes.
    pub fn watch(&self) -> watch::Receiver<Bound> {
        self.bound.clone()
    }

    /// An object that calls what stands for this service of this device. `keep` is kept as long as it is.
    pub fn object(
        self,
        service: ServiceId,
        device: DeviceId,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> RemoteObject {
        RemoteObject(Repr::Rebinding(Arc::new(Rebinding {
            service,
            device,
            binding: self,
            _keep: keep,
        })))
    }

    /// Calls what stands for the service, again and again while that is dead before anything was done.
    async fn call(
        &self,
        code: u32,
        interface: Option<&'static Interface>,
        data: &Parcel,
        option: CallOption,
    ) -> Result<Parcel, SendRequestError> {
        let raw = data.wire_parts().raw.map_or(0, |raw| raw.len());
        let wait = option.effective_wait(Scope::OtherDevice, raw);
        let wait = wait.unwrap_or(limits::DEFAULT_WAIT);
        let deadline = Instant::now() + wait;
        let mut current = self.bound.clone();
        // The one that is of no use, and what the call has come to so far.
        let (mut useless, mut so_far) = (None, None);
        loop {
            let there = current.wait_for(|now| {
                now.is_refused() || (now.object.is_some() && Some(now.times) != useless)
            });
            let found = match tokio::time::timeout_at(deadline, there).await {
                Ok(Ok(found)) => found.clone(),
                // Too late, or nobody follows the service any more.
                Ok(Err(_)) | Err(_) => Bound::default(),
            };
            let Some(object) = found.object else {
                return Err(so_far.unwrap_or_else(|| nothing(&current.borrow(), wait)));
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match attempt(&object, code, interface, data, (option, left)).await {
                Err(SendRequestError::Indeterminate) if option.is_idempotent() => {
                    so_far = Some(SendRequestError::Indeterminate);
                }
                // Not done: the object was dead, or its device takes leave.
                Err(
                    error @ (SendRequestError::DeadObject { .. } | SendRequestError::ShuttingDown),
                ) => {
                    so_far.get_or_insert(error);
                }
                // Of which so much was left.
                Err(SendRequestError::TimedOut { .. }) => {
                    return Err(SendRequestError::TimedOut { after: wait });
                }
                other => return other,
            }
            useless = Some(found.times);
        }
    }
}

/// One call of what stands for the service, in what is left of the time. Who asked for no deadline gives none where a call has none
/// by itself: to an own stub, and to what a one-way call does when it has been sent.
async fn attempt(
    object: &RemoteObject,
    code: u32,
    interface: Option<&'static Interface>,
    data: &Parcel,
    (option, left): (CallOption, Duration),
) -> Result<Parcel, SendRequestError> {
    // Zero would be the default.
    let left = left.max(Duration::from_millis(1));
    if option.wait_time().is_some() || !(option.is_one_way() || object.local().is_some()) {
        let call = object.transact(code, interface, data, option.wait(left));
        return call.await;
    }
    let call = object.transact(code, interface, data, option);
    if object.local().is_some() {
        return call.await;
    }
    let sent = tokio::time::timeout(left, call).await;
    sent.unwrap_or(Err(SendRequestError::TimedOut { after: left }))
}

/// What is said of a call that was not made, because nothing stood for the service.
fn nothing(bound: &Bound, wait: Duration) -> SendRequestError {
    match bound.death {
        Some(reason) => SendRequestError::DeadObject { reason },
        None => SendRequestError::TimedOut { after: wait },
    }
}

/// What a rebinding object is.
pub(crate) struct Rebinding {
    pub(super) service: ServiceId,
    pub(super) device: DeviceId,
    binding: Binding,
    _keep: Arc<dyn Any + Send + Sync>,
}

impl Rebinding {
    pub(super) async fn call(
        &self,
        code: u32,
        interface: Option<&'static Interface>,
        data: &Parcel,
        option: CallOption,
    ) -> Result<Parcel, SendRequestError> {
        self.binding.call(code, interface, data, option).await
    }

    pub(super) fn bound(&self) -> Option<RemoteObject> {
        self.binding.bound.borrow().object.clone()
    }

    pub(super) fn link_to_death(
        self: &Arc<Self>,
        recipient: Recipient,
    ) -> Result<RebindingLink, LinkToDeathError> {
        let number = self.binding.recipients.add(recipient)?;
        let rebinding = Arc::clone(self);
        Ok(RebindingLink { rebinding, number })
    }
}

impl fmt::Debug for Rebinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebinding")
            .field("service", &self.service)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// A registration with the recipients of a rebinding object, which is kept.
#[derive(Debug)]
pub(crate) struct RebindingLink {
    rebinding: Arc<Rebinding>,
    number: u64,
}

impl RebindingLink {
    /// Whether it was there.
    pub(crate) fn unlink(&self) -> bool {
        self.rebinding.binding.recipients.remove(self.number)
    }
}

/// Who is told of each death.
#[derive(Default)]
struct Recipients(Mutex<(u64, BTreeMap<u64, Recipient>)>);

impl Recipients {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Recipient>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, recipient: Recipient) -> Result<u64, LinkToDeathError> {
        let (number, recipients) = &mut *self.lock();
        let (limit, value) = (limits::DEATH_LINKS_PER_OBJECT, recipients.len() + 1);
        if value > limit {
            return Err(LinkToDeathError::LimitReached { limit, value });
        }
        *number += 1;
        recipients.insert(*number, recipient);
        Ok(*number)
    }

    fn remove(&self, number: u64) -> bool {
        // Dropped outside the lock.
        let removed = self.lock().1.remove(&number);
        removed.is_some()
    }

    fn tell(&self, reason: DeathReason) {
        let numbers: Vec<_> = self.lock().1.keys().copied().collect();
        for number in numbers {
            // One by one: what is taken back meanwhile is not told.
            let recipient = self.lock().1.get(&number).cloned();
            let Some(recipient) = recipient else { continue };
            let told = catch_unwind(AssertUnwindSafe(|| {
                recipient.on_remote_died(reason);
                drop(recipient);
            }));
            if told.is_err() {
                tracing::error!("a death recipient panicked");
            }
        }
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().1.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
