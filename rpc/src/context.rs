//! What the calls that a handler makes inherit from the call it serves.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{self, Poll},
};

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

/// Sets the context around every poll of a future, and restores what was there before: identity and deadline of one
/// handler never reach another that happens to share its thread. A task that a handler spawns inherits nothing.
pub(crate) struct WithContext<F> {
    context: Context,
    nested: bool,
    future: F,
}

impl<F> WithContext<F> {
    pub(crate) fn new(context: Context, nested: bool, future: F) -> Self {
        Self {
            context,
            nested,
            future,
        }
    }
}

impl<F: Future + Unpin> Future for WithContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let _restore = Restore(
            CURRENT.replace(Some(self.context)),
            NESTED.replace(self.nested),
        );
        Pin::new(&mut self.future).poll(cx)
    }
}

/// Puts the outer context back when a poll ends, by a panic too.
struct Restore(Option<Context>, bool);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
        NESTED.set(self.1);
    }
}

/// Runs a closure in a context, on a thread of the blocking pool.
pub(crate) fn enter<R>(context: Option<Context>, run: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.replace(context), NESTED.replace(false));
    run()
}
