//! What the calls that a handler makes inherit from the call it serves.

use std::cell::Cell;

use crate::session::Context;

thread_local! {
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
    static NESTED: Cell<bool> = const { Cell::new(false) };
}

/// The context of the handler that is being polled on this thread.
pub(crate) fn current() -> Option<Context> {
    CURRENT.get()
}

/// Whether the request that it serves came from where a handler of its chain waits.
pub(crate) fn is_nested() -> bool {
    NESTED.get()
}

/// Puts the outer context back when a poll ends, by a panic too.
struct Restore(Option<Context>, bool);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
        NESTED.set(self.1);
    }
}

/// Runs a closure in a context, and restores what was there before: set around every poll of a handler, so that identity
/// and deadline of one never reach another that happens to share its thread. A task that a handler spawns inherits
/// nothing.
pub(crate) fn within<R>(context: Context, nested: bool, run: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.replace(Some(context)), NESTED.replace(nested));
    run()
}

/// Runs a closure in a context, on a thread of the blocking pool.
pub(crate) fn enter<R>(context: Option<Context>, run: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.replace(context), NESTED.replace(false));
    run()
}
