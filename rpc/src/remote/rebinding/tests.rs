//! What stands for a service is a stub of this process here: nothing else is needed to see who is called.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use proto::ServiceId;

use super::*;
use crate::{
    call::Caller,
    error::HandlerError,
    parcel::{PassObjectError, WriteParcelError},
    remote::RemoteStub,
};

struct Numbered(i32);

#[async_trait]
impl RemoteStub for Numbered {
    fn descriptor(&self) -> &str {
        "org.example.Numbered"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        _data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(reply.write_i32(self.0)?)
    }
}

fn numbered(number: i32) -> RemoteObject {
    RemoteObject::new(Numbered(number))
}

fn rebinding() -> (Binder, RemoteObject) {
    let (binder, binding) = Binding::new();
    let service = ServiceId::new(1).unwrap();
    let device = DeviceId::from_bytes([1; 32]);
    (binder, binding.object(service, device, Arc::new(())))
}

async fn call(object: &RemoteObject, option: CallOption) -> Result<i32, SendRequestError> {
    let reply = object.send_request(1, &Parcel::new(), option).await;
    reply.map(|mut reply| reply.read_i32().unwrap())
}

const DEAD: SendRequestError = SendRequestError::DeadObject {
    reason: DeathReason::ServiceRemoved,
};

#[tokio::test(start_paused = true)]
async fn a_call_goes_to_what_there_is_and_waits_for_it() {
    let (binder, object) = rebinding();
    let later = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        binder.bind(numbered(1));
    };
    let (first, ()) = tokio::join!(call(&object, CallOption::two_way()), later);
    assert_eq!(first, Ok(1));
    binder.bind(numbered(2));
    assert_eq!(call(&object, CallOption::two_way()).await, Ok(2));
    assert!(!object.is_dead() && object.is_rebinding());
    assert_eq!(
        object.descriptor().await.as_deref(),
        Ok("org.example.Numbered")
    );
}

#[tokio::test(start_paused = true)]
async fn what_there_is_not_is_said_at_the_deadline() {
    let (binder, object) = rebinding();
    let wait = Duration::from_secs(3);
    let option = CallOption::two_way().wait(wait);
    let begun = Instant::now();
    let never = call(&object, option).await;
    assert_eq!(never, Err(SendRequestError::TimedOut { after: wait }));
    binder.bind(numbered(1));
    binder.unbind(DeathReason::ServiceRemoved);
    assert_eq!(call(&object, option).await, Err(DEAD));
    let one_way = CallOption::one_way().wait(wait);
    let sent = object.send_request(1, &Parcel::new(), one_way).await;
    assert_eq!(sent.unwrap_err(), DEAD);
    assert_eq!(begun.elapsed().as_secs(), 9);
    let default = call(&object, CallOption::two_way()).await;
    assert_eq!((default, begun.elapsed().as_secs()), (Err(DEAD), 17));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_is_refused_or_no_longer_followed() {
    let (binder, object) = rebinding();
    binder.bind(numbered(1));
    binder.unbind(DeathReason::AccessRevoked);
    let begun = Instant::now();
    let reason = DeathReason::AccessRevoked;
    let refused = Err(SendRequestError::DeadObject { reason });
    assert_eq!(call(&object, CallOption::two_way()).await, refused);
    binder.bind(numbered(2));
    assert_eq!(
        call(&object, CallOption::two_way()).await,
        Ok(2),
        "it is allowed again"
    );
    binder.unbind(DeathReason::ServiceRemoved);
    drop(binder);
    assert_eq!(call(&object, CallOption::two_way()).await, Err(DEAD));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_parcel_takes_what_there_is() {
    let (binder, object) = rebinding();
    let mut parcel = Parcel::new();
    let refused = parcel.write_remote_object(&object);
    assert_eq!(
        refused,
        Err(WriteParcelError::Pass(PassObjectError::DeadObject))
    );
    let stub = numbered(1);
    binder.bind(stub.clone());
    parcel.write_remote_object(&object).unwrap();
    assert_eq!(parcel.read_remote_object(), Ok(stub.clone()));
    assert_eq!(object.bound(), Some(stub));
}

#[tokio::test]
async fn recipients_are_told_of_each_death_until_they_are_taken_back() {
    let (binder, object) = rebinding();
    let told = [0; 3].map(|_| Arc::new(AtomicU32::new(0)));
    let links = told.each_ref().map(|told| {
        let told = Arc::clone(told);
        let recipient = move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        };
        object.link_to_death(recipient).unwrap()
    });
    let panics = object.link_to_death(|_| panic!("asked to")).unwrap();
    binder.unbind(DeathReason::ServiceRemoved);
    let counts = || told.each_ref().map(|told| told.load(Ordering::Relaxed));
    assert_eq!(counts(), [0, 0, 0], "nothing has died");
    for round in 1..=2 {
        binder.bind(numbered(1));
        binder.unbind(DeathReason::DeviceUnreachable);
        assert_eq!(counts(), [round; 3]);
    }
    let [first, second, third] = links;
    assert!(first.unlink());
    drop((second, panics));
    binder.bind(numbered(1));
    binder.unbind(DeathReason::DeviceUnreachable);
    assert_eq!(counts(), [2, 2, 3]);
    let others: Vec<_> = (1..64).map(|_| object.link_to_death(|_| {})).collect();
    assert!(others.iter().all(Result::is_ok));
    let limit = LinkToDeathError::LimitReached {
        limit: 64,
        value: 65,
    };
    assert_eq!(object.link_to_death(|_| {}).unwrap_err(), limit);
    drop(third);
    assert!(object.link_to_death(|_| {}).is_ok());
}

#[test]
fn what_is_kept_goes_with_the_last_object() {
    let (_binder, binding) = Binding::new();
    let keep = Arc::new(());
    let object = binding.object(
        ServiceId::new(1).unwrap(),
        DeviceId::from_bytes([1; 32]),
        Arc::<()>::clone(&keep),
    );
    let (clone, link) = (object.clone(), object.link_to_death(|_| {}).unwrap());
    assert_eq!(clone, object);
    drop(object);
    drop(clone);
    assert_eq!(Arc::strong_count(&keep), 2);
    drop(link);
    assert_eq!(Arc::strong_count(&keep), 1);
}
