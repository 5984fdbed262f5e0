//! Carries out what the machine decides: the one place here that waits.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use proto::DeviceId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::machine::{Action, EngineEvent, Failure, Machine, Registration, VERIFY_TIMEOUT};
use crate::{Advertisement, Fanout, Hint, PublishDeviceError, UpdatePublicationError};

/// How long an engine may take to end.
const STOP: Duration = Duration::from_secs(1);

/// Events handled before others on the runtime get a turn: the engine's queue is not one the runtime counts.
const EVENTS_PER_TURN: u32 = 16;

/// What speaks mDNS. Every call but `next` and `stop` returns at once.
pub(super) trait Engine: Send + 'static {
    fn create(&mut self) -> Result<(), Failure>;
    fn browse(&mut self) -> Result<(), Failure>;
    fn register(&mut self, registration: &Registration) -> Result<(), Failure>;
    fn unregister(&mut self, fullname: &str) -> Result<(), Failure>;
    fn verify(&mut self, fullname: &str, timeout: Duration) -> Result<(), Failure>;
    /// Never ready while there is no engine. May be dropped and called again without losing an event.
    fn next(&mut self) -> impl Future<Output = EngineEvent> + Send;
    /// Ends the engine; says whether it did end within the time.
    fn stop(&mut self, within: Duration) -> impl Future<Output = bool> + Send;
}

/// What a handle asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    Publish {
        advertisement: Advertisement,
        reply: oneshot::Sender<Result<u64, PublishDeviceError>>,
    },
    Update {
        advertisement: Advertisement,
        token: u64,
        reply: oneshot::Sender<Result<(), UpdatePublicationError>>,
    },
    Withdraw {
        id: DeviceId,
        token: u64,
        reply: Option<oneshot::Sender<()>>,
    },
    Refresh {
        who: Option<DeviceId>,
        hint: Hint,
    },
    Close {
        deadline: Instant,
    },
}

pub(super) struct Driver<E> {
    engine: E,
    machine: Machine,
    fanout: Fanout,
    commands: mpsc::Receiver<Command>,
    pins: watch::Receiver<HashSet<DeviceId>>,
    ended: watch::Sender<Option<bool>>,
    tokens: HashMap<DeviceId, u64>,
    next_token: u64,
    deadline: Option<Instant>,
}

impl<E: Engine> Driver<E> {
    pub(super) fn new(
        engine: E,
        fanout: Fanout,
        commands: mpsc::Receiver<Command>,
        pins: watch::Receiver<HashSet<DeviceId>>,
        ended: watch::Sender<Option<bool>>,
    ) -> Self {
        Self {
            engine,
            machine: Machine::new(now()),
            fanout,
            commands,
            pins,
            ended,
            tokens: HashMap::new(),
            next_token: 0,
            deadline: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut clean = true;
        let mut pins_open = true;
        let mut turn = 0;
        loop {
            while let Some(action) = self.machine.poll_action() {
                clean &= self.perform(action).await;
            }
            let wake = self.machine.poll_timeout();
            if self.machine.is_stopped() {
                break;
            }
            tokio::select! {
                command = self.commands.recv(), if self.deadline.is_none() => match command {
                    Some(command) => self.handle(command),
                    None => self.close(Instant::now() + STOP),
                },
                changed = self.pins.changed(), if pins_open => {
                    pins_open = changed.is_ok();
                    self.machine.pin(self.pins.borrow_and_update().clone());
                }
                event = self.engine.next() => {
                    self.machine.handle_event(now(), event);
                    turn += 1;
                    if turn % EVENTS_PER_TURN == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                () = wait(wake) => self.machine.handle_timeout(now()),
            }
        }
        self.commands.close();
        self.fanout.close();
        self.ended.send_replace(Some(clean));
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Publish {
                advertisement,
                reply,
            } => {
                let id = advertisement.announcement.id;
                let answer = if self.machine.is_published(&id) {
                    Err(PublishDeviceError::AlreadyPublished)
                } else {
                    self.machine.publish(now(), &advertisement);
                    self.next_token += 1;
                    self.tokens.insert(id, self.next_token);
                    Ok(self.next_token)
                };
                if let Err(Ok(_)) = reply.send(answer) {
                    // Nobody waits any more, so nobody could ever withdraw it.
                    self.withdraw(&id);
                }
            }
            Command::Update {
                advertisement,
                token,
                reply,
            } => {
                let id = advertisement.announcement.id;
                let answer = if self.tokens.get(&id) == Some(&token) {
                    self.machine.publish(now(), &advertisement);
                    Ok(())
                } else {
                    Err(UpdatePublicationError::Withdrawn)
                };
                let _ = reply.send(answer);
            }
            Command::Withdraw { id, token, reply } => {
                if self.tokens.get(&id) == Some(&token) {
                    self.withdraw(&id);
                }
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
            }
            Command::Refresh { who, hint } => self.machine.refresh(now(), who, hint),
            Command::Close { deadline } => self.close(deadline),
        }
    }

    fn withdraw(&mut self, id: &DeviceId) {
        self.tokens.remove(id);
        self.machine.withdraw(now(), id);
    }

    fn close(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        self.machine.close(now(), deadline.into_std());
    }

    /// Says whether the engine is not left behind.
    async fn perform(&mut self, action: Action) -> bool {
        let done = match &action {
            Action::Create => self.engine.create(),
            Action::Browse => self.engine.browse(),
            Action::Register(registration) => self.engine.register(registration),
            Action::Unregister(fullname) => self.engine.unregister(fullname),
            Action::Verify(fullname) => self.engine.verify(fullname, VERIFY_TIMEOUT),
            Action::Upsert(candidate) => {
                self.fanout.upsert(candidate.clone());
                Ok(())
            }
            Action::Withdrawn(id) => {
                self.fanout.withdraw(*id);
                Ok(())
            }
            Action::Expired(id) => {
                self.fanout.expire(*id);
                Ok(())
            }
            Action::Status(status) => {
                self.fanout.set_status(status.clone());
                Ok(())
            }
            Action::Discard | Action::Stop => {
                let left = self
                    .deadline
                    .map_or(STOP, |at| at.saturating_duration_since(Instant::now()));
                return self.engine.stop(left.min(STOP)).await;
            }
        };
        if let Err(failure) = done {
            tracing::debug!(?action, ?failure, "mDNS engine refused");
            self.machine.handle_failure(now(), &action, failure);
        }
        true
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn wait(until: Option<std::time::Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
