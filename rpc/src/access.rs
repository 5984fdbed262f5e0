//! What the owner of a device says of who may call its services, beside what each service says itself.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use proto::{DeviceId, ServiceId};

use crate::{error::AddServiceError, registry::ServiceOptions};

/// How many decisions are remembered. A device can ask for every id there is.
const REMEMBERED: usize = 4096;

/// What the owner of a device says of callers: asked with each call, and answered from memory until the
/// [`version`](Self::version) moves. A service is called by those that both it ([`Allow`](crate::Allow)) and the policy
/// admit.
pub trait AccessPolicy: Send + Sync + 'static {
    /// Which methods of a service another device may call; `None` while there is no policy in force, and services decide
    /// alone. The same until the version moves. Must not wait, nor call the bus.
    fn permission(&self, caller: DeviceId, service: ServiceId) -> Option<Permission>;

    /// Whether processes of a user of this device may register a service, for this device only or (`distributed`) for others
    /// too. Asked when it is registered. Must not wait, nor call the bus.
    fn may_register(&self, service: ServiceId, user: u32, distributed: bool) -> bool {
        let _ = (service, user, distributed);
        true
    }

    /// Moves with each change; tell [`Bus::access_changed`](crate::Bus::access_changed) too.
    fn version(&self) -> u64;

    /// Something was refused, by the policy or by the service's own rule. For the owner's log; a peer can cause as many as it
    /// likes.
    fn refused(&self, caller: DeviceId, service: ServiceId, denied: Denied) {
        let _ = (caller, service, denied);
    }
}

/// What a device was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// A call of the method with this code.
    Call(u32),
    /// To know of a service, or to wait for it.
    LookUp(Hidden),
}

/// Why a service was not told of. The device hears the same whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// There is none.
    Absent,
    /// It is for this device only.
    NotDistributed,
    /// It is for other devices.
    NotAdmitted,
}

/// Which methods of a service a device may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// None: for this device the service is not there.
    Nothing,
    /// Those with these codes, ascending, and what every stub answers.
    Only(Arc<[u32]>),
    /// All but those with these codes, ascending.
    AllBut(Arc<[u32]>),
}

impl Permission {
    /// Whether some method may be called.
    pub(crate) fn is_some(&self) -> bool {
        *self != Self::Nothing
    }

    /// Whether this one may be called.
    pub(crate) fn admits(&self, code: u32) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(codes) => is_built_in(code) || codes.binary_search(&code).is_ok(),
            Self::AllBut(codes) => codes.binary_search(&code).is_err(),
        }
    }
}

/// What every stub answers: ping, its descriptor, and the description of its interface, for which services have a rule of
/// their own.
const fn is_built_in(code: u32) -> bool {
    code > proto::openharmony::code::LAST_CALL_TRANSACTION
}

/// The policy of a bus, and what it has decided.
#[derive(Default)]
pub(crate) struct Access {
    policy: OnceLock<Arc<dyn AccessPolicy>>,
    decisions: RwLock<Decisions>,
}

/// Valid for one version.
#[derive(Default)]
struct Decisions {
    version: u64,
    made: HashMap<(DeviceId, ServiceId), Option<Permission>, BuildHasherDefault<OfIds>>,
}

/// Looked up with each call, and the id of a device is a hash already: its first bytes do. Whoever makes ids that begin alike
/// makes a table of [`REMEMBERED`] entries slow, at most.
#[derive(Default)]
struct OfIds(u64);

impl Hasher for OfIds {
    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 8];
        let len = bytes.len().min(first.len());
        first[..len].copy_from_slice(&bytes[..len]);
        self.0 = self.0.rotate_left(7) ^ u64::from_le_bytes(first);
    }

    fn write_u32(&mut self, id: u32) {
        // Spread over all bits, of which tables use the first and the last.
        self.0 ^= u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Access {
    pub(crate) fn set(&self, policy: Arc<dyn AccessPolicy>) -> bool {
        self.policy.set(policy).is_ok()
    }

    /// What the policy says; `None` where there is none.
    pub(crate) fn permission(&self, caller: DeviceId, service: ServiceId) -> Option<Permission> {
        self.look(caller, service, |ruled| ruled.cloned())
    }

    /// Looks at what the policy says; not to wait, nor to ask again.
    pub(crate) fn look<R>(
        &self,
        caller: DeviceId,
        service: ServiceId,
        look: impl FnOnce(Option<&Permission>) -> R,
    ) -> R {
        let Some(policy) = self.policy.get() else {
            return look(None);
        };
        // Before it is asked: what changes meanwhile makes the answer one of an old version.
        let version = policy.version();
        {
            let decisions = self
                .decisions
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if decisions.version == version
                && let Some(made) = decisions.made.get(&(caller, service))
            {
                return look(made.as_ref());
            }
        }
        let permission = policy.permission(caller, service);
        let mut decisions = self
            .decisions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if decisions.version != version || decisions.made.len() >= REMEMBERED {
            decisions.made.clear();
            decisions.version = version;
        }
        decisions.made.insert((caller, service), permission.clone());
        drop(decisions);
        look(permission.as_ref())
    }

    /// Asks before a service is registered. Not to be called under a lock.
    pub(crate) fn may_register(
        &self,
        service: ServiceId,
        user: u32,
        options: &ServiceOptions,
    ) -> Result<(), AddServiceError> {
        let distributed = options.allow.is_some();
        let asked = self.policy.get();
        if asked.is_none_or(|policy| policy.may_register(service, user, distributed)) {
            Ok(())
        } else {
            Err(AddServiceError::Refused)
        }
    }

    pub(crate) fn refused(&self, caller: DeviceId, service: ServiceId, denied: Denied) {
        if let Some(policy) = self.policy.get() {
            policy.refused(caller, service, denied);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;

    /// Allows the code that is its version.
    #[derive(Default)]
    struct Counting {
        version: AtomicU64,
        asked: AtomicUsize,
    }

    impl AccessPolicy for Counting {
        fn permission(&self, _caller: DeviceId, _service: ServiceId) -> Option<Permission> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let code = self.version() as u32;
            Some(Permission::Only([code].into()))
        }

        fn version(&self) -> u64 {
            self.version.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_decision_is_made_once_in_each_version() {
        let policy = Arc::new(Counting::default());
        let access = Access::default();
        let caller = DeviceId::from_bytes([1; 32]);
        let service = |id| ServiceId::new(id).unwrap();
        assert_eq!(access.permission(caller, service(1)), None);
        assert!(access.set(policy.clone()));
        assert!(!access.set(policy.clone()));
        for version in 1..4 {
            policy.version.store(version, Ordering::Relaxed);
            for _ in 0..3 {
                let permission = access.permission(caller, service(1)).unwrap();
                assert!(permission.admits(version as u32));
            }
            assert_eq!(policy.asked.load(Ordering::Relaxed), version as usize);
        }
    }

    #[test]
    fn asking_for_every_id_fills_no_memory() {
        let access = Access::default();
        access.set(Arc::new(Counting::default()));
        let caller = DeviceId::from_bytes([1; 32]);
        for id in 1..=REMEMBERED as u32 * 3 {
            access.permission(caller, ServiceId::new(id).unwrap());
            assert!(access.decisions.read().unwrap().made.len() <= REMEMBERED);
        }
    }

    #[test]
    fn what_every_stub_answers_is_for_who_may_call_something() {
        use proto::openharmony::code::{DESCRIBE_TRANSACTION, PING_TRANSACTION};
        let only = Permission::Only([1, 3].into());
        let all_but = Permission::AllBut([2].into());
        for code in [PING_TRANSACTION, DESCRIBE_TRANSACTION] {
            assert!(only.admits(code) && all_but.admits(code));
            assert!(!Permission::Nothing.admits(code));
        }
        assert!(only.admits(3) && !only.admits(2));
        assert!(all_but.admits(3) && !all_but.admits(2));
        assert!(only.is_some() && all_but.is_some() && !Permission::Nothing.is_some());
    }
}
