//! The policy of a device's owner beside the rules of its services.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::{DeviceId, ServiceId};
use softbus_rpc::{
    AccessPolicy, AddServiceError, Allow, Bus, CallOption, DeathReason, Denied, GetServiceError,
    Hidden, Parcel, Peer, Permission, RemoteObject, SendRequestError, ServiceOptions,
};
use tokio::sync::mpsc;

use crate::{
    echo::Echo,
    pair::{bus, pair},
};

const SERVICE: ServiceId = ServiceId::new(7).unwrap();
const OTHER: ServiceId = ServiceId::new(8).unwrap();
const WAIT: Duration = Duration::from_secs(5);

type Told = (DeviceId, ServiceId, Denied);

/// A policy made of answers.
#[derive(Default)]
struct Answers {
    version: AtomicU64,
    answers: Mutex<Option<HashMap<ServiceId, Permission>>>,
    told: Mutex<Vec<Told>>,
}

impl AccessPolicy for Answers {
    fn permission(&self, _caller: DeviceId, service: ServiceId) -> Option<Permission> {
        let answers = self.answers.lock().unwrap();
        let answer = answers.as_ref()?.get(&service).cloned();
        Some(answer.unwrap_or(Permission::Nothing))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn refused(&self, caller: DeviceId, service: ServiceId, denied: Denied) {
        self.told.lock().unwrap().push((caller, service, denied));
    }
}

impl Answers {
    fn allow<const N: usize>(&self, bus: &Bus, answers: [(ServiceId, Permission); N]) {
        *self.answers.lock().unwrap() = Some(HashMap::from(answers));
        self.version.fetch_add(1, Ordering::Release);
        bus.access_changed();
    }

    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

fn only(code: u32) -> Permission {
    Permission::Only([code].into())
}

fn everything() -> Permission {
    Permission::AllBut([].into())
}

/// A device with a policy, and another one's session with it.
async fn ruled() -> (Arc<Answers>, Arc<Bus>, Arc<Bus>, Peer, Peer) {
    let (a, b) = (bus(1), bus(2));
    let policy = Arc::new(Answers::default());
    assert!(b.set_access_policy(policy.clone()));
    let (at_a, at_b) = pair(&a, &b).await;
    (policy, a, b, at_a, at_b)
}

fn offer(bus: &Arc<Bus>, allow: Allow) -> mpsc::UnboundedReceiver<u32> {
    let (calls, called) = mpsc::unbounded_channel();
    let object = RemoteObject::new(Counted(calls));
    let options = ServiceOptions::distributed(allow);
    bus.samgr().add(SERVICE, &object, options).unwrap();
    called
}

/// Tells of each call.
struct Counted(mpsc::UnboundedSender<u32>);

#[softbus_rpc::async_trait]
impl softbus_rpc::RemoteStub for Counted {
    fn descriptor(&self) -> &str {
        "test.Counted"
    }

    async fn on_remote_request(
        &self,
        _caller: &softbus_rpc::Caller,
        code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), softbus_rpc::HandlerError> {
        let _ = self.0.send(code);
        Ok(())
    }
}

async fn call(object: &RemoteObject, code: u32) -> Result<(), SendRequestError> {
    let option = CallOption::two_way();
    let reply = object.send_request(code, &Parcel::new(), option).await;
    reply.map(drop)
}

#[tokio::test]
async fn a_method_that_the_policy_does_not_allow_is_refused_and_does_not_run() {
    let (policy, a, b, at_a, _at_b) = ruled().await;
    let mut called = offer(&b, Allow::by_policy());
    policy.allow(&b, [(SERVICE, only(1))]);
    let object = at_a.get_service(SERVICE, WAIT).await.unwrap();
    call(&object, 1).await.unwrap();
    assert_eq!(call(&object, 2).await, Err(SendRequestError::Refused));
    let one_way = CallOption::one_way();
    object
        .send_request(2, &Parcel::new(), one_way)
        .await
        .unwrap();
    call(&object, 1).await.unwrap();
    assert_eq!(called.recv().await, Some(1));
    assert_eq!(called.recv().await, Some(1));
    assert!(called.try_recv().is_err());
    let caller = a.party().device;
    assert_eq!(policy.told(), [(caller, SERVICE, Denied::Call(2)); 2]);
    // What every stub answers is for whoever may call something.
    object.ping(CallOption::two_way()).await.unwrap();
}

#[tokio::test]
async fn both_the_service_and_the_policy_have_to_admit_a_device() {
    let (policy, _a, b, at_a, _at_b) = ruled().await;
    let other = Allow::devices([DeviceId::from_bytes([9; 32])]);
    let get = async || at_a.get_service(SERVICE, WAIT).await.map(drop);

    // No policy is in force: services decide, and one that leaves it to the policy is for nobody.
    let _called = offer(&b, Allow::trusted());
    assert_eq!(get().await, Ok(()));
    let _called = offer(&b, Allow::by_policy());
    assert_eq!(get().await, Err(GetServiceError::Refused));

    policy.allow(&b, []);
    for allow in [Allow::trusted(), Allow::by_policy(), other.clone()] {
        let _called = offer(&b, allow);
        assert_eq!(get().await, Err(GetServiceError::Refused));
    }
    policy.allow(&b, [(SERVICE, everything())]);
    for allow in [Allow::trusted(), Allow::by_policy()] {
        let _called = offer(&b, allow);
        assert_eq!(get().await, Ok(()));
    }
    let _called = offer(&b, other);
    assert_eq!(get().await, Err(GetServiceError::Refused));
}

#[tokio::test]
async fn who_the_policy_names_is_told_what_is_the_matter_and_nobody_else() {
    let (policy, a, b, at_a, _at_b) = ruled().await;
    policy.allow(&b, [(SERVICE, only(1))]);
    let get = async |service| at_a.get_service(service, WAIT).await.map(drop);
    assert_eq!(get(SERVICE).await, Err(GetServiceError::Absent));
    assert_eq!(get(OTHER).await, Err(GetServiceError::Refused));
    let object = RemoteObject::new(Echo);
    for service in [SERVICE, OTHER] {
        let options = ServiceOptions::local();
        b.samgr().add(service, &object, options).unwrap();
    }
    assert_eq!(get(SERVICE).await, Err(GetServiceError::NotDistributed));
    assert_eq!(get(OTHER).await, Err(GetServiceError::Refused));
    let told = |hidden| (a.party().device, OTHER, Denied::LookUp(hidden));
    let absent_then_local = [told(Hidden::Absent), told(Hidden::NotDistributed)];
    assert_eq!(policy.told(), absent_then_local);
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr().add(OTHER, &object, options).unwrap();
    assert_eq!(get(OTHER).await, Err(GetServiceError::Refused));
    assert_eq!(policy.told(), [told(Hidden::NotAdmitted)]);
    // Who waits is told nothing, and its owner's log has it once.
    let waited = at_a
        .wait_for_service(OTHER, Duration::from_millis(50))
        .await;
    assert!(matches!(waited, Err(GetServiceError::TimedOut { .. })));
    assert_eq!(policy.told(), [told(Hidden::NotAdmitted)]);

    let _called = offer(&b, Allow::by_policy());
    let listed = at_a.callable_services(WAIT).await.unwrap();
    assert_eq!(listed, [SERVICE]);
}

#[tokio::test]
async fn a_proxy_dies_when_the_policy_takes_all_of_it_away_and_not_before() {
    let (policy, _a, b, at_a, _at_b) = ruled().await;
    let _called = offer(&b, Allow::by_policy());
    policy.allow(&b, [(SERVICE, everything())]);
    let object = at_a.get_service(SERVICE, WAIT).await.unwrap();
    let (died, mut deaths) = mpsc::unbounded_channel();
    let _link = object
        .link_to_death(move |notice: DeathReason| {
            let _ = died.send(notice);
        })
        .unwrap();

    policy.allow(&b, [(SERVICE, only(1))]);
    call(&object, 1).await.unwrap();
    assert_eq!(call(&object, 2).await, Err(SendRequestError::Refused));
    assert!(deaths.try_recv().is_err());

    policy.allow(&b, []);
    assert_eq!(deaths.recv().await, Some(DeathReason::AccessRevoked));
    let reason = DeathReason::AccessRevoked;
    let dead = SendRequestError::DeadObject { reason };
    assert_eq!(call(&object, 1).await, Err(dead.clone()));
    let gone = at_a.get_service(SERVICE, WAIT).await;
    assert_eq!(gone.map(drop), Err(GetServiceError::Refused));

    // Given back, there is a new proxy; the old one stays dead.
    policy.allow(&b, [(SERVICE, only(1))]);
    let again = at_a.get_service(SERVICE, WAIT).await.unwrap();
    call(&again, 1).await.unwrap();
    assert_eq!(call(&object, 1).await, Err(dead));
    assert!(deaths.try_recv().is_err());
}

#[tokio::test]
async fn who_waits_for_a_service_has_it_when_the_policy_allows_it() {
    let (policy, _a, b, at_a, _at_b) = ruled().await;
    let _called = offer(&b, Allow::by_policy());
    policy.allow(&b, []);
    let waiting = tokio::spawn({
        let at_a = at_a.clone();
        async move { at_a.wait_for_service(SERVICE, WAIT).await }
    });
    // Its question has arrived when a later one of the same lane is answered.
    let refused = at_a.get_service(SERVICE, WAIT).await;
    assert_eq!(refused.map(drop), Err(GetServiceError::Refused));
    policy.allow(&b, [(SERVICE, only(1))]);
    call(&waiting.await.unwrap().unwrap(), 1).await.unwrap();
}

/// Lets no service be registered for other devices.
struct NothingDistributed;

impl AccessPolicy for NothingDistributed {
    fn permission(&self, _caller: DeviceId, _service: ServiceId) -> Option<Permission> {
        None
    }

    fn may_register(&self, _service: ServiceId, _user: u32, distributed: bool) -> bool {
        !distributed
    }

    fn version(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn a_service_that_the_owner_does_not_let_be_registered_is_not_there() {
    let bus = bus(1);
    assert!(bus.set_access_policy(Arc::new(NothingDistributed)));
    let samgr = bus.samgr();
    let object = RemoteObject::new(Echo);
    let for_all = || ServiceOptions::distributed(Allow::trusted());
    let added = samgr.add(SERVICE, &object, for_all());
    assert_eq!(added, Err(AddServiceError::Refused));
    let starter = async || -> Result<RemoteObject, std::io::Error> { panic!("started") };
    let offered = samgr.add_on_demand(SERVICE, starter, for_all());
    assert_eq!(offered, Err(AddServiceError::Refused));
    assert!(!samgr.has(SERVICE));
    samgr
        .add(SERVICE, &object, ServiceOptions::local())
        .unwrap();
    assert!(samgr.has(SERVICE));
    // A refusal leaves alone what stands there.
    let added = samgr.add(SERVICE, &object, for_all());
    assert_eq!(added, Err(AddServiceError::Refused));
    assert!(samgr.has(SERVICE));
}
