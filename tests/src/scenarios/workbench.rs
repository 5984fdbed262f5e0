//! The service that scenarios call: each of its methods does one thing that a scenario wants to see done.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use softbus::{
    Allow, CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    ServiceId, ServiceOptions, async_trait,
    rpc::{Execution, StubOptions, session::passing_rules::Party},
};
use tokio::sync::{Semaphore, watch};

/// What the stub calls itself.
pub const DESCRIPTOR: &str = "org.example.Workbench";
/// Where scenarios register it.
pub const SERVICE: ServiceId = ServiceId::new(1401).unwrap();
/// Where the first device of a pair registers one of its own: an id stands for one service of a device's processes.
pub const SERVICE_OF_A: ServiceId = ServiceId::new(1403).unwrap();
/// What a handler answers of its own.
pub const OWN_CODE: i32 = 1_909_001;

/// The methods.
pub mod code {
    /// Takes and returns an `i32`: its decimal digits the other way round.
    pub const REVERSE: u32 = 1;
    /// Ends when it is released.
    pub const HOLD: u32 = 2;
    /// Writes a reply and answers a code of its own.
    pub const FAIL: u32 = 3;
    /// Panics.
    pub const PANIC: u32 = 4;
    /// Takes an object, a code and an `i32`, and calls the object so.
    pub const DELEGATE: u32 = 5;
    /// Takes objects and keeps them.
    pub const KEEP: u32 = 6;
    /// Returns what it keeps.
    pub const GIVE_BACK: u32 = 7;
    /// Returns a stub that is registered nowhere.
    pub const STUB: u32 = 8;
    /// Takes raw data and returns it.
    pub const RAW: u32 = 9;
    /// Takes a buffer and returns it.
    pub const BUFFER: u32 = 10;
    /// Takes an `i32` and writes it down.
    pub const NOTE: u32 = 11;
    /// Calls the same of what it keeps, until somebody refuses.
    pub const PING_PONG: u32 = 12;
    /// Takes a number of milliseconds to take.
    pub const TAKE_TIME: u32 = 13;
    /// Returns a buffer of so many bytes.
    pub const LARGE_REPLY: u32 = 14;
    /// Reads three objects and what stands between them, and says which were whole.
    pub const READ_THREE: u32 = 15;
    /// Takes an object, keeps it no longer, and says how often it did.
    pub const FORGET: u32 = 16;
    /// Does nothing, as the last code there is.
    pub const LAST: u32 = 0x00ff_ffff;
    /// Not one of its methods.
    pub const UNKNOWN: u32 = 0x00ff_fffe;
}

/// What a scenario sees of a workbench.
#[derive(Debug)]
pub struct Bench {
    /// What was noted.
    pub notes: watch::Sender<Vec<i32>>,
    /// What was given to keep.
    pub kept: Mutex<Vec<RemoteObject>>,
    /// Who called.
    pub callers: Mutex<Vec<(Party, bool)>>,
    /// Requests that have reached their handler.
    pub entered: watch::Sender<u64>,
    /// Handlers that have ended, whichever way.
    pub left: watch::Sender<u64>,
    /// The most at a time.
    pub most: watch::Sender<u64>,
    /// Whether the stub is gone.
    pub destroyed: watch::Sender<u64>,
    release: Semaphore,
}

impl Bench {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            notes: watch::Sender::default(),
            kept: Mutex::default(),
            callers: Mutex::default(),
            entered: watch::Sender::default(),
            left: watch::Sender::default(),
            most: watch::Sender::default(),
            destroyed: watch::Sender::default(),
            release: Semaphore::new(0),
        })
    }

    /// Lets one handler that holds go on.
    pub fn release(&self) {
        self.release.add_permits(1);
    }

    /// What is kept.
    pub fn kept(&self) -> MutexGuard<'_, Vec<RemoteObject>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who called, and whether from the same device.
    pub fn callers(&self) -> Vec<(Party, bool)> {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.clone()
    }

    fn enter(self: &Arc<Self>, caller: &Caller) -> Inside {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.push((caller.party(), caller.is_local()));
        drop(callers);
        self.entered.send_modify(|count| *count += 1);
        let inside = *self.entered.borrow() - *self.left.borrow();
        self.most.send_modify(|most| *most = inside.max(*most));
        Inside(Arc::clone(self))
    }
}

/// A handler that runs.
struct Inside(Arc<Bench>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.left.send_modify(|count| *count += 1);
    }
}

/// The stub.
struct Workbench {
    bench: Arc<Bench>,
    options: StubOptions,
}

impl Drop for Workbench {
    fn drop(&mut self) {
        self.bench.destroyed.send_modify(|count| *count += 1);
    }
}

/// A workbench, and what happens on it.
pub fn workbench() -> (RemoteObject, Arc<Bench>) {
    workbench_with(StubOptions::default())
}

/// A workbench that does one thing at a time.
pub fn serial_workbench() -> (RemoteObject, Arc<Bench>) {
    workbench_with(StubOptions::execution(Execution::Serial))
}

/// A workbench with options.
pub fn workbench_with(options: StubOptions) -> (RemoteObject, Arc<Bench>) {
    let bench = Bench::new();
    let stub = Workbench {
        bench: Arc::clone(&bench),
        options,
    };
    (RemoteObject::new(stub), bench)
}

/// For every device of the world.
pub fn for_all() -> ServiceOptions {
    ServiceOptions::distributed(Allow::trusted())
}

#[async_trait]
impl RemoteStub for Workbench {
    fn descriptor(&self) -> &str {
        DESCRIPTOR
    }

    fn options(&self) -> StubOptions {
        self.options
    }

    #[cfg(unix)]
    fn dump(&self, output: &mut std::fs::File, arguments: &[String]) -> std::io::Result<()> {
        use std::io::Write;
        let entered = *self.bench.entered.borrow();
        writeln!(output, "{entered} requests {}", arguments.join(" "))
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let bench = &self.bench;
        let _inside = bench.enter(caller);
        match code {
            code::REVERSE => reply.write_i32(reversed(data.read_i32()?))?,
            code::HOLD => {
                if let Ok(permit) = bench.release.acquire().await {
                    permit.forget();
                }
            }
            code::FAIL => {
                reply.write_string("nobody reads this")?;
                return Err(HandlerError::Code(data.read_i32()?));
            }
            code::PANIC => panic!("asked to"),
            code::DELEGATE => {
                let other = data.read_remote_object()?;
                let (code, number) = (data.read_u32()?, data.read_i32()?);
                let number = parcel(|data| data.write_i32(number));
                reply.append(&call(&other, code, &number).await.map_err(told)?)?;
            }
            code::KEEP => {
                while data.readable_bytes() > 0 {
                    let object = data.read_remote_object()?;
                    bench.kept().push(object);
                }
            }
            code::GIVE_BACK => {
                let kept = bench.kept().clone();
                for object in &kept {
                    reply.write_remote_object(object)?;
                }
            }
            code::STUB => reply.write_remote_object(&workbench().0)?,
            code::RAW => {
                let len = data.read_u32()? as usize;
                reply.write_raw_data(data.read_raw_data(len)?)?;
            }
            code::BUFFER => {
                let len = data.read_u32()? as usize;
                reply.raise_capacity(reply.capacity().max(len))?;
                reply.write_buffer(data.read_buffer(len)?)?;
            }
            code::NOTE => {
                let note = data.read_i32()?;
                // Others would come in between if they could.
                tokio::task::yield_now().await;
                bench.notes.send_modify(|notes| notes.push(note));
            }
            code::PING_PONG => self.ping_pong(reply).await?,
            code::TAKE_TIME => {
                let time = Duration::from_millis(data.read_u32()?.into());
                tokio::time::sleep(time).await;
            }
            code::LARGE_REPLY => {
                let len = data.read_u32()? as usize;
                reply.raise_capacity(reply.capacity().max(len))?;
                reply.write_buffer(&vec![7; len])?;
            }
            code::READ_THREE => {
                for _ in 0..3 {
                    reply.write_bool(data.read_remote_object().is_ok())?;
                    reply.write_i32(data.read_i32()?)?;
                }
            }
            code::FORGET => {
                let object = data.read_remote_object()?;
                // Dropped outside of the lock.
                let forgotten: Vec<_> = bench
                    .kept()
                    .extract_if(.., |known| *known == object)
                    .collect();
                reply.write_i32(forgotten.len() as i32)?;
            }
            code::LAST => {}
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

impl Workbench {
    /// Says how deep it went.
    async fn ping_pong(&self, reply: &mut Parcel) -> Result<(), HandlerError> {
        let other = self.bench.kept().first().cloned();
        let depth = match ping_pong(&other.ok_or(HandlerError::Refused)?).await {
            Ok(depth) => depth + 1,
            Err(SendRequestError::TooDeep { .. }) => 1,
            Err(other) => return Err(told(other)),
        };
        Ok(reply.write_i32(depth)?)
    }
}

/// What a handler says when a call of its own fails.
fn told(error: SendRequestError) -> HandlerError {
    HandlerError::Failed(error.to_string())
}

fn reversed(number: i32) -> i32 {
    let digits: String = number.to_string().chars().rev().collect();
    digits.parse().unwrap_or_default()
}

// Calls.

/// A parcel made by a closure.
pub fn parcel(
    write: impl FnOnce(&mut Parcel) -> Result<(), softbus::rpc::parcel::WriteParcelError>,
) -> Parcel {
    let mut parcel = Parcel::new();
    write(&mut parcel).unwrap();
    parcel
}

/// [`code::REVERSE`].
pub async fn reverse(object: &RemoteObject, number: i32) -> Result<i32, SendRequestError> {
    let data = parcel(|data| data.write_i32(number));
    let mut reply = call(object, code::REVERSE, &data).await?;
    reply
        .read_i32()
        .map_err(|_| SendRequestError::MalformedReply)
}

/// [`code::PING_PONG`].
pub async fn ping_pong(object: &RemoteObject) -> Result<i32, SendRequestError> {
    let mut reply = call(object, code::PING_PONG, &Parcel::new()).await?;
    reply
        .read_i32()
        .map_err(|_| SendRequestError::MalformedReply)
}

/// What [`code::DELEGATE`] takes.
pub fn delegation(to: &RemoteObject, code: u32, number: i32) -> Parcel {
    parcel(|data| {
        data.write_remote_object(to)?;
        data.write_u32(code)?;
        data.write_i32(number)
    })
}

/// [`code::DELEGATE`] of [`code::REVERSE`].
pub async fn delegate(
    object: &RemoteObject,
    to: &RemoteObject,
    number: i32,
) -> Result<i32, SendRequestError> {
    let data = delegation(to, code::REVERSE, number);
    let mut reply = call(object, code::DELEGATE, &data).await?;
    reply
        .read_i32()
        .map_err(|_| SendRequestError::MalformedReply)
}

/// [`code::KEEP`].
pub async fn keep(object: &RemoteObject, others: &[&RemoteObject]) -> Result<(), SendRequestError> {
    let data = parcel(|data| {
        others
            .iter()
            .try_for_each(|other| data.write_remote_object(other))
    });
    call(object, code::KEEP, &data).await.map(drop)
}

/// [`code::FORGET`].
pub async fn forget(object: &RemoteObject, other: &RemoteObject) -> Result<i32, SendRequestError> {
    let data = parcel(|data| data.write_remote_object(other));
    let mut reply = call(object, code::FORGET, &data).await?;
    reply
        .read_i32()
        .map_err(|_| SendRequestError::MalformedReply)
}

/// [`code::STUB`].
pub async fn anonymous(object: &RemoteObject) -> Result<RemoteObject, SendRequestError> {
    let mut reply = call(object, code::STUB, &Parcel::new()).await?;
    reply
        .read_remote_object()
        .map_err(|_| SendRequestError::MalformedReply)
}

/// A two-way call with the default wait.
pub async fn call(
    object: &RemoteObject,
    code: u32,
    data: &Parcel,
) -> Result<Parcel, SendRequestError> {
    object.send_request(code, data, CallOption::two_way()).await
}

/// A call without arguments that waits so long.
pub async fn call_within(
    object: &RemoteObject,
    code: u32,
    wait: Duration,
) -> Result<Parcel, SendRequestError> {
    let option = CallOption::two_way().wait(wait);
    object.send_request(code, &Parcel::new(), option).await
}
