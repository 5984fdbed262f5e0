//! What every device of the demo offers: a typed service and one written by hand.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use softbus::{
    Allow, CallOption, Caller, HandlerError, Node, Parcel, Policy, RemoteObject, RemoteStub,
    ServiceId, ServiceOptions, async_trait,
    certs::{PolicyError, Rule, Subject},
    remote_interface,
    rpc::parcel::Bytes,
};
use tokio::sync::watch;

use crate::order::{Failure, OrFail};

/// The typed service.
pub(crate) const NOTES: ServiceId = service(4001);
/// The one written by hand.
pub(crate) const STORE: ServiceId = service(4002);
/// Was offered and is not any more.
pub(crate) const REMOVED: ServiceId = service(4003);
/// For its own device only.
pub(crate) const PRIVATE: ServiceId = service(4004);
/// Never offered.
pub(crate) const UNKNOWN: ServiceId = service(4999);

const fn service(id: u32) -> ServiceId {
    ServiceId::new(id).expect("a service id is 1..=0xffffff")
}

/// The methods of [`Store`].
pub(crate) mod store {
    pub(crate) const SUM: u32 = 1;
    pub(crate) const CALL_BACK: u32 = 2;
    pub(crate) const OPEN: u32 = 3;
    pub(crate) const PUT: u32 = 4;
    pub(crate) const CHECKSUM: u32 = 5;
    pub(crate) const GET: u32 = 6;
    /// Takes somebody's notes, and asks them who calls.
    pub(crate) const ASK: u32 = 7;
    /// The method of what is passed with [`CALL_BACK`].
    pub(crate) const HEARD: u32 = 1;
}

/// What the owner of each device allows the others. Other methods than those of the two services there are none, and of
/// what is not named here nobody is told whether it is there.
pub(crate) fn policy() -> Result<Policy, PolicyError> {
    let rule = |id| Rule::allow(id).from(Subject::Trusted);
    let known = [NOTES, REMOVED];
    Policy::builder()
        .rule(
            rule("store")
                .service(STORE)
                .methods(store::SUM..=store::ASK),
        )
        .rule(rule("notes").services(known).every_method())
        .build()
}

/// Offers all of it on a node.
pub(crate) fn offer(node: &Node, name: &str) -> Result<(), Failure> {
    let samgr = node.samgr();
    let everybody = || ServiceOptions::distributed(Allow::by_policy());
    let (notes, store) = (
        NotesStub::new(Notebook::new(name)).into(),
        RemoteObject::new(Store::default()),
    );
    samgr
        .add(NOTES, &notes, everybody())
        .or_fail("a service to be added")?;
    samgr
        .add(STORE, &store, everybody())
        .or_fail("a service to be added")?;
    samgr
        .add(PRIVATE, &store, ServiceOptions::local())
        .or_fail("a service to be added")?;
    samgr
        .add(REMOVED, &store, everybody())
        .or_fail("a service to be added")?;
    samgr.remove(REMOVED).or_fail("a service to be removed")
}

#[remote_interface(descriptor = "org.example.demo.Notes")]
pub(crate) trait Notes {
    /// A greeting with the name of the device that greets.
    async fn greet(&self, name: &str) -> Result<String, String>;
    /// The id of the device that calls, as the connection proves it.
    async fn who_am_i(&self, caller: &Caller) -> String;
    #[oneway]
    async fn note(&self, number: u32);
    /// Waits for so many notes; how many did not follow the one before.
    async fn noted(&self, count: u32) -> u32;
    /// Never ends by itself.
    async fn hold(&self);
}

/// The notes so far.
#[derive(Debug, Default)]
struct Noted {
    count: u32,
    out_of_order: u32,
}

struct Notebook {
    name: String,
    noted: watch::Sender<Noted>,
}

impl Notebook {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            noted: watch::Sender::default(),
        }
    }
}

impl Notes for Notebook {
    async fn greet(&self, name: &str) -> Result<String, String> {
        if name.is_empty() {
            return Err("nobody to greet".to_owned());
        }
        Ok(format!("hello {name}, this is the {}", self.name))
    }

    async fn who_am_i(&self, caller: &Caller) -> String {
        caller.device().to_string()
    }

    async fn note(&self, number: u32) {
        let expected = self.noted.borrow().count;
        // If the next one could start before this one has ended, it would do so here and be counted as wrong.
        if number.is_multiple_of(100) {
            tokio::task::yield_now().await;
        }
        self.noted.send_modify(|noted| {
            noted.out_of_order += u32::from(number != expected || noted.count != expected);
            noted.count += 1;
        });
    }

    async fn noted(&self, count: u32) -> u32 {
        let mut noted = self.noted.subscribe();
        let enough = noted.wait_for(|noted| noted.count >= count).await;
        enough.map_or(u32::MAX, |noted| noted.out_of_order)
    }

    async fn hold(&self) {
        std::future::pending().await
    }
}

/// Keeps a block of bytes; adds numbers and calls back too.
#[derive(Debug, Default)]
struct Store {
    block: Mutex<Option<Bytes>>,
}

impl Store {
    fn block(&self) -> Result<Bytes, HandlerError> {
        let block = self
            .block
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        block.ok_or(HandlerError::Code(-1))
    }
}

#[async_trait]
impl RemoteStub for Store {
    fn descriptor(&self) -> &str {
        "org.example.demo.Store"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            store::SUM => {
                let label = data.read_string()?;
                let sum = data.read_i32_vec()?.into_iter().map(i64::from).sum::<i64>();
                reply.write_string(&format!("{label} = {sum}"))?;
                reply.write_i64(sum)?;
            }
            store::CALL_BACK => {
                let (listener, times) = (data.read_remote_object()?, data.read_i32()?);
                let mut sum = 0;
                for number in 1..=times {
                    sum += call_back(&listener, number).await?;
                }
                reply.write_i32(sum)?;
            }
            store::OPEN => reply.write_remote_object(&RemoteObject::new(Self::default()))?,
            store::PUT => {
                let len = usize::try_from(data.read_u32()?).unwrap_or(usize::MAX);
                let block = data.read_raw_data(len)?;
                *self.block.lock().unwrap_or_else(PoisonError::into_inner) = Some(block);
            }
            store::CHECKSUM => reply.write_buffer(&checksum(self.block()?).await)?,
            store::ASK => {
                let notes = NotesProxy::new(data.read_remote_object()?);
                let home = notes.as_object().device();
                let seen = notes.who_am_i().await;
                let seen = seen.map_err(|error| HandlerError::Failed(error.to_string()))?;
                reply.write_string(&home.map(|home| home.to_string()).unwrap_or_default())?;
                reply.write_string(&seen)?;
            }
            store::GET => reply.write_raw_data(self.block()?)?,
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

async fn call_back(listener: &RemoteObject, number: i32) -> Result<i32, HandlerError> {
    let mut data = Parcel::new();
    data.write_i32(number)?;
    let answer = listener
        .send_request(store::HEARD, &data, CallOption::two_way())
        .await;
    let mut answer = answer.map_err(|error| HandlerError::Failed(error.to_string()))?;
    Ok(answer.read_i32()?)
}

/// SHA-256, on a thread where it holds nobody up; zeroes if there is none.
pub(crate) async fn checksum(bytes: Bytes) -> [u8; 32] {
    let digest = tokio::task::spawn_blocking(move || Sha256::digest(&bytes).into()).await;
    digest.unwrap_or_default()
}
