//! The threads on which handlers may block.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, oneshot},
};

use tracing::Span;

use super::guests;
use crate::{context, limits, session::Context};

static THREADS: Semaphore = Semaphore::const_new(limits::BLOCKING_THREADS);
/// How many there are without those that were lent.
static OWN: Mutex<usize> = Mutex::new(limits::BLOCKING_THREADS);
/// Threads that have been taken back while handlers held all permits: the next permits are not given back.
static OWED: AtomicUsize = AtomicUsize::new(0);
/// The chains of those who have one of the threads.
static CHAINS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Lets blocking handlers run on so many threads at a time in this process, at most [`limits::MAX_BLOCKING_THREADS`].
/// The number is only ever raised, as in OpenHarmony; returned is how many there are now.
pub fn raise_blocking_threads(threads: usize) -> usize {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = threads.min(limits::MAX_BLOCKING_THREADS).max(*own);
    THREADS.add_permits(wanted - *own);
    *own = wanted;
    wanted
}

/// There is one thread more.
pub(super) fn one_more() {
    THREADS.add_permits(1);
}

/// There is one thread less, at once or when the next handler ends.
pub(super) fn one_less() {
    if THREADS.forget_permits(1) == 0 {
        OWED.fetch_add(1, Ordering::Relaxed);
    }
}

/// A thread that may be used until this is dropped.
struct Seat {
    chain: Option<u64>,
    permit: Option<SemaphorePermit<'static>>,
}

impl Seat {
    /// Waits for a thread. A call that comes from where a handler of its own chain waits, which may be on one of the
    /// threads, gets one beyond their number: theirs will not be free before it has ended.
    async fn take(context: Option<Context>, nested: bool) -> Self {
        let chain = context.map(|context| context.chain);
        if let Ok(permit) = THREADS.try_acquire() {
            return Self::with(chain, Some(permit));
        }
        if nested && chain.is_some_and(|chain| chains(|chains| chains.contains(&chain))) {
            return Self::with(chain, None);
        }
        // The semaphore is never closed.
        Self::with(chain, THREADS.acquire().await.ok())
    }

    fn with(chain: Option<u64>, permit: Option<SemaphorePermit<'static>>) -> Self {
        if let Some(chain) = chain {
            chains(|chains| chains.push(chain));
        }
        Self { chain, permit }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(mine) = self.chain {
            chains(|chains| {
                if let Some(index) = chains.iter().position(|chain| *chain == mine) {
                    chains.swap_remove(index);
                }
            });
        }
        let less = |owed: usize| owed.checked_sub(1);
        if let Some(permit) = self.permit.take()
            && OWED
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                .is_ok()
        {
            permit.forget();
        }
    }
}

fn chains<R>(look: impl FnOnce(&mut Vec<u64>) -> R) -> R {
    look(&mut CHAINS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs a blocking handler on the pool, at most [`limits::BLOCKING_THREADS`] at a time in this process unless
/// [raised](raise_blocking_threads), with the context of the call it serves.
pub async fn blocking<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (context, span) = (context::current(), Span::current());
    let seat = Seat::take(context, context::is_nested()).await;
    let done = on_a_thread(move || {
        // Held until the thread is really free, whoever has given up waiting.
        let _seat = seat;
        context::enter(context, || span.in_scope(run))
    });
    match done.await {
        Some(Ok(result)) => result,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down; the task that waits is about to be dropped with it.
        None => std::future::pending().await,
    }
}

/// Runs a future on a thread of the pool. When this is dropped, the future is dropped where it next waits, on its
/// thread; `None` if the runtime shuts down.
pub(super) async fn run<R: Send + 'static>(
    context: Context,
    nested: bool,
    work: impl Future<Output = R> + Send + 'static,
) -> Option<R> {
    let seat = Seat::take(Some(context), nested).await;
    let (_waiting, given_up) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let done = on_a_thread(move || {
        let _seat = seat;
        runtime.block_on(async {
            tokio::select! {
                biased;
                result = work => Some(result),
                _ = given_up => None,
            }
        })
    });
    done.await?.ok().flatten()
}

/// Runs a closure on a thread that was lent, if one waits for work, or on one of the runtime's. An error is its panic;
/// `None` if the runtime shuts down.
async fn on_a_thread<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Option<thread::Result<R>> {
    let Some(guest) = guests::waiting() else {
        return match tokio::task::spawn_blocking(work).await {
            Ok(result) => Some(Ok(result)),
            Err(error) => error.try_into_panic().ok().map(Err),
        };
    };
    let (done, result) = oneshot::channel();
    let runtime = Handle::current();
    guest.run(Box::new(move || {
        let _on_runtime = runtime.enter();
        let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
    }));
    result.await.ok()
}
