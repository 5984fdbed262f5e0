//! Threads of the application that run blocking handlers beside those of the pool.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use super::pool;

pub(super) type Work = Box<dyn FnOnce() + Send>;

/// Those that wait for work.
static WAITING: Mutex<Vec<mpsc::SyncSender<Work>>> = Mutex::new(Vec::new());
/// How many, so that nobody takes the lock where no thread is lent.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is lent.
    static LENT: Cell<bool> = const { Cell::new(false) };
}

/// A thread that waited for work and now is somebody's.
pub(super) struct Guest(mpsc::SyncSender<Work>);

impl Guest {
    pub(super) fn run(self, work: Work) {
        // It receives until it has got something.
        let _ = self.0.send(work);
    }
}

/// Lends the current thread to blocking handlers of this process: one at a time runs here, in addition to those on the
/// pool's own threads and before them. Returns when a handler that runs here has called [`take_back_thread`] and
/// ended. A thread that is lent already is not lent again.
pub fn lend_thread() {
    if LENT.replace(true) {
        return;
    }
    let mut counted = false;
    while LENT.get() {
        let (sender, receiver) = mpsc::sync_channel(1);
        lock().push(sender);
        COUNT.fetch_add(1, Ordering::Release);
        // When it can be found, and not before: whoever is let in for it finds it.
        if !std::mem::replace(&mut counted, true) {
            pool::one_more();
        }
        let Ok(work) = receiver.recv() else { break };
        work();
    }
    LENT.set(false);
    pool::one_less();
}

/// Ends [`lend_thread`] of the current thread, when the handler that calls this has ended. Whether the thread was lent.
pub fn take_back_thread() -> bool {
    LENT.replace(false)
}

/// One that waits for work, if there is one.
pub(super) fn waiting() -> Option<Guest> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let guest = lock().pop()?;
    COUNT.fetch_sub(1, Ordering::Relaxed);
    Some(Guest(guest))
}

fn lock() -> MutexGuard<'static, Vec<mpsc::SyncSender<Work>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
