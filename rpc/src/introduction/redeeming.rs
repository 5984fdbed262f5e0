//! Who is given objects of third devices: it asks those devices for them, as itself.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use proto::{frame::Token, openharmony::samgr as code};
use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
};

use super::{
    IntroductionError,
    wire::{self, No, YES},
};
use crate::{
    call::CallOption,
    error::{GetServiceError, SendRequestError},
    limits::{MAX_REDEMPTIONS, REDEEM_AT_ONCE, WRONG_INTRODUCTIONS_PENALTY},
    parcel::{BrokenObject, Slot},
    peer::{Peer, PeerShared, now},
    remote::RemoteObject,
    session::{
        Introduced, RedemptionId,
        passing_rules::{self, Party},
    },
};

/// What became of one introduced object.
type Redeemed = Result<RemoteObject, IntroductionError>;

/// The introductions of one header, to be redeemed.
pub(crate) struct Redemption {
    pub(crate) id: RedemptionId,
    pub(crate) objects: Vec<Introduced>,
    pub(crate) until: Instant,
}

/// The introductions of a session's headers that somebody still wants.
#[derive(Default)]
pub(crate) struct Redemptions(BTreeMap<RedemptionId, State>);

enum State {
    Running(Option<AbortHandle>),
    /// In the order of the parcel.
    Done(std::vec::IntoIter<Slot>),
}

/// What is left of a redemption that nobody wants; to be dropped outside the session's lock, because it may be the end
/// of somebody's proxy.
#[must_use]
pub(crate) struct Unwanted(Option<State>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        if let Some(State::Running(Some(task))) = &self.0 {
            task.abort();
        }
    }
}

impl Redemptions {
    pub(crate) fn begin(&mut self, id: RedemptionId) {
        self.0.insert(id, State::Running(None));
    }

    pub(crate) fn forget(&mut self, id: RedemptionId) -> Unwanted {
        Unwanted(self.0.remove(&id))
    }

    /// What became of the objects of a parcel that is given to somebody.
    pub(crate) fn take(&mut self, id: RedemptionId) -> std::vec::IntoIter<Slot> {
        match self.0.remove(&id) {
            Some(State::Done(slots)) => slots,
            Some(State::Running(_)) | None => Vec::new().into_iter(),
        }
    }
}

impl Redemption {
    /// Begins to ask, on a task of its own.
    pub(crate) fn start(self, peer: &Arc<PeerShared>) {
        let id = self.id;
        let task = peer.runtime().spawn(self.run(Arc::clone(peer)));
        let mut state = peer.lock();
        match state.redemptions.0.get_mut(&id) {
            Some(State::Running(handle)) => *handle = Some(task.abort_handle()),
            Some(State::Done(_)) => {}
            None => {
                drop(state);
                task.abort();
            }
        }
    }

    async fn run(self, peer: Arc<PeerShared>) {
        let too_many = peer.lock().redemptions.0.len() > MAX_REDEMPTIONS;
        let redeemed = if too_many {
            vec![Err(IntroductionError::TooMany); self.objects.len()]
        } else {
            redeem_all(&peer, &self.objects, self.until).await
        };
        let slots: Vec<_> = redeemed
            .into_iter()
            .map(|redeemed| redeemed.map(Into::into).map_err(BrokenObject::Introduction))
            .collect();
        let id = self.id;
        let unwanted = peer.run(|state, _| match state.redemptions.0.get_mut(&id) {
            Some(place) => {
                *place = State::Done(slots.into_iter());
                state.session.redeemed(id);
                None
            }
            None => Some(slots),
        });
        drop(unwanted);
    }
}

/// Asks every home for its objects, several homes at a time.
async fn redeem_all(
    peer: &Arc<PeerShared>,
    objects: &[Introduced],
    until: Instant,
) -> Vec<Redeemed> {
    let mut redeemed = vec![Err(IntroductionError::TimedOut); objects.len()];
    let mut homes: BTreeMap<Party, Vec<(usize, Introduced)>> = BTreeMap::new();
    for (index, object) in objects.iter().enumerate() {
        let home = homes.entry(object.home()).or_default();
        home.push((index, *object));
    }
    let at_once = Arc::new(Semaphore::new(REDEEM_AT_ONCE));
    let mut asking = JoinSet::new();
    for (home, wanted) in homes {
        let (peer, at_once) = (Arc::clone(peer), Arc::clone(&at_once));
        asking.spawn(async move {
            let places: Vec<_> = wanted.iter().map(|(index, _)| *index).collect();
            let objects: Vec<_> = wanted.into_iter().map(|(_, object)| object).collect();
            let asked = async {
                // The semaphore is never closed.
                let _place = at_once.acquire().await;
                redeem_at(&peer, home, &objects, until).await
            };
            let failed = |error| vec![Err(error); places.len()];
            let got = tokio::time::timeout_at(until.into(), asked).await;
            let got = got.unwrap_or(Err(IntroductionError::TimedOut));
            let got = got.unwrap_or_else(failed);
            places.into_iter().zip(got).collect::<Vec<_>>()
        });
    }
    while let Some(asked) = asking.join_next().await {
        // One that panicked leaves what stands there already.
        for (index, got) in asked.unwrap_or_default() {
            redeemed[index] = got;
        }
    }
    for (object, error) in objects.iter().zip(&redeemed) {
        if let Err(error) = error {
            let (from, home) = (peer.remote().device, object.introduction.home);
            tracing::warn!(?from, ?home, %error, "introduction not redeemed");
        }
    }
    redeemed
}

/// Asks one home for all its objects in the parcel.
async fn redeem_at(
    peer: &Arc<PeerShared>,
    home: Party,
    objects: &[Introduced],
    until: Instant,
) -> Result<Vec<Redeemed>, IntroductionError> {
    let bus = peer.bus().ok_or(IntroductionError::Unreachable)?;
    if !passing_rules::accepts_introduction(bus.party(), peer.remote(), home) {
        return Err(IntroductionError::Unknown);
    }
    let neighbours = bus.introductions.neighbours();
    let neighbours = neighbours.ok_or(IntroductionError::Unreachable)?;
    let local = home.device == bus.party().device;
    if !local && !neighbours.is_trusted(&home.device) {
        return Err(IntroductionError::NotTrusted);
    }
    if peer.lock().as_receiver.is_out(now()) {
        return Err(IntroductionError::TooMany);
    }
    let session = tokio::time::timeout_at(until.into(), neighbours.session(home, until)).await;
    let session = session.map_err(|_| IntroductionError::Unreachable)?;
    let session = session.map_err(|error| unreachable(&error))?;
    if !session.shared.introduces() {
        return Err(IntroductionError::Unsupported);
    }
    // An object that stands in the parcel twice has one token.
    let mut tokens: Vec<Token> = Vec::with_capacity(objects.len());
    for object in objects {
        if !tokens.contains(&object.introduction.token) {
            tokens.push(object.introduction.token);
        }
    }
    let got = present(&session, &tokens, until).await?;
    let mut wrong = 0;
    let redeemed = objects.iter().map(|object| {
        let token = object.introduction.token;
        let at = tokens.iter().position(|known| *known == token);
        let got = at.and_then(|at| got.get(at)).cloned();
        let got = got.unwrap_or(Err(IntroductionError::Unknown));
        // What its home gives is to be what the sender said it is.
        let got = got.and_then(|found| match found.as_proxy() {
            Some(proxy) if proxy.0.id == object.object => Ok(found),
            _ => Err(IntroductionError::Unknown),
        });
        if got == Err(IntroductionError::Unknown) {
            wrong += 1;
        }
        got
    });
    let redeemed = redeemed.collect();
    for _ in 0..wrong {
        let now = now();
        if peer
            .lock()
            .as_receiver
            .count(now, WRONG_INTRODUCTIONS_PENALTY)
        {
            let from = peer.remote().device;
            tracing::warn!(target: "softbus::audit", ?from, "too many wrong introductions");
        }
    }
    Ok(redeemed)
}

/// Presents tokens to the home they are of.
async fn present(
    home: &Peer,
    tokens: &[Token],
    until: Instant,
) -> Result<Vec<Redeemed>, IntroductionError> {
    let data = wire::write_tokens(tokens).map_err(|_| IntroductionError::TooMany)?;
    let left = until.saturating_duration_since(now());
    if left.is_zero() {
        return Err(IntroductionError::TimedOut);
    }
    let option = CallOption::two_way().wait(left);
    let answered = home.root().send_request(code::REDEEM, &data, option).await;
    let mut reply = answered.map_err(|error| match error {
        SendRequestError::TimedOut { .. } => IntroductionError::TimedOut,
        SendRequestError::Busy { .. } => IntroductionError::TooMany,
        SendRequestError::Refused => IntroductionError::Refused,
        SendRequestError::UnknownMethod { .. } => IntroductionError::Unsupported,
        _ => IntroductionError::Unreachable,
    })?;
    let mut one = || match reply.read_i32() {
        Ok(YES) => reply
            .read_remote_object()
            .map_err(|_| IntroductionError::Unknown),
        Ok(no) => Err(refusal(No::from_wire(no))),
        Err(_) => Err(IntroductionError::Unknown),
    };
    Ok(tokens.iter().map(|_| one()).collect())
}

fn refusal(no: No) -> IntroductionError {
    match no {
        No::Unknown => IntroductionError::Unknown,
        No::Dead => IntroductionError::DeadObject,
        No::NotTrusted => IntroductionError::NotTrustedByOrigin,
        No::TooMany => IntroductionError::TooMany,
        No::Expired => IntroductionError::Expired,
        No::Used => IntroductionError::Used,
        No::Refused | No::NotReExportable => IntroductionError::Refused,
    }
}

fn unreachable(error: &GetServiceError) -> IntroductionError {
    match error {
        GetServiceError::DeviceNotTrusted => IntroductionError::NotTrusted,
        GetServiceError::NotTrustedByDevice => IntroductionError::NotTrustedByOrigin,
        _ => IntroductionError::Unreachable,
    }
}
