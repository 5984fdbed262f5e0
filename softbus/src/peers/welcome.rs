//! A device that has dialled us and said Hello: which of two connections stays, and Welcome.

use std::{sync::Arc, time::Duration};

use certs::{AuditEvent, CloseCode, MemberName};
use proto::{BootId, DeviceId};
use rpc::{link::LinkClosed, opening::Incoming};

use super::{Connection, Entry, Peers, Session, Table, dial::DIAL_TIME};

/// How long the smaller id withholds Welcome. Less than a dial takes: who dialled us is to hear it before giving up.
const WITHHELD: Duration = DIAL_TIME.saturating_sub(Duration::from_secs(1));

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
    match incoming.welcome(&peers.bus).await {
        Ok(peer) => peers.install(device, Session { peer, connection }),
        Err(error) => {
            peers.no_member_without_session(device);
            tracing::info!(?device, %error, "no session");
        }
    }
}

/// A higher epoch is a younger process of the device and replaces what there is; a lower one is a ghost, and an equal
/// one with other bits is a second process with the same identity.
fn judge_boot(peers: &Peers, device: DeviceId, incoming: &Incoming) -> Option<CloseCode> {
    let known = peers.connected_boot(device)?;
    let theirs = incoming.boot();
    if theirs.epoch < known.epoch {
        tracing::warn!(?device, "an older start of the device dialled");
        return Some(CloseCode::Replaced);
    }
    if theirs.epoch == known.epoch && theirs.random != known.random {
        peers.audit.tell(AuditEvent::IdentityInUse { device });
        return Some(CloseCode::IdentityInUse);
    }
    None
}

/// What a peer said when it dialled.
#[derive(Clone, Copy)]
struct Hello {
    boot: BootId,
    /// The session it had and lost.
    replaces: u64,
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
                        Due::Now(welcoming) => return Some(welcoming),
                        Due::Never => return None,
                        Due::WhenDialEnds => {}
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
    fn judge(peers: &'a Peers, device: DeviceId, hello: Hello) -> Due<'a> {
        let mut table = peers.lock();
        if let Some(entry) = table.entries.get(&device) {
            let current = entry.session.as_ref().map(|session| &session.peer);
            // Its Hello crossed our Welcome or ours its: it would have named a session that it knew and lost.
            if current.is_some_and(|peer| {
                peer.boot() == hello.boot && peer.session_name() != hello.replaces
            }) {
                return Due::Never;
            }
            if entry.dialling {
                return Due::WhenDialEnds;
            }
        }
        Due::Now(Self::begin(peers, &mut table, device))
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

/// Whether the smaller id says Welcome.
enum Due<'a> {
    Now(Welcoming<'a>),
    /// When our own dial has not brought a session.
    WhenDialEnds,
    /// There is a session that both ends keep.
    Never,
}
