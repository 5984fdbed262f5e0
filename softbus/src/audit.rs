//! What an owner may want to know of who came and what was refused: told to the application and to the log.

use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use certs::{AuditEvent, AuditFold};
use tokio::sync::broadcast;

/// How many records wait for one who reads slowly; older ones are left out.
const WAITING: usize = 256;

/// The target of what goes to the log.
pub(crate) const TARGET: &str = "softbus::audit";

/// One event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditRecord {
    /// What it is.
    pub event: AuditEvent,
    /// When it was.
    pub at: SystemTime,
    /// How many like it were left out before: of one device one is told in 10 s, of one kind 10 in a second.
    pub left_out: u64,
}

/// Events as they happen, for one reader. See [`Node::audit`](crate::Node::audit).
#[derive(Debug)]
pub struct AuditRecords {
    receiver: broadcast::Receiver<AuditRecord>,
}

impl AuditRecords {
    /// The next one; `None` when the node has ended. Who falls more than 256 behind loses the oldest, and is told how many
    /// by the next one's `left_out`.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<AuditRecord> {
        let mut lost = 0;
        loop {
            match self.receiver.recv().await {
                Ok(mut record) => {
                    record.left_out += lost;
                    return Some(record);
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => lost += missed,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Where a node tells of what happens.
#[derive(Debug)]
pub(crate) struct AuditLog {
    fold: Mutex<AuditFold>,
    records: broadcast::Sender<AuditRecord>,
}

impl AuditLog {
    pub(crate) fn new() -> Self {
        Self {
            fold: Mutex::default(),
            records: broadcast::Sender::new(WAITING),
        }
    }

    pub(crate) fn records(&self) -> AuditRecords {
        AuditRecords {
            receiver: self.records.subscribe(),
        }
    }

    pub(crate) fn tell(&self, event: AuditEvent) {
        self.tell_with(&event, || event.clone());
    }

    /// As [`tell`](Self::tell), for an event of which more can be said, if it is told at all.
    pub(crate) fn tell_with(&self, event: &AuditEvent, whole: impl FnOnce() -> AuditEvent) {
        let admitted = {
            let mut fold = self.fold.lock().unwrap_or_else(PoisonError::into_inner);
            fold.admit(event, Instant::now())
        };
        let Some(left_out) = admitted else { return };
        let event = whole();
        log(&event, left_out);
        // Nobody need be listening.
        let _ = self.records.send(AuditRecord {
            event,
            at: SystemTime::now(),
            left_out,
        });
    }
}

fn log(event: &AuditEvent, left_out: u64) {
    let name = event.name();
    let device = event.device();
    match event {
        AuditEvent::TurnedAway { why, .. } | AuditEvent::PairingFailed { why, .. } => {
            tracing::info!(target: TARGET, name, ?device, %why, left_out, "audit");
        }
        AuditEvent::LookUpDenied { service, why, .. } => {
            tracing::info!(target: TARGET, name, ?device, %service, %why, left_out, "audit");
        }
        AuditEvent::CallDenied {
            service,
            method,
            rules,
            ..
        } => {
            let rules: Vec<_> = rules.iter().map(|rule| rule.id.as_str()).collect();
            tracing::info!(target: TARGET, name, ?device, %service, method, ?rules, left_out, "audit");
        }
        AuditEvent::RegistrationDenied { service, user } => {
            tracing::warn!(target: TARGET, name, %service, user, left_out, "audit");
        }
        AuditEvent::PolicyRefused { error } => {
            tracing::error!(target: TARGET, name, error, "audit");
        }
        AuditEvent::IdentityInUse { .. } => {
            tracing::warn!(target: TARGET, name, ?device, left_out, "audit");
        }
        AuditEvent::LimitReached { limit, value } => {
            tracing::warn!(target: TARGET, name, limit, value, left_out, "audit");
        }
        _ => tracing::info!(target: TARGET, name, ?device, left_out, "audit"),
    }
}
