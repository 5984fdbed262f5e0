//! How a stub protects itself: how its requests are run, and how much of them at a time.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use crate::limits;

/// How the requests of a stub are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// A task each, side by side; at most so many at a time if [`StubOptions::at_most`] says so. The default.
    Concurrent,
    /// One at a time. Callers take turns; the requests of one caller run in the order they came. A two-way
    /// request of a chain of calls which the stub is already serving runs beside that handler, if it comes from where the
    /// handler waits: waiting for its turn would be for ever. Several of them run one at a time, and count as what the
    /// queue holds: over its bound all but the first are `Busy`. A one-way request waits for its turn, because nobody
    /// waits for it. In a ring of three devices a two-way one does too, and its deadline ends it.
    Serial,
    /// Where the request arrives, without a task. For handlers that answer at once; one that waits after all goes on
    /// in a task, and one that takes longer than 1 ms five times in a row loses the privilege. The fastest, and the
    /// one where a slow handler delays others.
    Inline,
    /// On a thread of the pool, which all stubs of the process share and where
    /// [`BLOCKING_THREADS`](limits::BLOCKING_THREADS) run at a time. For handlers that read files or compute for
    /// long, written by hand too. One that has begun to block cannot be stopped: it is dropped where it next awaits.
    Blocking,
}

/// How often each caller may call. A token bucket: it holds `burst` requests and gains `per_second` of them.
///
/// ```
/// use softbus_rpc::RateLimit;
///
/// // What OpenHarmony's samgr_lite grants each of its clients.
/// let limit = RateLimit::new(1000, 1500);
/// assert_eq!(limit, RateLimit::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl RateLimit {
    /// At most `per_second` requests in the long run and `burst` at once. Zero is taken as one.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: at_least_one(per_second),
            burst: at_least_one(burst),
        }
    }

    /// How many at once.
    pub const fn burst(&self) -> u32 {
        self.burst.get()
    }

    /// How long it takes to gain one request.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.per_second.get()
    }
}

impl Default for RateLimit {
    /// 1,000 a second, 1,500 at once (OpenHarmony samgr_lite).
    fn default() -> Self {
        Self::new(1000, 1500)
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// How a stub is run and how much of it at a time. What is over one of the bounds is answered
/// [`Busy`](crate::SendRequestError::Busy) with the bound and, where waiting helps, when to try again.
///
/// ```
/// use softbus_rpc::{Execution, RateLimit, StubOptions};
///
/// let options = StubOptions::execution(Execution::Concurrent)
///     .at_most(4)
///     .queue(64)
///     .budget(16 << 20)
///     .rate(RateLimit::new(100, 200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StubOptions {
    /// How requests are run.
    pub execution: Execution,
    /// How many run at a time, if not as many as come. [`Execution::Serial`] is one, whatever this says.
    pub at_most: Option<NonZeroUsize>,
    /// How many requests may run or wait.
    pub queue: usize,
    /// How many bytes the requests that run or wait may have, raw data included.
    pub budget: usize,
    /// How often each caller may call.
    pub rate: Option<RateLimit>,
    /// Whether who holds the stub may pass it on to devices that this one trusts. Means nothing for a registered
    /// service, which has an access rule.
    pub re_exportable: bool,
    /// Whether its handlers wait for something to happen, and are never said to be slow.
    pub long_poll: bool,
}

impl Default for StubOptions {
    /// [`Execution::Concurrent`], 1,024 requests, 256 MiB, as often as they like.
    fn default() -> Self {
        Self {
            execution: Execution::Concurrent,
            at_most: None,
            queue: limits::DEFAULT_QUEUE,
            budget: limits::DEFAULT_BUDGET,
            rate: None,
            re_exportable: false,
            long_poll: false,
        }
    }
}

impl StubOptions {
    /// The default options with this execution.
    pub fn execution(execution: Execution) -> Self {
        Self {
            execution,
            ..Self::default()
        }
    }

    /// At most this many requests run at a time; the others wait for their turn. Zero is taken as one.
    #[must_use]
    pub fn at_most(mut self, requests: usize) -> Self {
        self.at_most = Some(NonZeroUsize::new(requests).unwrap_or(NonZeroUsize::MIN));
        self
    }

    /// At most this many requests may run or wait, and never more than
    /// [`MAX_QUEUE`](limits::MAX_QUEUE).
    #[must_use]
    pub fn queue(mut self, requests: usize) -> Self {
        self.queue = requests;
        self
    }

    /// The requests that run or wait may have this many bytes together. A larger request is never served.
    #[must_use]
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// Who was given the stub may pass it on to other devices: it is introduced to any device that this one trusts, which then
    /// has a proxy of its own. Without this another device has it only from here. Within the device it may be passed on anyway.
    #[must_use]
    pub fn re_exportable(mut self) -> Self {
        self.re_exportable = true;
        self
    }

    /// Its handlers wait for something to happen, as those of a long poll do: none of them is said to be slow or stuck. Calls of
    /// it have [`CallOption::long_poll`](crate::CallOption::long_poll).
    #[must_use]
    pub fn long_poll(mut self) -> Self {
        self.long_poll = true;
        self
    }

    /// Each calling device or local process may call this often.
    #[must_use]
    pub fn rate(mut self, limit: RateLimit) -> Self {
        self.rate = Some(limit);
        self
    }

    /// How many run at a time; `None` if as many as come.
    pub(crate) fn width(&self) -> Option<NonZeroUsize> {
        match self.execution {
            Execution::Serial => Some(NonZeroUsize::MIN),
            _ => self.at_most,
        }
    }
}
