//! Every call that was made and every call that was served, in files that outlive a killed process: what callers were told is
//! compared with what was done, so that a call that is lost silently, or done twice, is seen.
//!
//! A device serves a [`ledger()`] and makes calls as a [`Teller`]; [`audit`] reads the files of all devices afterwards.

mod audit;

pub use audit::{Totals, audit};

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use softbus::{
    CallOption, Caller, DeviceId, HandlerError, Node, Parcel, RemoteObject, RemoteStub,
    SendRequestError, ServiceId, async_trait,
};
use tokio::{sync::watch, task::JoinSet};

/// Where ledgers are registered.
pub const LEDGER: ServiceId = ServiceId::new(1405).expect("a number of a service");

/// The one method: takes the name of a call and writes it down.
const WRITE: u32 = 1;

/// What the ledger of a device has written down.
fn entries_of(home: &Path) -> PathBuf {
    home.join("entries")
}

/// How many calls the ledger of a device has written down.
///
/// # Errors
/// Those of the file.
pub fn served(home: &Path) -> io::Result<usize> {
    Ok(fs::read_to_string(entries_of(home))?.lines().count())
}

/// What a device has called, and how that ended.
fn calls_of(home: &Path) -> PathBuf {
    home.join("calls")
}

/// A file whose lines are whole, whenever the process is killed: each is one write.
#[derive(Debug)]
struct Lines(File);

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self(file))
    }

    fn write(&self, line: &str) -> io::Result<()> {
        (&self.0).write_all(format!("{line}\n").as_bytes())
    }
}

/// A service that writes down each call before it answers, below this directory.
///
/// # Errors
/// Those of the file.
pub fn ledger(home: &Path) -> io::Result<RemoteObject> {
    Ok(RemoteObject::new(Ledger(Lines::open(&entries_of(home))?)))
}

struct Ledger(Lines);

#[async_trait]
impl RemoteStub for Ledger {
    fn descriptor(&self) -> &str {
        "org.example.Ledger"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        if code != WRITE {
            return Err(HandlerError::UnknownMethod);
        }
        let written = self.0.write(&data.read_string()?);
        written.map_err(|error| HandlerError::Failed(error.to_string()))
    }
}

/// How a call ended, for who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    /// It may have been done or not.
    Unknown,
    /// It was not done.
    NotDone,
    /// What cannot be the answer, whatever the network does.
    Wrong,
}

impl End {
    pub(crate) fn of(result: &Result<Parcel, SendRequestError>) -> Self {
        match result {
            Ok(_) => Self::Answered,
            Err(
                SendRequestError::Indeterminate
                | SendRequestError::TimedOut { .. }
                | SendRequestError::Cancelled,
            ) => Self::Unknown,
            Err(
                SendRequestError::DeadObject { .. }
                | SendRequestError::Busy { .. }
                | SendRequestError::ShuttingDown,
            ) => Self::NotDone,
            Err(_) => Self::Wrong,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unknown => "unknown",
            Self::NotDone => "not-done",
            Self::Wrong => "wrong",
        }
    }
}

/// A device that calls the ledgers of others without end, each as one object that outlives every proxy. Half of its calls are made once,
/// however they end; the other half may be done twice, and are repeated until they are answered.
#[derive(Debug)]
pub struct Teller {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    at_work: JoinSet<io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    own: DeviceId,
    ledgers: Vec<(DeviceId, RemoteObject)>,
    calls: Lines,
    /// Which start of its device this is.
    start: usize,
    next: AtomicU64,
    /// Whom it calls first, which is not the same one for everybody.
    first: usize,
    pause: Duration,
}

impl Teller {
    /// Starts so many calls at a time to these devices, with a pause between one and the next.
    ///
    /// # Errors
    /// Those of the file, which is below this directory.
    pub fn start(
        node: &Node,
        home: &Path,
        whom: Vec<DeviceId>,
        at_a_time: usize,
        pause: Duration,
    ) -> io::Result<Self> {
        let path = calls_of(home);
        let calls = Lines::open(&path)?;
        calls.write("start")?;
        let before = fs::read_to_string(&path)?;
        let samgr = node.samgr();
        let ledgers = whom.into_iter().map(|whom| {
            let watch = samgr.watch_of(LEDGER, &whom).map_err(io::Error::other)?;
            Ok((whom, watch.object()))
        });
        let shared = Arc::new(Shared {
            own: node.device_id(),
            ledgers: ledgers.collect::<io::Result<_>>()?,
            calls,
            start: before.lines().filter(|line| *line == "start").count(),
            next: AtomicU64::new(0),
            first: node.device_id().to_string().bytes().map(usize::from).sum(),
            pause,
        });
        let stop = watch::Sender::new(false);
        let mut at_work = JoinSet::new();
        for number in 0..at_a_time {
            let (shared, mut stop) = (Arc::clone(&shared), stop.subscribe());
            at_work.spawn(async move {
                while !*stop.borrow() {
                    shared.call(number % 2 == 1).await?;
                    let _ = tokio::time::timeout(pause, stop.changed()).await;
                }
                Ok(())
            });
        }
        Ok(Self {
            shared,
            stop,
            at_work,
        })
    }

    /// Begins no more calls and waits for those under way. Where one to be repeated is not answered, this does not end.
    ///
    /// # Errors
    /// Those of the file.
    pub async fn rest(mut self) -> io::Result<()> {
        self.stop.send_replace(true);
        while let Some(done) = self.at_work.join_next().await {
            done.map_err(io::Error::other)??;
        }
        self.shared.calls.write("rest")
    }
}

impl Shared {
    /// One call, repeated if it may be.
    async fn call(&self, repeat: bool) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (whom, ledger) = &self.ledgers[(self.first + number as usize) % self.ledgers.len()];
        if ledger.bound().is_none() {
            // It is not there now. The next call is of another one.
            return Ok(());
        }
        let (kind, option) = match repeat {
            true => ("repeated", CallOption::two_way().idempotent()),
            false => ("once", CallOption::two_way()),
        };
        let name = format!("{kind} {} {} {number}", self.own, self.start);
        self.calls.write(&format!("begin {name} {whom}"))?;
        let mut data = Parcel::new();
        data.write_string(&name).map_err(io::Error::other)?;
        loop {
            let result = ledger.send_request(WRITE, &data, option).await;
            let end = End::of(&result);
            if repeat && matches!(end, End::Unknown | End::NotDone) {
                // Not to synchronise: what is refused is refused at once, and this is its pace.
                tokio::time::sleep(self.pause).await;
                continue;
            }
            if let (End::Wrong, Err(error)) = (end, &result) {
                self.calls.write(&format!("error {name} {error}"))?;
            }
            return self.calls.write(&format!("end {name} {}", end.word()));
        }
    }
}
