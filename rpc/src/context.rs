//! What the calls that a handler makes inherit from the call it serves.

use std::{cell::Cell, time::Instant};

use crate::{dispatch, error::SendRequestError, limits, session::Context, telemetry::TraceContext};

thread_local! {
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
    static NESTED: Cell<bool> = const { Cell::new(false) };
}

/// The context of the handler that is being polled on this thread.
pub(crate) fn current() -> Option<Context> {
    CURRENT.get()
}

/// What a call hands down that is made here: inside a handler its chain goes on, and its deadline is not outlived. Without
/// a trace of its own it goes on with the handler's.
///
/// # Errors
/// [`SendRequestError::TooDeep`].
pub(crate) fn child(
    deadline: Option<Instant>,
    trace: Option<TraceContext>,
) -> Result<Context, SendRequestError> {
    let Some(outer) = current() else {
        return Ok(Context {
            deadline,
            chain: dispatch::next_chain(),
            depth: 0,
            trace,
        });
    };
    if outer.depth >= limits::MAX_CALL_DEPTH {
        return Err(SendRequestError::TooDeep {
            limit: limits::MAX_CALL_DEPTH,
        });
    }
    Ok(Context {
        deadline: [deadline, outer.deadline].into_iter().flatten().min(),
        chain: outer.chain,
        depth: outer.depth + 1,
        trace: trace.or(outer.trace),
    })
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
