//! The policy of the device's owner, as the bus asks for it.

use std::sync::Arc;

use certs::{Access, AuditEvent, PolicyStore, Principal};
use proto::{DeviceId, ServiceId};
use rpc::{AccessPolicy, Denied, Hidden, Permission};

use crate::{audit::AuditLog, fleet::Members};

/// The policy in force, and the log of what it refuses.
#[derive(Debug)]
pub(crate) struct OwnersPolicy {
    policies: PolicyStore,
    members: Arc<Members>,
    audit: Arc<AuditLog>,
}

impl OwnersPolicy {
    pub(crate) fn new(policies: PolicyStore, members: Arc<Members>, audit: Arc<AuditLog>) -> Self {
        Self {
            policies,
            members,
            audit,
        }
    }

    fn principal(&self, device: DeviceId) -> Principal {
        let mut principal = Principal::device(device);
        principal.member = self.members.name(&device);
        principal
    }
}

impl AccessPolicy for OwnersPolicy {
    fn permission(&self, caller: DeviceId, service: ServiceId) -> Option<Permission> {
        let policy = self.policies.current()?;
        Some(match policy.access(&self.principal(caller), service) {
            Access::Nothing => Permission::Nothing,
            Access::Only(codes) => Permission::Only(codes),
            Access::AllBut(codes) => Permission::AllBut(codes),
        })
    }

    fn may_register(&self, service: ServiceId, user: u32, distributed: bool) -> bool {
        let policy = self.policies.current();
        let may = policy.is_none_or(|policy| policy.may_register(service, user, distributed));
        if !may {
            let denied = AuditEvent::RegistrationDenied { service, user };
            self.audit.tell(denied);
        }
        may
    }

    fn version(&self) -> u64 {
        // Each of them only grows, so their sum moves when either does.
        self.policies.version() + self.members.version()
    }

    fn refused(&self, caller: DeviceId, service: ServiceId, denied: Denied) {
        let device = caller;
        let method = match denied {
            Denied::Call(method) => method,
            Denied::LookUp(hidden) => {
                let why = match hidden {
                    Hidden::Absent => certs::Hidden::Absent,
                    Hidden::NotDistributed => certs::Hidden::NotDistributed,
                    Hidden::NotAdmitted => certs::Hidden::NotAdmitted,
                };
                return self.audit.tell(AuditEvent::LookUpDenied {
                    device,
                    service,
                    why,
                });
            }
            _ => return,
        };
        let denied = |rules| AuditEvent::CallDenied {
            device,
            service,
            method,
            rules,
        };
        self.audit.tell_with(&denied(Vec::new()), || {
            let policy = self.policies.current();
            let explanation = policy
                .map(|policy| policy.explain(&self.principal(caller), service, method))
                // Else the service's own rule was in the way.
                .filter(|explanation| !explanation.allowed());
            denied(explanation.map_or_else(Vec::new, |explanation| explanation.rules().to_vec()))
        });
    }
}
