//! A device that has dialled us and said Hello: which of two connections stays, and Welcome.

use std::sync::Arc;

use certs::{AuditEvent, CloseCode, MemberName};
use proto::DeviceId;
use rpc::{link::LinkClosed, opening::Incoming};

use super::{
    Connection, Peers, Session,
    decisions::{Due, Ghost, Hello, WITHHELD},
    table::Refusal,
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
    let judged = peers.lock().judge(&device, incoming.boot());
    if let Err(refusal) = judged {
        return refuse(peers, device, incoming, refusal);
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

fn refuse(peers: &Peers, device: DeviceId, incoming: Incoming, refusal: Refusal) {
    match refusal {
        Refusal::Ghost(Ghost::Older) => {
            tracing::warn!(?device, "an older start of the device dialled");
            incoming.refuse(CloseCode::Replaced.code(), "boot id");
        }
        Refusal::Ghost(Ghost::Double) => {
            peers.audit.tell(AuditEvent::IdentityInUse { device });
            incoming.refuse(CloseCode::IdentityInUse.code(), "boot id");
        }
        Refusal::Full(devices) => {
            peers.audit.tell(AuditEvent::LimitReached {
                limit: "devices with a session",
                value: devices as u64,
            });
            let text = format!("{devices} devices are connected");
            incoming.refuse(CloseCode::Limit.code(), &text);
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
        let mut changed = peers.changed();
        let due = async {
            loop {
                changed.mark_unchanged();
                match Self::ask(peers, device, hello, false) {
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
            due = tokio::time::timeout(WITHHELD, due) => match due {
                Ok(due) => due,
                Err(_) => Self::ask(peers, device, hello, true).ok(),
            },
            _ = gone => None,
        }
    }

    fn ask(peers: &'a Peers, device: DeviceId, hello: Hello, waited: bool) -> Result<Self, Due> {
        match peers.lock().welcome(device, hello, waited) {
            Due::Now => Ok(Self { peers, device }),
            later => Err(later),
        }
    }
}

impl Drop for Welcoming<'_> {
    fn drop(&mut self) {
        self.peers.lock().welcomed(&self.device);
        self.peers.dial_if_useful(self.device);
    }
}
