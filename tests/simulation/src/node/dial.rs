//! Dialling, as `softbus/src/peers/dial.rs` does it.

use std::{sync::Arc, time::Duration};

use rpc::{
    link::LinkClosed,
    opening::{self, OpenSessionError, Remote},
};
use softbus::__decisions::{Contact, DIAL_TIME, Round};
use tokio::task::JoinSet;

use super::{Node, Session, code, id, lock, now, party};
use crate::{carrier::Numbered, log::Event};

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialled {
    Session,
    Nothing,
    /// The device does not trust this one.
    NotTrusted,
}

impl Node {
    /// Begins to dial a device that has no session.
    pub(super) fn dial_if_useful(&self, device: u8) {
        let Some(me) = self.me.upgrade() else { return };
        let begins = self.is_alive() && self.table().begin_dial(&id(device), self.trusts(device));
        if begins {
            self.spawn(async move { me.dial_until_online(device).await });
        }
    }

    async fn dial_until_online(self: Arc<Self>, device: u8) {
        loop {
            let dialled = self.dial_once(device).await;
            let (pause, heard) = {
                let trusted = self.trusts(device);
                let mut table = self.table();
                let Some(contact) = table.get_mut(&id(device)) else {
                    return;
                };
                let notes = &mut contact.notes;
                notes.dials += 1;
                if dialled == Dialled::NotTrusted {
                    notes.refused = notes.dials;
                }
                let heard = Arc::clone(&notes.news).notified_owned();
                let chance = || lock(&self.chance).below(256) as u8;
                let pause = table.dial_ended(&id(device), trusted, chance, now());
                (pause, heard)
            };
            self.changed.notify_waiters();
            let Some(pause) = pause else { return };
            let _ = tokio::time::timeout(pause, heard).await;
            let mut table = self.table();
            let contact = table.get_mut(&id(device));
            if !contact.is_some_and(Contact::dial_again) {
                return;
            }
        }
    }

    /// One round. Connections race, and one of them at a time says Hello.
    async fn dial_once(self: &Arc<Self>, device: u8) -> Dialled {
        let mut last = Dialled::Nothing;
        let round = async {
            let (mut tried, mut attempts) = (Round::default(), JoinSet::new());
            loop {
                let (addrs, heard) = {
                    let table = self.table();
                    let Some(contact) = table.get(&id(device)) else {
                        return;
                    };
                    let heard = Arc::clone(&contact.notes.news).notified_owned();
                    (tried.due(contact), heard)
                };
                for (address, later) in addrs {
                    attempts.spawn(Arc::clone(self).connect(device, address, later));
                }
                let attempt = tokio::select! {
                    biased;
                    attempt = attempts.join_next() => attempt,
                    () = heard => continue,
                };
                let (link, address) = match attempt {
                    Some(Ok(Some(connected))) => connected,
                    Some(_) => continue,
                    None => return,
                };
                last = self.open(device, link, address).await;
                if last == Dialled::Session {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DIAL_TIME, round).await;
        last
    }

    async fn connect(
        self: Arc<Self>,
        device: u8,
        address: u32,
        later: Duration,
    ) -> Option<(Numbered, u32)> {
        if !later.is_zero() {
            tokio::time::sleep(later).await;
        }
        let network = &self.shared.network;
        let end = network.dial(self.place, device, address);
        self.record(Event::Dialled {
            at: self.place,
            to: device,
            link: end.number,
        });
        let connected = network.connected(end.number).await && self.trusts(device);
        connected.then_some((end, address))
    }

    /// Makes a connection the session with a device.
    async fn open(&self, device: u8, end: Numbered, address: u32) -> Dialled {
        let lost = self.table().get(&id(device)).map_or(0, Contact::replaces);
        if !self.trusts(device) {
            return Dialled::Nothing;
        }
        let Numbered {
            number: link,
            link: connection,
        } = end;
        let remote = Remote::device(party(device));
        match opening::connect(&self.bus, connection, remote, lost).await {
            Ok(peer) => {
                let session = Session {
                    peer,
                    link,
                    address: Some(address),
                    welcomed: None,
                    at: self.place,
                    network: Arc::clone(&self.shared.network),
                };
                self.install(device, session);
                Dialled::Session
            }
            Err(OpenSessionError::Closed(LinkClosed::ByPeer { code, .. }))
                if [code::NOT_TRUSTED, code::REVOKED].contains(&code) =>
            {
                Dialled::NotTrusted
            }
            Err(_) => Dialled::Nothing,
        }
    }
}
