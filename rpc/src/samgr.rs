//! The system ability manager of a process: its services, who asks for them from elsewhere, and who waits for them here.

mod asker;
mod guests;
mod life;
mod loading;
mod local;
mod on_demand;
mod remote;
mod starter;
mod stub;
mod watch;
mod wire;

pub(crate) use guests::tell_of_end;
pub use life::ServiceState;
pub use local::LocalAbilityManager;
pub(crate) use on_demand::{Entry as OnDemandEntry, Offer, OnDemandTable};
pub use remote::failure as look_up_failure;
pub use starter::{OnDemandOptions, ServiceStarter};
pub(crate) use stub::SamgrStub;
pub(crate) use watch::{Change, Watches};
pub use watch::{ServiceEvent, ServiceWatch, WatchPlace};

/// What a look-up answers on the wire, before the object.
mod answer {
    pub(super) const FOUND: i32 = 0;
    pub(super) const ABSENT: i32 = 1;
    pub(super) const NOT_DISTRIBUTED: i32 = 2;
    pub(super) const REFUSED: i32 = 3;
    /// Its start failed.
    pub(super) const START_FAILED: i32 = 4;
    /// Its start took too long; milliseconds follow.
    pub(super) const START_TIMED_OUT: i32 = 5;
    /// So many of the caller wait already; the limit follows.
    pub(super) const TOO_MANY_LOADS: i32 = 6;
    /// It was started again so often; the limit and milliseconds to wait follow.
    pub(super) const TOO_MANY_RESTARTS: i32 = 7;
    /// The device is taking leave.
    pub(super) const LEAVING: i32 = 8;
}
