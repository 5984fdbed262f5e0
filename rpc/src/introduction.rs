//! Introductions: A passes an object of B to C, and C gets it from B. Each of them is a device, or all three are processes of
//! one.
//!
//! | who | does | where |
//! |---|---|---|
//! | A | asks B for a token before the parcel leaves | `asking` |
//! | B | decides by its policy, makes tokens and takes them back | `origin`, `tokens` |
//! | C | redeems the token at B, as itself, before anybody gets the parcel | `redeeming` |
//!
//! What C then has is an object that B granted to C's own session: A may be gone.

mod asking;
pub(crate) mod fuzzing;
mod origin;
mod redeeming;
mod strikes;
mod tokens;
mod wire;

pub(crate) use asking::ask;
pub(crate) use origin::{answers, serve};
pub(crate) use redeeming::{Redemption, Redemptions, Unwanted};
pub(crate) use strikes::Strikes;
pub use tokens::Counts;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Instant,
};

use async_trait::async_trait;
use proto::{DeviceId, message::feature};

use crate::{
    bus::Bus,
    error::GetServiceError,
    peer::{Peer, now},
    remote::LocalObject,
    session::passing_rules::Party,
};
use tokens::Tokens;

/// The other devices, and the other processes of this one, as who puts a bus among them knows them. Without one a bus neither introduces nor is
/// introduced: such objects are refused as [`ThirdParty`](crate::parcel::PassObjectError::ThirdParty).
#[async_trait]
pub trait Neighbours: Send + Sync + 'static {
    /// Whether this device trusts another one.
    fn is_trusted(&self, device: &DeviceId) -> bool;

    /// The session with a device, or with a process of this one: the one there is, or one that is opened now.
    ///
    /// # Errors
    /// Why there is none at `deadline`, or why there will be none.
    async fn session(&self, with: Party, deadline: Instant) -> Result<Peer, GetServiceError>;
}

/// Why an object that a parcel introduces has not come. The rest of the parcel is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum IntroductionError {
    /// This device does not trust the one the object lives on. Pair with it, and have the object passed again.
    #[error("its device is not trusted here")]
    NotTrusted,
    /// The device the object lives on does not trust this one. Its user has to add this device's id.
    #[error("not trusted by its device")]
    NotTrustedByOrigin,
    /// The policy of the object's device does not let this one have it.
    #[error("refused by its device")]
    Refused,
    /// The device the object lives on was not found, or does not answer on any address it is known by.
    #[error("its device is unreachable")]
    Unreachable,
    /// The device the object lives on is there but did not answer in time.
    #[error("its device did not answer in time")]
    TimedOut,
    /// The introduction came more than 30 s after it was made. Have the object passed again.
    #[error("introduction expired")]
    Expired,
    /// The introduction was used before. Have the object passed again.
    #[error("introduction used already")]
    Used,
    /// The object's device never made this introduction for this one: it is forged, or meant for another device, or
    /// the object's device has been started again.
    #[error("introduction not known to its device")]
    Unknown,
    /// Too many parcels wait for introductions, or too many introductions of late were wrong. Try again later.
    #[error("too many introductions")]
    TooMany,
    /// The object died on the way.
    #[error("dead object")]
    DeadObject,
    /// The device the object lives on is of an older version.
    #[error("its device knows no introductions")]
    Unsupported,
}

/// What a bus has of introductions: whom it can reach, and the tokens it has given out.
#[derive(Default)]
pub(crate) struct Introductions {
    neighbours: OnceLock<Weak<dyn Neighbours>>,
    tokens: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    tokens: Tokens<LocalObject>,
    /// Somebody comes back when a token expires.
    swept: bool,
}

impl Introductions {
    pub(crate) fn set_neighbours(&self, neighbours: Weak<dyn Neighbours>) -> bool {
        self.neighbours.set(neighbours).is_ok()
    }

    fn neighbours(&self) -> Option<Arc<dyn Neighbours>> {
        self.neighbours.get()?.upgrade()
    }

    /// What this bus can do.
    pub(crate) fn features(&self) -> u64 {
        match self.neighbours.get() {
            Some(_) => feature::INTRODUCTIONS,
            None => 0,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.given().tokens.counts()
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of what tokens hold when they expire, as long as there are any.
async fn sweep(bus: Weak<Bus>) {
    loop {
        let Some(due) = bus.upgrade().and_then(|bus| {
            let mut given = bus.introductions.given();
            let due = given.tokens.due();
            given.swept = due.is_some();
            due
        }) else {
            return;
        };
        tokio::time::sleep_until(due.into()).await;
        let Some(bus) = bus.upgrade() else { return };
        let expired = bus.introductions.given().tokens.expire(now());
        if !expired.is_empty() {
            tracing::info!(count = expired.len(), "introductions expired");
        }
        // Outside the lock: it may be the end of somebody's stub.
        drop(expired);
    }
}
