//! Being dialled, as `softbus/src/peers/{accept,welcome}.rs` do it.

use std::sync::Arc;

use rpc::{
    link::LinkClosed,
    opening::{Incoming, Remote},
};
use softbus::__decisions::{Due, Ghost, Hello, Refusal, WITHHELD};

use super::{Node, Session, code, id, party};
use crate::carrier::Numbered;

impl Node {
    /// Answers a connection that another device dialled.
    pub(crate) async fn answer(&self, end: Numbered, device: u8) {
        let Numbered { number, link } = end;
        if !self.trusts(device) {
            return link.close(code::NOT_TRUSTED, "not admitted");
        }
        let remote = Remote::device(party(device));
        let Ok(incoming) = Incoming::accept(&self.bus, link, remote).await else {
            return;
        };
        let judged = self.table().judge(&id(device), incoming.boot());
        if let Err(refusal) = judged {
            let code = match refusal {
                Refusal::Ghost(Ghost::Older) => certs::CloseCode::Replaced,
                Refusal::Ghost(Ghost::Double) => certs::CloseCode::IdentityInUse,
                Refusal::Full(_) => certs::CloseCode::Limit,
            };
            return incoming.refuse(code.code(), "refused");
        }
        let hello = Hello {
            boot: incoming.boot(),
            replaces: incoming.replaces(),
        };
        let due = Welcoming::when_due(self, device, hello, incoming.closed());
        let Some(_welcoming) = due.await else {
            return incoming.refuse(code::DUPLICATE, "another connection was kept");
        };
        let network = &self.shared.network;
        let welcomed = network.before_welcome(number, self.place.device);
        if let Ok(peer) = incoming.welcome(&self.bus).await {
            let session = Session {
                peer,
                link: number,
                address: None,
                welcomed,
                at: self.place,
                network: Arc::clone(network),
            };
            self.install(device, session);
        }
    }
}

/// A connection is being welcomed: meanwhile no dial of our own is begun, whose session would replace this one.
struct Welcoming<'a> {
    node: &'a Node,
    device: u8,
}

impl<'a> Welcoming<'a> {
    /// Withholds Welcome as long as it is due later; `None` if another connection is kept.
    async fn when_due(
        node: &'a Node,
        device: u8,
        hello: Hello,
        gone: impl Future<Output = LinkClosed>,
    ) -> Option<Self> {
        let due = async {
            loop {
                let changed = node.changed.notified();
                match Self::ask(node, device, hello, false) {
                    Ok(welcoming) => return Some(welcoming),
                    Err(Due::Never) => return None,
                    Err(_) => changed.await,
                }
            }
        };
        tokio::select! {
            biased;
            due = tokio::time::timeout(WITHHELD, due) => match due {
                Ok(due) => due,
                Err(_) => Self::ask(node, device, hello, true).ok(),
            },
            _ = gone => None,
        }
    }

    fn ask(node: &'a Node, device: u8, hello: Hello, waited: bool) -> Result<Self, Due> {
        match node.table().welcome(id(device), hello, waited) {
            Due::Now => Ok(Self { node, device }),
            later => Err(later),
        }
    }
}

impl Drop for Welcoming<'_> {
    fn drop(&mut self) {
        self.node.table().welcomed(&id(self.device));
        self.node.dial_if_useful(self.device);
    }
}
