//! In which order and how many at a time the requests of one stub run.

use std::{
    collections::VecDeque,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::remote::{Execution, StubOptions};

/// How long a handler may hold the task that reads requests.
const INLINE_TIME: Duration = Duration::from_millis(1);
/// How often in a row it may take longer.
const SLOW_POLLS: u32 = 5;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The way into a stub.
pub(crate) struct Gate {
    /// Requests that run or wait.
    inside: Arc<AtomicUsize>,
    queue: usize,
    serial: Option<Serial>,
    /// How often in a row a handler that runs where its request arrives took longer than it may.
    slow: AtomicU32,
    /// One-way calls of this process: one at a time, in order. `None` while nobody works on them.
    one_way: Arc<Mutex<Option<VecDeque<Task>>>>,
}

#[derive(Default)]
struct Serial {
    turn: tokio::sync::Mutex<()>,
    /// The chain that has the turn.
    chain: Mutex<Option<u64>>,
}

/// A place inside, given back when dropped.
pub(crate) struct Entry(Arc<AtomicUsize>);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The turn of a serial stub, given back when dropped.
pub(crate) struct Turn<'a> {
    serial: Option<&'a Serial>,
    _guard: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            *serial.chain.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

impl Gate {
    pub(crate) fn new(options: &StubOptions) -> Self {
        Self {
            inside: Arc::default(),
            queue: options.queue,
            serial: (options.execution == Execution::Serial).then(Serial::default),
            slow: AtomicU32::new(0),
            one_way: Arc::default(),
        }
    }

    /// Whether handlers may run where their requests arrive.
    pub(crate) fn runs_inline(&self) -> bool {
        self.slow.load(Ordering::Relaxed) < SLOW_POLLS
    }

    /// A handler has run where its request arrived. Whether it was the one too many: from here on this stub's requests
    /// get tasks, so that a handler with a wrong idea of itself does not hold up everybody's.
    pub(crate) fn ran_inline(&self, took: Duration) -> bool {
        if took <= INLINE_TIME {
            // A thread that was preempted once says nothing about its handlers.
            if self.runs_inline() && self.slow.load(Ordering::Relaxed) > 0 {
                self.slow.store(0, Ordering::Relaxed);
            }
            return false;
        }
        self.slow.fetch_add(1, Ordering::Relaxed) + 1 == SLOW_POLLS
    }

    /// A place, unless the queue is full.
    pub(crate) fn enter(&self) -> Option<Entry> {
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let entry = Entry(Arc::clone(&self.inside));
        (before < self.queue).then_some(entry)
    }

    /// Waits for the turn of a serial stub. A request of the chain that has the turn does not wait: that chain waits
    /// for it.
    pub(crate) async fn turn(&self, chain: u64) -> Turn<'_> {
        let none = Turn {
            serial: None,
            _guard: None,
        };
        let Some(serial) = &self.serial else {
            return none;
        };
        if *serial.chain.lock().unwrap_or_else(PoisonError::into_inner) == Some(chain) {
            return none;
        }
        let guard = serial.turn.lock().await;
        *serial.chain.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain);
        Turn {
            serial: Some(serial),
            _guard: Some(guard),
        }
    }

    /// Runs a one-way call of this process after those before it. Bounded by the places inside.
    pub(crate) fn one_way(&self, task: Task) {
        let queue = Arc::clone(&self.one_way);
        let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waiting {
            Some(tasks) => tasks.push_back(task),
            None => {
                *waiting = Some(VecDeque::from([task]));
                drop(waiting);
                tokio::spawn(work_off(queue));
            }
        }
    }
}

async fn work_off(queue: Arc<Mutex<Option<VecDeque<Task>>>>) {
    loop {
        let task = {
            let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let task = waiting.as_mut().and_then(VecDeque::pop_front);
            if task.is_none() {
                *waiting = None;
            }
            task
        };
        match task {
            Some(task) => task.await,
            None => return,
        }
    }
}

/// A name for a chain of calls that begins here: nobody can guess it who has not been called in it.
pub(crate) fn next_chain() -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    KEY.get_or_init(RandomState::new)
        .hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
}
