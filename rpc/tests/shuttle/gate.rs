//! The library's own files, over shuttle's locks.

pub(crate) mod sync {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
    pub(crate) use std::sync::PoisonError;
}

#[path = "../../src/dispatch/gate/queue.rs"]
pub(crate) mod queue;
#[path = "../../src/dispatch/gate/shares.rs"]
pub(crate) mod shares;
#[path = "../../src/dispatch/gate/turns.rs"]
pub(crate) mod turns;
