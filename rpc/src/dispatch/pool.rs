//! The threads on which handlers may block.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, oneshot},
};

use tracing::Span;

use crate::{context, limits, session::Context};

static THREADS: Semaphore = Semaphore::const_new(limits::BLOCKING_THREADS);
/// The chains of those who have one of the threads.
static CHAINS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// A thread that may be used until this is dropped.
struct Seat {
    chain: Option<u64>,
    _permit: Option<SemaphorePermit<'static>>,
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
        Self {
            chain,
            _permit: permit,
        }
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
    }
}

fn chains<R>(look: impl FnOnce(&mut Vec<u64>) -> R) -> R {
    look(&mut CHAINS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs a blocking handler on the pool, at most [`limits::BLOCKING_THREADS`] at a time in this process, with the
/// context of the call it serves.
pub async fn blocking<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (context, span) = (context::current(), Span::current());
    let seat = Seat::take(context, context::is_nested()).await;
    let done = tokio::task::spawn_blocking(move || {
        // Held until the thread is really free, whoever has given up waiting.
        let _seat = seat;
        context::enter(context, || span.in_scope(run))
    });
    match done.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down; the task that waits is about to be dropped with it.
            Err(_) => std::future::pending().await,
        },
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
    let done = tokio::task::spawn_blocking(move || {
        let _seat = seat;
        runtime.block_on(async {
            tokio::select! {
                biased;
                result = work => Some(result),
                _ = given_up => None,
            }
        })
    });
    done.await.ok().flatten()
}
