//! Noticing that a device has gone quiet, and asking its host, as `softbus/src/peers/probe.rs` does it.

use std::{sync::Arc, time::Duration};

use proto::message::DeathReason;
use softbus::{
    __decisions::{Ask, Silence, Traffic, Watch, nobody_listens},
    presence::Profile,
};

use super::{Node, Session, code, id, lock, now};
use crate::log::Event;

impl Node {
    /// Looks at every session. Whether one may still be silent.
    pub(crate) fn look(self: &Arc<Self>) -> bool {
        let sessions: Vec<_> = {
            let table = self.table();
            let sessions = table.iter();
            sessions
                .filter_map(|(device, contact)| {
                    Some((super::number(device), contact.session()?.clone()))
                })
                .collect()
        };
        let network = &self.shared.network;
        let mut silent = false;
        for (device, session) in sessions {
            silent |= network.is_silent(session.link, self.place.device);
            self.look_at(device, session);
        }
        silent
    }

    fn look_at(self: &Arc<Self>, device: u8, session: Session) {
        // What is sent again is below what is simulated.
        let traffic = Traffic {
            received: session.network.received(session.link, self.place.device),
            sent: 0,
        };
        let look = {
            let mut seen = lock(&self.seen);
            let fresh = || (session.link, Watch::new(traffic, now()));
            let (link, watch) = seen.entry(device).or_insert_with(fresh);
            if *link != session.link {
                (*link, *watch) = fresh();
            }
            watch.look(&Silence::of(Profile::Balanced), traffic, true, now())
        };
        let (at, of) = (self.place, device);
        if look.heard {
            self.record(Event::Heard { at, of });
            if let Some(contact) = self.table().get_mut(&id(device)) {
                contact.heard();
            }
        }
        if look.suspect {
            self.record(Event::Suspects { at, of });
            if let Some(contact) = self.table().get_mut(&id(device)) {
                contact.suspect();
            }
        }
        if let Some(how) = look.ask {
            let (me, received) = (Arc::clone(self), traffic.received);
            self.spawn(async move { me.ask(device, session, received, how).await });
        }
    }

    async fn ask(&self, device: u8, session: Session, received: u64, how: Ask) {
        let (here, Session { peer, link, .. }) = (self.place.device, session);
        let network = &self.shared.network;
        let silent = || peer.end().is_none() && network.received(link, here) == received;
        let refused = |patience: Duration| async move {
            let answers = network.refuses(here, device);
            tokio::time::sleep(patience / 2).await;
            if !answers {
                tokio::time::sleep(patience / 2).await;
            }
            answers
        };
        if !nobody_listens(refused, how, silent).await {
            return;
        }
        let is = |session: &Session| session.peer.is_same(&peer);
        let current = self
            .table()
            .get_mut(&id(device))
            .is_some_and(|contact| contact.crashed(is));
        if current {
            peer.close(DeathReason::ProcessDied, code::TIMEOUT, "crashed");
        }
    }
}
