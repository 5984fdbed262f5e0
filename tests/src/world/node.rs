//! Nodes as devices, each on a thread of its own so that it can end as a crash ends a process.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use softbus::{
    DeviceId, GetServiceError, Node, NodeBuilder, RemoteObject, ServiceId, ServiceOptions,
    SystemAbilityManager, async_trait,
    error::StartNodeError,
    rpc::{
        AddServiceError, LocalAbilityManager, RemoveServiceError,
        session::{Usage, passing_rules::Party},
    },
};
use softbus::{presence::DeviceEvents, service_watch::RemoteServiceWatch};
use tokio::{runtime, sync::oneshot};

use super::Device;
use crate::{scenarios::SOON, wait::wait_until_async};

/// A device that is a node.
#[derive(Debug)]
pub struct NodeDevice {
    party: Party,
    running: Mutex<Option<Running>>,
    /// Wakes it when it is dropped.
    asleep: Mutex<Option<mpsc::Sender<()>>>,
    vanish: Vanish,
}

#[derive(Debug)]
struct Running {
    node: Node,
    runtime: runtime::Handle,
    /// Ends the thread, and its runtime with every task on it.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// How a device goes without a goodbye.
#[non_exhaustive]
pub enum Vanish {
    /// Its process ends: whoever sends to it is told by its host that nobody listens.
    Crash,
    /// Something is done to the network.
    Cut(Box<dyn Fn() + Send + Sync>),
}

impl std::fmt::Debug for Vanish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Crash => "Crash",
            Self::Cut(_) => "Cut",
        })
    }
}

impl NodeDevice {
    /// Starts a node on a new thread, which is in the network namespace of the calling one.
    ///
    /// # Errors
    /// Those of the node.
    pub fn start(builder: NodeBuilder, vanish: Vanish) -> Result<Self, StartNodeError> {
        let (stop, stopped) = oneshot::channel();
        let (started, result) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else {
                let _ = started.send(Err(StartNodeError::NoRuntime));
                return;
            };
            runtime.block_on(async {
                // The result of one who does not wait any more is dropped, and with it the node.
                let node = builder.start().await;
                let handle = runtime::Handle::current();
                let _ = started.send(node.map(|node| (node, handle)));
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        });
        let (node, runtime) = result.recv().unwrap_or(Err(StartNodeError::NoRuntime))?;
        let party = node.party();
        let running = Running {
            node,
            runtime,
            stop,
            thread,
        };
        Ok(Self {
            party,
            running: Mutex::new(Some(running)),
            asleep: Mutex::default(),
            vanish,
        })
    }

    /// The node.
    ///
    /// # Panics
    /// When it has left or vanished.
    pub fn node(&self) -> Node {
        match &*self.lock() {
            Some(running) => running.node.clone(),
            None => panic!("the device is gone"),
        }
    }

    /// Ends the node as a crash would: no task of it runs any more, then its socket is closed.
    pub fn crash(&self) {
        self.resume();
        if let Some(Running {
            node, stop, thread, ..
        }) = self.lock().take()
        {
            let _ = stop.send(());
            let _ = thread.join();
            drop(node);
        }
    }

    /// Stops the thread of the device, and with it all of the node but what finds others by mDNS, until it resumes.
    ///
    /// # Panics
    /// When it is gone.
    pub fn suspend(&self) {
        let runtime = self.lock().as_ref().map(|running| running.runtime.clone());
        let ((wake, woken), (tell, asleep)) = (mpsc::channel(), mpsc::channel());
        runtime.expect("the device is there").spawn(async move {
            let _ = tell.send(());
            // The device has this thread only. Nothing is ever sent.
            let _: Result<(), _> = woken.recv();
        });
        let asleep = asleep.recv_timeout(SOON);
        asleep.expect("a thread that runs gets to its next task");
        *lock(&self.asleep) = Some(wake);
    }

    /// Ends [`suspend`](Self::suspend).
    pub fn resume(&self) {
        drop(lock(&self.asleep).take());
    }

    /// Registers a service so that every process of the device finds it when this returns.
    fn register(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        let (samgr, object) = (self.samgr_of_all(), object.clone());
        let registered = async move { samgr.register(service, &object, options).await };
        self.do_there(registered).expect("the host answers in time")
    }

    /// Waits until the host of its bus has heard that services of this process are gone, so that nobody finds them any more. It hears of
    /// that as of any death, which is after the process itself has gone on.
    ///
    /// # Panics
    /// When it does not hear, or another process of the device has one of these ids.
    pub fn is_heard_without(&self, services: Vec<ServiceId>) {
        let (samgr, id) = (self.samgr_of_all(), self.id());
        let gone = async move || {
            let listed = samgr.list_of(&id).await;
            listed.is_ok_and(|all| services.iter().all(|service| !all.contains(service)))
        };
        let heard = self.do_there(wait_until_async(SOON, gone));
        assert_eq!(heard, Some(true), "the host hears that services are gone");
    }

    /// Does something on the thread of the device, for a caller that cannot await it; `None` if that takes too long.
    fn do_there<T: Send + 'static>(
        &self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = mpsc::channel();
        let runtime = self.lock().as_ref().map(|running| running.runtime.clone());
        runtime.expect("the device is there").spawn(async move {
            // Whoever does not wait any more has failed already.
            let _ = sender.send(what.await);
        });
        // What waits there with this deadline says so first.
        done.recv_timeout(SOON * 2).ok()
    }

    fn samgr_of_all(&self) -> SystemAbilityManager {
        self.node().samgr()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        lock(&self.running)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for NodeDevice {
    fn drop(&mut self) {
        self.crash();
    }
}

#[async_trait]
impl Device for NodeDevice {
    fn id(&self) -> DeviceId {
        self.party.device
    }

    fn party(&self) -> Party {
        self.party
    }

    fn add(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        self.register(service, object, options)
    }

    fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError> {
        self.samgr().remove(service)
    }

    fn check(&self, service: ServiceId) -> Option<RemoteObject> {
        self.samgr().check(service)
    }

    fn list(&self) -> Vec<ServiceId> {
        self.samgr().list()
    }

    fn samgr(&self) -> LocalAbilityManager {
        self.samgr_of_all().local().clone()
    }

    fn revoke(&self, object: &RemoteObject) -> bool {
        self.node().revoke(object)
    }

    async fn get(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        self.samgr_of_all().get(service, device).await
    }

    fn watch_of(&self, service: ServiceId, device: &DeviceId) -> Option<RemoteServiceWatch> {
        self.samgr_of_all().watch_of(service, device).ok()
    }

    async fn list_of(&self, device: &DeviceId) -> Result<Vec<ServiceId>, GetServiceError> {
        self.samgr_of_all().list_of(device).await
    }

    async fn check_of(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError> {
        self.samgr_of_all().check_of(service, device).await
    }

    async fn load_within(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let samgr = self.samgr_of_all();
        samgr.load_within(service, device, wait).await
    }

    async fn wait_for(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        self.samgr_of_all().wait_for(service, device, wait).await
    }

    fn usage(&self) -> Vec<(Party, Usage)> {
        self.node().usage()
    }

    fn events(&self) -> Option<DeviceEvents> {
        Some(self.node().device_events())
    }

    async fn leave(&self) {
        self.node().shutdown().await;
        self.crash();
    }

    async fn vanish(&self) {
        match &self.vanish {
            Vanish::Crash => self.crash(),
            Vanish::Cut(cut) => cut(),
        }
    }
}

/// What the nodes of a world share: who trusts whom.
#[derive(Debug, Default)]
pub struct Trusting {
    members: Vec<(DeviceId, softbus::TrustStore)>,
}

impl Trusting {
    /// The trust store of a device, new or known, that trusts all others and is trusted by them.
    ///
    /// # Panics
    /// When a store in memory cannot be changed, which is never.
    pub fn member(&mut self, id: DeviceId) -> softbus::TrustStore {
        if let Some((_, store)) = self.members.iter().find(|(known, _)| *known == id) {
            return store.clone();
        }
        let store = softbus::TrustStore::in_memory();
        for (other, theirs) in &self.members {
            let trusted = store
                .trust(*other, "other")
                .and_then(|()| theirs.trust(id, "other"));
            trusted.expect("a store in memory takes a few devices");
        }
        self.members.push((id, store.clone()));
        store
    }

    /// One member trusts another no longer.
    ///
    /// # Panics
    /// When it is no member.
    pub fn forget(&self, id: &DeviceId, other: &DeviceId) {
        let store = self.of(id).expect("it is a member");
        store
            .forget(other)
            .expect("a store in memory can be changed");
    }

    /// The trust store of a device that is a member.
    pub fn of(&self, id: &DeviceId) -> Option<&softbus::TrustStore> {
        let member = self.members.iter().find(|(known, _)| known == id);
        member.map(|(_, store)| store)
    }
}
