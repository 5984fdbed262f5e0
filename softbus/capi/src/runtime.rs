//! Where the bus lives: one thread of the library's own, made when it is first needed. The threads of the application come
//! and wait; the callbacks of C's run on the pool beside it and never on it.

use std::{
    cell::Cell,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// How long the end of the runtime waits for callbacks that run.
const STOP_TIME: Duration = Duration::from_millis(100);

/// Why nothing can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRuntime {
    /// The system gave no thread, or this process is about to end.
    NotRunning,
    /// This is the thread of the bus, which would wait for itself.
    WouldDeadlock,
    /// This is a fork of the process that has the bus, and only that has its thread. Start a program of its own.
    Forked,
}

impl std::fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotRunning => "no thread for the bus",
            Self::WouldDeadlock => "the thread of the bus would wait for itself",
            Self::Forked => "a fork of the process that has the bus",
        })
    }
}

impl std::error::Error for NoRuntime {}

struct Runtime {
    handle: Handle,
    /// The process that has its thread.
    process: u32,
    /// What ends the thread, and the thread; nothing once it has been ended.
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
static STOPPED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// The runtime of the library.
pub(crate) fn handle() -> Result<&'static Handle, NoRuntime> {
    let runtime = RUNTIME.get_or_init(start).as_ref();
    let runtime = runtime
        .filter(|_| !STOPPED.load(Ordering::Acquire))
        .ok_or(NoRuntime::NotRunning)?;
    if runtime.process == std::process::id() {
        Ok(&runtime.handle)
    } else {
        Err(NoRuntime::Forked)
    }
}

fn start() -> Option<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("softbus".to_owned())
        .spawn(move || {
            HERE.set(true);
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(STOP_TIME);
        })
        .ok()?;
    Some(Runtime {
        handle,
        process: std::process::id(),
        thread: Mutex::new(Some((stop, thread))),
    })
}

/// Ends the runtime, with everything that lives there, before the process ends.
pub(crate) fn stop() {
    STOPPED.store(true, Ordering::Release);
    let Some(runtime) = RUNTIME.get().and_then(Option::as_ref) else {
        return;
    };
    let thread = runtime.thread.lock();
    let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
    if let Some((stop, thread)) = thread {
        let _ = stop.send(());
        let _ = thread.join();
    }
}

/// Whether this is the thread of the bus, on which nobody may wait.
pub(crate) fn is_here() -> bool {
    HERE.get()
}

/// Runs what may block, on another thread, sometime.
pub(crate) fn aside(run: impl FnOnce() + Send + 'static) {
    if let Ok(runtime) = handle() {
        runtime.spawn_blocking(run);
    }
}

/// Waits, on the thread of the application that calls, for what happens on the bus.
///
/// A loop of our own: a thread of the pool on which a callback runs is inside of a runtime already, and may wait all the
/// same.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> Result<T, NoRuntime> {
    let runtime = handle()?;
    if is_here() {
        return Err(NoRuntime::WouldDeadlock);
    }
    let _timers = runtime.enter();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Ok(done);
        }
        thread::park();
    }
}

/// As [`wait`], for what has to run on the bus's own thread, because it makes sockets or tasks there.
pub(crate) fn wait_there<T, F>(begin: impl FnOnce() -> F + Send + 'static) -> Result<T, NoRuntime>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let task = handle()?.spawn(async move { begin().await });
    // It ends otherwise only if it panics, which is not its caller's to die of.
    wait(task)?.map_err(|_| NoRuntime::NotRunning)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
