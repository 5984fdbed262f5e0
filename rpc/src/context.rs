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
}

/// The context of the handler that is being polled on this thread.
pub(crate) fn current() -> Option<Context> {
    CURRENT.get()
}

/// Sets the context around every poll of a future, and restores what was there before: identity and deadline of one
/// handler never reach another that happens to share its thread. A task that a handler spawns inherits nothing.
pub(crate) struct WithContext<F> {
    context: Context,
    future: F,
}

impl<F> WithContext<F> {
    pub(crate) fn new(context: Context, future: F) -> Self {
        Self { context, future }
    }
}

impl<F: Future + Unpin> Future for WithContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let _restore = Restore(CURRENT.replace(Some(self.context)));
        Pin::new(&mut self.future).poll(cx)
    }
}

/// Puts the outer context back when a poll ends, by a panic too.
struct Restore(Option<Context>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs a closure in a context, on a thread of the blocking pool.
pub(crate) fn enter<R>(context: Option<Context>, run: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.replace(context));
    run()
}
