//! The sessions of a process with other processes of its device. The host makes their sockets and hands each of the two its
//! end; it can be asked for that, or do it because the other one asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rpc::{
    Bus, DeathReason, GetServiceError, Peer,
    opening::{self, Incoming, Remote, close_code},
    session::passing_rules::Party,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};

use super::{
    LocalError,
    by_user::{ByUser, Place},
    process, sockets,
};
use crate::link::unix::{UnixLink, packets::Pair};

/// How often the host is asked for a session that does not come to be.
const ATTEMPTS: usize = 3;
/// Sessions of one user that others open with us and that are not open yet; further ones are dropped. Those that we open are as
/// many as we ask for.
const OPENING_OF_ONE: usize = 16;
/// Processes without a session of which is remembered which was the last.
const REMEMBERED: usize = 1024;

/// The sessions, by the number of the other process.
#[derive(Debug)]
pub(super) struct Direct {
    table: Mutex<HashMap<u64, Known>>,
    /// Counts what has changed there.
    changed: watch::Sender<u64>,
    opening: Arc<ByUser>,
}

/// What there is with another process.
#[derive(Debug, Default)]
struct Known {
    /// The last session that the host has handed us; 0 for none of this host's.
    last: u64,
    /// That one is not open yet: whoever asked for another one now would replace it under those who were waiting for it.
    opening: bool,
    session: Option<Peer>,
}

impl Default for Direct {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            changed: watch::Sender::new(0),
            opening: Arc::default(),
        }
    }
}

impl Direct {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// There is another host, which counts anew. The sessions go on.
    pub(super) fn forget_numbers(&self) {
        let mut table = self.lock();
        table.retain(|_, known| known.session.is_some());
        for known in table.values_mut() {
            known.last = 0;
        }
    }

    /// The session with a process: the one there is, or one that `ask` has the host hand to both.
    ///
    /// # Errors
    /// Why there is none at `deadline`, or why there will be none.
    pub(super) async fn session<A: Future<Output = Result<(), GetServiceError>>>(
        &self,
        process: u64,
        deadline: Instant,
        ask: impl Fn(u64) -> A,
    ) -> Result<Peer, GetServiceError> {
        let mut changed = self.changed.subscribe();
        let mut asked = None;
        let mut attempts = 0;
        loop {
            changed.mark_unchanged();
            let (last, opening) = match self.lock().get(&process) {
                Some(Known {
                    session: Some(session),
                    ..
                }) => return Ok(session.clone()),
                Some(known) => (known.last, known.opening),
                None => (0, false),
            };
            let too_late = || GetServiceError::Unreachable("process does not answer".to_owned());
            if !opening && asked != Some(last) {
                if attempts == ATTEMPTS {
                    return Err(too_late());
                }
                attempts += 1;
                asked = Some(last);
                let answer = timeout_at(deadline, ask(last)).await;
                answer.map_err(|_| too_late())??;
            }
            let change = timeout_at(deadline, changed.changed()).await;
            change.map_err(|_| too_late())?.map_err(|_| too_late())?;
        }
    }

    /// Takes the sessions that a host hands us, as long as it does.
    pub(super) async fn receive_all(
        self: Arc<Self>,
        bus: Arc<Bus>,
        mut pairs: mpsc::Receiver<Pair>,
    ) {
        while let Some(pair) = pairs.recv().await {
            let place = match pair.dials {
                true => None,
                false => match self.opening.take(pair.credentials.uid, OPENING_OF_ONE) {
                    Some(place) => Some(place),
                    None => {
                        tracing::info!(
                            process = pair.process,
                            "too many sessions are opened at once"
                        );
                        continue;
                    }
                },
            };
            tokio::spawn(Arc::clone(&self).receive(Arc::clone(&bus), pair, place));
        }
    }

    /// The host hands us a session. It replaces the one before, as it does at the other end.
    pub(super) async fn receive(self: Arc<Self>, bus: Arc<Bus>, pair: Pair, place: Option<Place>) {
        let (process, number) = (pair.process, pair.number);
        self.remember(process, number);
        let opened = open(&bus, pair).await;
        drop(place);
        let before = {
            let mut table = self.lock();
            let known = table.entry(process).or_default();
            known.opening &= known.last != number;
            match &opened {
                Ok((peer, _)) if known.last == number => known.session.replace(peer.clone()),
                Ok((peer, _)) => Some(peer.clone()),
                Err(error) => {
                    tracing::info!(process, %error, "no session with a process");
                    None
                }
            }
        };
        self.tell();
        if let Some(before) = before {
            before.close(DeathReason::ProcessDied, close_code::LEAVING, "replaced");
        }
        let Ok((peer, pidfd)) = opened else { return };
        process::watch(pidfd, peer.clone()).await;
        let gone = {
            let mut table = self.lock();
            let known = table.get_mut(&process);
            let known = known.filter(|known| {
                let session = known.session.as_ref();
                session.is_some_and(|session| session.is_same(&peer))
            });
            known.and_then(|known| known.session.take())
        };
        drop(gone);
        self.tell();
    }

    fn remember(&self, process: u64, number: u64) {
        let mut table = self.lock();
        if table.len() >= REMEMBERED {
            table.retain(|_, known| known.session.is_some() || known.opening);
        }
        let known = table.entry(process).or_default();
        known.last = number;
        known.opening = true;
    }

    /// Ends all sessions.
    pub(super) fn close(&self) {
        let sessions: Vec<_> = {
            let table = self.lock();
            let sessions = table.values();
            sessions.filter_map(|known| known.session.clone()).collect()
        };
        for session in sessions {
            session.close(DeathReason::ProcessDied, close_code::LEAVING, "leaving");
        }
    }

    /// The sessions there are.
    pub(super) fn sessions(&self) -> Vec<Peer> {
        let table = self.lock();
        let sessions = table.values();
        sessions.filter_map(|known| known.session.clone()).collect()
    }
}

/// Opens a session on the sockets that the host handed us. Who is at the other end is what the host says.
async fn open(
    bus: &Arc<Bus>,
    pair: Pair,
) -> Result<(Peer, Option<std::os::fd::OwnedFd>), LocalError> {
    let party = Party {
        process: pair.process,
        ..bus.party()
    };
    let remote = Remote::process(party, pair.credentials);
    let link = Arc::new(UnixLink::new(sockets::use_pair(pair.sockets)?)?);
    let peer = if pair.dials {
        opening::connect(bus, link, remote, 0).await?
    } else {
        let incoming = Incoming::accept(bus, link, remote).await?;
        incoming.welcome(bus).await?
    };
    Ok((peer, pair.pidfd))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};

    use proto::DeviceId;
    use rpc::opening::Credentials;

    use super::*;

    /// A session that a process of a user opens with us, and does not; with the control socket of the other end.
    fn silent(process: u64, uid: u32) -> (Pair, std::os::unix::net::UnixStream) {
        let (ours, [control, ..]) = sockets::pair().unwrap();
        let pair = Pair {
            number: process,
            dials: false,
            process,
            credentials: Credentials { pid: 1, uid },
            sockets: ours,
            pidfd: None,
        };
        let control = std::os::unix::net::UnixStream::from(control);
        control.set_nonblocking(true).unwrap();
        (pair, control)
    }

    fn bus() -> Arc<Bus> {
        super::super::bus(DeviceId::from_bytes([7; 32]))
    }

    fn is_closed(mut control: &std::os::unix::net::UnixStream) -> bool {
        let read = control.read(&mut [0]);
        !read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    #[tokio::test]
    async fn of_sessions_that_are_not_opened_one_user_has_so_many_here() {
        let (handing, pairs) = mpsc::channel(64);
        let silent: Vec<_> = (1..=20)
            .map(|process| silent(process, 7))
            .chain([silent(21, 8)])
            .map(|(pair, control)| {
                handing.try_send(pair).unwrap();
                control
            })
            .collect();
        tokio::spawn(Arc::<Direct>::default().receive_all(bus(), pairs));
        // It takes all that is there before it waits.
        tokio::task::yield_now().await;
        let closed: Vec<_> = silent.iter().map(is_closed).collect();
        let expected: Vec<_> = (1..=21).map(|number| (17..=20).contains(&number)).collect();
        assert_eq!(closed, expected);
    }

    /// Another one would replace it, and end what others do in it already.
    #[tokio::test]
    async fn nobody_asks_for_another_session_while_one_is_being_opened() {
        let direct = Arc::<Direct>::default();
        let (pair, control) = silent(1, 7);
        tokio::spawn(Arc::clone(&direct).receive(bus(), pair, None));
        tokio::task::yield_now().await;
        let (ask, mut asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let deadline = Instant::now() + std::time::Duration::from_secs(30);
            let ask = |last| {
                ask.send(last).unwrap();
                std::future::ready(Err(GetServiceError::Absent))
            };
            direct.session(1, deadline, ask).await
        });
        tokio::task::yield_now().await;
        assert_eq!(asked.try_recv(), Err(mpsc::error::TryRecvError::Empty));
        // That one failed.
        drop(control);
        assert_eq!(asked.recv().await, Some(1));
    }
}
