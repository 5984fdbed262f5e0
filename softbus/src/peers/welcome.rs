//! A device that has dialled us and said Hello: which of two connections stays, and Welcome.

use std::sync::Arc;

use certs::{AuditEvent, CloseCode, MemberName};
use proto::DeviceId;
use rpc::{link::LinkClosed, opening::Incoming};

use super::{
    Connection, Entry, Peers, Session, Table,
    decisions::{Due, Ghost, Hello, WITHHELD, ghost, welcome_due},
};

/// An admitted device that has said Hello.
pub(super) struct Guest {
    pub(super) device: DeviceId,
    pub(super) member: Option<MemberName>,
    pub(super) connection: Connection,
    pub(super) incoming: Incoming,
}

/// Decides between a connection we were dialled on and what there is already.
pub(super) async fn open_session(peers: &Arc<Peers>, guest: Guest) {
    let Guest {
        device,
        member,
        connection,
        incoming,
    } = guest;
    if let Some(refusal) = judge_boot(peers, device, &incoming) {
        incoming.refuse(refusal.code(), "boot id");
        return;
    }
    if let Some(limit) = peers.full_for(device) {
        let (name, value) = ("devices with a session", limit as u64);
        peers
            .audit
            .tell(AuditEvent::LimitReached { limit: name, value });
        let text = format!("{limit} devices are connected");
        incoming.refuse(CloseCode::Limit.code(), &text);
        return;
    }
    let hello = Hello {
        boot: incoming.boot(),
        replaces: incoming.replaces(),
    };
    let due = Welcoming::when_due(peers, device, hello, incoming.closed());
    let Some(_welcoming) = due.await else {
        incoming.refuse(CloseCode::Duplicate.code(), "another connection was kept");
        return;
    };
    // Before the first call can come.
    peers.members.admitted(device, member.as_ref());
    let before = connection.before_welcome();
    match incoming.welcome(&peers.bus).await {
        Ok(peer) => peers.install(device, Session::welcomed(peer, connection, before)),
        Err(error) => {
            peers.no_member_without_session(device);
            tracing::info!(?device, %error, "no session");
        }
    }
}

/// Refuses ghosts.
fn judge_boot(peers: &Peers, device: DeviceId, incoming: &Incoming) -> Option<CloseCode> {
    match ghost(peers.connected_boot(device), incoming.boot())? {
        Ghost::Older => {
            tracing::warn!(?device, "an older start of the device dialled");
            Some(CloseCode::Replaced)
        }
        Ghost::Double => {
            peers.audit.tell(AuditEvent::IdentityInUse { device });
            Some(CloseCode::IdentityInUse)
        }
    }
}

/// A connection is being welcomed: meanwhile no dial of our own is begun, whose session would replace this one.
struct Welcoming<'a> {
    peers: &'a Peers,
    device: DeviceId,
}

impl<'a> Welcoming<'a> {
    /// While our own dial is open, the smaller id withholds Welcome: of two connections that cross, both ends keep the
    /// one that the smaller id dialled. `None` if that is another one.
    async fn when_due(
        peers: &'a Peers,
        device: DeviceId,
        hello: Hello,
        gone: impl Future<Output = LinkClosed>,
    ) -> Option<Self> {
        if peers.me() < device {
            let mut changed = peers.changed();
            let due = async {
                loop {
                    changed.mark_unchanged();
                    match Self::judge(peers, device, hello) {
                        Ok(welcoming) => return Some(welcoming),
                        Err(Due::Never) => return None,
                        Err(_) => {}
                    }
                    if changed.changed().await.is_err() {
                        return None;
                    }
                }
            };
            tokio::select! {
                due = tokio::time::timeout(WITHHELD, due) => if let Ok(due) = due {
                    return due;
                },
                _ = gone => return None,
            }
        }
        Some(Self::begin(peers, &mut peers.lock(), device))
    }

    /// The smaller id's decision, in one look.
    fn judge(peers: &'a Peers, device: DeviceId, hello: Hello) -> Result<Self, Due> {
        let mut table = peers.lock();
        let entry = table.entries.get(&device);
        let current = entry.and_then(|entry| entry.session.as_ref());
        let dialling = entry.is_some_and(|entry| entry.dialling);
        match welcome_due(current.map(Session::current), dialling, hello) {
            Due::Now => Ok(Self::begin(peers, &mut table, device)),
            later => Err(later),
        }
    }

    fn begin(peers: &'a Peers, table: &mut Table, device: DeviceId) -> Self {
        let entry = table.entries.entry(device).or_insert_with(Entry::new);
        entry.welcoming += 1;
        Self { peers, device }
    }
}

impl Drop for Welcoming<'_> {
    fn drop(&mut self) {
        {
            let mut table = self.peers.lock();
            if let Some(entry) = table.entries.get_mut(&self.device) {
                entry.welcoming -= 1;
            }
            table.forget_if_unknown(&self.device);
        }
        self.peers.dial_if_useful(self.device);
    }
}
