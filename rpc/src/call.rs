//! How a call is made and who makes it.

use std::{sync::Arc, time::Duration};

use proto::{
    DeviceId,
    openharmony::{code, message_option},
};

use crate::{
    limits,
    opening::Remote,
    quotas::InUse,
    session::{Scope, passing_rules::Party},
};

/// Whether `code` names a method of an interface: `1..=0x00ff_ffff`.
pub(crate) const fn is_method(code: u32) -> bool {
    matches!(
        code,
        code::FIRST_CALL_TRANSACTION..=code::LAST_CALL_TRANSACTION
    )
}

/// Whether `code` may be called at all: a method, or one of those every stub answers.
pub(crate) const fn is_code(code: u32) -> bool {
    is_method(code)
        || matches!(
            code,
            code::PING_TRANSACTION | code::INTERFACE_TRANSACTION | code::DESCRIBE_TRANSACTION
        )
        || (cfg!(unix) && code == code::DUMP_TRANSACTION)
}

/// Whether the caller waits, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    TwoWay,
    OneWay { wait_for_credit: bool },
}

/// How a request is sent: two-way or one-way, and how long it may take.
///
/// A two-way call to another device waits 8 s unless told otherwise, and with raw data 1 s more per MiB; a call on the
/// local device has no deadline and ends with its peer's death. The wait is clamped as OpenHarmony does it: nothing or
/// less is 8 s, more than 3,000 s is 3,000 s.
///
/// A one-way call to another device waits as long for its turn to be sent: for credit, for introductions and for the calls
/// before it. What has been sent runs, however long it waits there behind slow ones: nobody would hear that it did not.
/// Only a deadline that somebody asked for, with [`wait`](Self::wait) or in the call that its sender serves, bounds both:
/// when it has passed, the call is dropped or its handler stopped, in the same process too.
///
/// ```
/// use std::time::Duration;
/// use softbus_rpc::CallOption;
///
/// assert_eq!(CallOption::two_way().wait(Duration::ZERO).wait_time(), Some(Duration::from_secs(8)));
/// assert_eq!(
///     CallOption::two_way().wait(Duration::from_secs(9000)).wait_time(),
///     Some(Duration::from_secs(3000))
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOption {
    mode: Mode,
    wait: Option<Duration>,
    idempotent: bool,
    long_poll: bool,
}

impl CallOption {
    /// Waits for the reply.
    pub const fn two_way() -> Self {
        Self {
            mode: Mode::TwoWay,
            wait: None,
            idempotent: false,
            long_poll: false,
        }
    }

    /// Returns when the request is on its way; neither result nor status ever comes back. One-way calls of one proxy
    /// run in order, one at a time.
    pub const fn one_way() -> Self {
        Self {
            mode: Mode::OneWay {
                wait_for_credit: true,
            },
            wait: None,
            idempotent: false,
            long_poll: false,
        }
    }

    /// From OpenHarmony's flags and wait time in seconds. Flags that say how a driver should wake a process mean
    /// nothing here and are accepted.
    pub fn from_flags(flags: u32, wait_seconds: i32) -> Self {
        let mode = if flags & message_option::TF_ASYNC == 0 {
            Self::two_way()
        } else {
            Self::one_way()
        };
        mode.wait(Duration::from_secs(
            u64::try_from(wait_seconds).unwrap_or(0),
        ))
    }

    /// How long the call may take: zero is 8 s, and no call waits longer than 3,000 s. A one-way call that has not ended by
    /// then is dropped without a word.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        let wait = if wait.is_zero() {
            limits::DEFAULT_WAIT
        } else {
            wait
        };
        self.wait = Some(wait.min(limits::MAX_WAIT));
        self
    }

    /// A one-way call that would have to wait for credit, or behind one that introduces, fails with `Busy` at once.
    #[must_use]
    pub const fn no_wait(mut self) -> Self {
        if let Mode::OneWay { .. } = self.mode {
            self.mode = Mode::OneWay {
                wait_for_credit: false,
            };
        }
        self
    }

    /// Running the request twice does no harm, so it may be repeated when its fate is unknown. A proxy repeats nothing, because
    /// it dies with its connection; a rebinding object and a watch of the service, which know the next proxy, do.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// The answer comes when something happens, as that of a long poll does: that it takes long is not logged.
    #[must_use]
    pub const fn long_poll(mut self) -> Self {
        self.long_poll = true;
        self
    }

    /// Whether nobody waits for a reply.
    pub const fn is_one_way(&self) -> bool {
        matches!(self.mode, Mode::OneWay { .. })
    }

    /// The wait that was asked for.
    pub const fn wait_time(&self) -> Option<Duration> {
        self.wait
    }

    /// Whether running the request twice does no harm.
    pub const fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    pub(crate) const fn is_long_poll(&self) -> bool {
        self.long_poll
    }

    pub(crate) const fn waits_for_credit(&self) -> bool {
        matches!(
            self.mode,
            Mode::OneWay {
                wait_for_credit: true
            }
        )
    }

    /// How long this call waits on a peer of this scope: a two-way call for its reply, a one-way call to be sent.
    pub(crate) fn effective_wait(&self, scope: Scope, raw_len: usize) -> Option<Duration> {
        if self.wait.is_some() {
            return self.wait;
        }
        let mib = raw_len.div_ceil(1024 * 1024) as u32;
        (scope == Scope::OtherDevice).then(|| limits::DEFAULT_WAIT + limits::WAIT_PER_RAW_MIB * mib)
    }
}

impl Default for CallOption {
    /// [`CallOption::two_way`].
    fn default() -> Self {
        Self::two_way()
    }
}

/// Who makes a call: what every handler is given. Comes from the connection, never from the caller's bytes.
#[derive(Clone)]
pub struct Caller {
    inner: Arc<CallerInner>,
}

#[derive(Debug)]
struct CallerInner {
    party: Party,
    scope: Option<Scope>,
    pid: Option<u32>,
    uid: Option<u32>,
    /// Open with it, and how many may be.
    streams: Arc<InUse>,
    max_streams: usize,
}

/// One of the streams that may be open with a peer, given back when dropped.
#[derive(Debug)]
pub(crate) struct StreamPlace(Arc<InUse>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.give_back(1);
    }
}

impl Caller {
    /// A caller at the other end of a session, with so many streams.
    pub(crate) fn remote(remote: &Remote, max_streams: usize) -> Self {
        let credentials = remote.credentials;
        Self {
            inner: Arc::new(CallerInner {
                party: remote.party,
                scope: Some(remote.scope),
                pid: credentials.map(|credentials| credentials.pid),
                uid: credentials.map(|credentials| credentials.uid),
                streams: Arc::default(),
                max_streams,
            }),
        }
    }

    /// A caller on another device, whose calls the host passes on.
    pub(crate) fn beyond_host(device: DeviceId) -> Self {
        let remote = Remote::device(Party::host_of(device));
        Self::remote(&remote, limits::STREAMS_PER_PEER)
    }

    /// Whether somebody else has it too.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.inner) > 1
    }

    /// This process calling itself.
    pub(crate) fn local(party: Party) -> Self {
        let pid = Some(std::process::id());
        Self {
            inner: Arc::new(CallerInner {
                party,
                scope: None,
                pid,
                uid: None,
                streams: Arc::default(),
                max_streams: limits::STREAMS_PER_PEER,
            }),
        }
    }

    /// The calling process, as sessions know it.
    pub fn party(&self) -> Party {
        self.inner.party
    }

    /// A place for one more stream.
    ///
    /// # Errors
    /// As many are open as may be.
    pub(crate) fn open_stream(&self) -> Result<StreamPlace, usize> {
        let (streams, limit) = (&self.inner.streams, self.inner.max_streams);
        if streams.take(1, limit).is_err() {
            return Err(limit);
        }
        Ok(StreamPlace(Arc::clone(streams)))
    }

    /// The calling device, proven by its key.
    pub fn device(&self) -> DeviceId {
        self.inner.party.device
    }

    /// Whether the call comes from this device.
    pub fn is_local(&self) -> bool {
        self.inner.scope != Some(Scope::OtherDevice)
    }

    /// The calling process, if it is on this device. Another device's processes are its own affair.
    pub fn pid(&self) -> Option<u32> {
        self.inner.pid
    }

    /// The calling user, if the caller is on this device and the system vouches for it.
    pub fn uid(&self) -> Option<u32> {
        self.inner.uid
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller")
            .field("device", &self.inner.party.device)
            .field("local", &self.is_local())
            .field("pid", &self.inner.pid)
            .finish()
    }
}
