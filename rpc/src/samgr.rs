//! The system ability manager of a process: its services, who asks for them from elsewhere, and who waits for them here.

mod local;
mod remote;
mod stub;
mod watch;

pub use local::LocalAbilityManager;
pub(crate) use stub::SamgrStub;
pub(crate) use watch::Watches;
pub use watch::{ServiceEvent, ServiceWatch};

/// What a look-up answers on the wire, before the object.
mod answer {
    pub(super) const FOUND: i32 = 0;
    pub(super) const ABSENT: i32 = 1;
    pub(super) const NOT_DISTRIBUTED: i32 = 2;
    pub(super) const REFUSED: i32 = 3;
}
