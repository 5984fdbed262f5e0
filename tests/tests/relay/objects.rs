//! Objects in parcels that pass the host, and the rules that hold for them at its two sides.

use std::sync::{Arc, Mutex};

use softbus::rpc::{
    CallOption, Caller, Execution, HandlerError, Parcel, RemoteObject, RemoteStub,
    SendRequestError, StubOptions, async_trait, parcel::PassObjectError,
};
use testkit::wait::wait_until_async;

use crate::world::{SERVICE, World, device};

pub(crate) const KEEP: u32 = 1;
pub(crate) const GIVE: u32 = 2;
pub(crate) const CALL: u32 = 3;

/// Keeps objects, gives them back, and calls them.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) kept: Mutex<Vec<RemoteObject>>,
    pub(crate) callers: Mutex<Vec<Caller>>,
}

pub(crate) struct Shared(pub(crate) Arc<Shelf>, pub(crate) StubOptions);

#[async_trait]
impl RemoteStub for Shared {
    fn descriptor(&self) -> &str {
        "test.Shelf"
    }

    fn options(&self) -> StubOptions {
        self.1
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.0.callers.lock().unwrap().push(caller.clone());
        match code {
            KEEP => {
                let object = data.read_remote_object()?;
                self.0.kept.lock().unwrap().push(object);
                Ok(())
            }
            GIVE => {
                let objects = self.0.kept.lock().unwrap().clone();
                objects
                    .iter()
                    .try_for_each(|object| reply.write_remote_object(object))?;
                Ok(())
            }
            CALL => {
                let objects = self.0.kept.lock().unwrap().clone();
                for object in objects {
                    let called = object.ping(CallOption::two_way()).await;
                    called.map_err(|error| HandlerError::Failed(error.to_string()))?;
                }
                Ok(())
            }
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

pub(crate) fn shelf_with(options: StubOptions) -> (RemoteObject, Arc<Shelf>) {
    let shelf = Arc::<Shelf>::default();
    (
        RemoteObject::new(Shared(Arc::clone(&shelf), options)),
        shelf,
    )
}

pub(crate) fn shelf() -> (RemoteObject, Arc<Shelf>) {
    shelf_with(StubOptions::default())
}

pub(crate) async fn hand(
    to: &RemoteObject,
    object: &RemoteObject,
) -> Result<Parcel, SendRequestError> {
    let mut data = Parcel::new();
    data.write_remote_object(object).unwrap();
    to.send_request(KEEP, &data, CallOption::two_way()).await
}

pub(crate) async fn given(by: &RemoteObject) -> Result<Vec<RemoteObject>, SendRequestError> {
    let mut reply = by
        .send_request(GIVE, &Parcel::new(), CallOption::two_way())
        .await?;
    let objects = (0..reply.object_count()).map(|_| reply.read_remote_object().unwrap());
    Ok(objects.collect())
}

#[tokio::test(start_paused = true)]
async fn a_callback_of_a_process_is_called_by_the_other_device() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let proxy = world.get().await;
    let (callback, here) = shelf();
    hand(&proxy, &callback).await.unwrap();
    let kept = there.kept.lock().unwrap()[0].clone();
    assert_eq!(kept.device(), Some(device(1)));
    // Back through the host, with an object of the other device's own.
    hand(&kept, &stub).await.unwrap();
    let caller = here.callers.lock().unwrap()[0].clone();
    assert_eq!(
        (caller.device(), caller.pid(), caller.uid()),
        (device(2), None, None)
    );
    assert!(
        !caller.is_local(),
        "the caller is the device, and not the host"
    );
    // One stub is one proxy, whichever way it came; this one is anonymous, and its service is not.
    let arrived = here.kept.lock().unwrap()[0].clone();
    assert_eq!(arrived, proxy);
    assert_eq!(arrived.as_proxy().unwrap().service(), None);
    assert_eq!(proxy.as_proxy().unwrap().service(), Some(SERVICE));
}

/// Row 160: a stub of a process that is registered and the same one handed over are equal to another device, and each is what it is.
#[tokio::test(start_paused = true)]
async fn a_stub_of_a_process_is_one_object_however_another_device_got_it() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let proxy = world.get().await;
    let (callback, here) = shelf();
    world.process.offer(&callback);
    world.register(&world.process).await;
    for _ in 0..2 {
        let got = world.host_at_other().await;
        hand(&proxy, &callback).await.unwrap();
        let handed = there.kept.lock().unwrap().pop().unwrap();
        assert_eq!(got, handed);
        let service = |object: &RemoteObject| object.as_proxy().unwrap().service();
        assert_eq!((service(&got), service(&handed)), (Some(SERVICE), None));
        hand(&proxy, &shelf().0).await.unwrap();
        let another = there.kept.lock().unwrap().pop().unwrap();
        assert_ne!(got, another);
    }

    // As long as the other device has one of the two, the next is equal to that.
    let got = world.host_at_other().await;
    world.process.bus.samgr().remove(SERVICE).unwrap();
    hand(&proxy, &callback).await.unwrap();
    let soon = std::time::Duration::from_secs(5);
    assert!(wait_until_async(soon, async || got.is_dead()).await);
    let handed = there.kept.lock().unwrap().pop().unwrap();
    assert!(got == handed && !handed.is_dead());
    hand(&handed, &stub).await.unwrap();
    assert_eq!(here.kept.lock().unwrap().len(), 1);
}

/// A number of its own for each process: nothing that one says makes its object another's.
#[tokio::test(start_paused = true)]
async fn stubs_of_two_processes_are_two_objects() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    for place in [&world.process, &world.sibling] {
        let proxy = world.get_from(place, 2).await.unwrap();
        hand(&proxy, &shelf().0).await.unwrap();
    }
    let kept = there.kept.lock().unwrap();
    assert_ne!(kept[0], kept[1]);
}

#[tokio::test(start_paused = true)]
async fn an_object_given_twice_is_one_proxy_and_its_stub_lives_as_long() {
    let world = World::new().await;
    let (stub, there) = shelf();
    let (inner, inside) = shelf();
    there.kept.lock().unwrap().push(inner);
    world.other.offer(&stub);
    let proxy = world.get().await;
    let (first, second) = (given(&proxy).await.unwrap(), given(&proxy).await.unwrap());
    assert_eq!(first, second);
    there.kept.lock().unwrap().clear();
    drop(second);
    first[0].ping(CallOption::two_way()).await.unwrap();
    assert_eq!(Arc::strong_count(&inside), 2);
    drop(first);
    let gone = async || Arc::strong_count(&inside) == 1;
    assert!(wait_until_async(std::time::Duration::from_secs(20), gone).await);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_back_to_its_origin() {
    let world = World::new().await;
    let (stub, _there) = shelf();
    world.other.offer(&stub);
    let proxy = world.get().await;
    let refused = hand(&proxy, &proxy).await.unwrap_err();
    let reason = PassObjectError::BackToOrigin;
    assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
    // In a reply to it neither: where it is written, because its receiver is known.
    let (callback, here) = shelf();
    here.kept.lock().unwrap().push(proxy.clone());
    hand(&proxy, &callback).await.unwrap();
    let at_other = _there.kept.lock().unwrap()[0].clone();
    let refused = given(&at_other).await.unwrap_err();
    assert_eq!(refused, SendRequestError::ReplyPassRefused);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_device_is_not_passed_on_locally() {
    let world = World::new().await;
    let (stub, _there) = shelf();
    world.other.offer(&stub);
    let (at_host, _shelf) = shelf();
    world.host.offer(&at_host);
    let proxy = world.get().await;
    let host = world.service_of_host(&world.process).await;
    let refused = hand(&host, &proxy).await.unwrap_err();
    let reason = PassObjectError::SecondLocalPass;
    assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
    // The host's own code neither, in the other direction.
    let (callback, here) = shelf();
    hand(&host, &callback).await.unwrap();
    let callback = _shelf.kept.lock().unwrap()[0].clone();
    let of_host = world.get_at_host().await;
    let refused = hand(&callback, &of_host).await.unwrap_err();
    let reason = PassObjectError::SecondLocalPass;
    assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
    // And a stub of a process is not the host's to hand out.
    let refused = hand(&of_host, &callback).await.unwrap_err();
    let reason = PassObjectError::NotReExportable;
    assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
    assert!(here.kept.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_object_of_one_device_is_introduced_to_another() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let (third, _at_third) = shelf();
    world.third.offer(&third);
    let proxy = world.get().await;
    let of_third = world.get_from(&world.process, 3).await.unwrap();
    hand(&proxy, &of_third).await.unwrap();
    let kept = there.kept.lock().unwrap()[0].clone();
    assert_eq!(kept.device(), Some(device(3)));
    kept.ping(CallOption::two_way()).await.unwrap();
    // The process may go, and so may the host.
    world.part(&world.process, 1);
    world.part(&world.host, 2);
    kept.ping(CallOption::two_way()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_refuses_is_told_to_the_process() {
    let world = World::new().await;
    let (stub, _there) = shelf();
    world.other.offer(&stub);
    let (third, at_third) = shelf();
    at_third.kept.lock().unwrap().push(shelf().0);
    world.third.offer(&third);
    let proxy = world.get().await;
    let of_third = world.get_from(&world.process, 3).await.unwrap();
    // Anonymous, and its owner has not said that it may be passed on.
    let inner = given(&of_third).await.unwrap().remove(0);
    let refused = hand(&proxy, &inner).await.unwrap_err();
    let reason = PassObjectError::NotReExportable;
    assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
}

#[tokio::test(start_paused = true)]
async fn an_object_that_a_device_introduces_arrives_at_the_process() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let (third, _at_third) = shelf();
    world.third.offer(&third);
    let of_third = world.get_from(&world.process, 3).await.unwrap();
    // The other device holds the third one's service, and hands it to the process.
    let held = world.third_at_other().await;
    there.kept.lock().unwrap().push(held);
    let proxy = world.get().await;
    let got = given(&proxy).await.unwrap();
    assert_eq!(got[0].device(), Some(device(3)));
    assert_eq!(got[0], of_third);
    got[0].ping(CallOption::two_way()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stub_of_the_host_goes_only_where_the_host_lets_it() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let (at_host, on_shelf) = shelf();
    let (open, closed) = (
        shelf_with(StubOptions::default().re_exportable()).0,
        shelf().0,
    );
    on_shelf.kept.lock().unwrap().extend([open, closed]);
    world.host.offer(&at_host);
    let proxy = world.get().await;
    let host = world.service_of_host(&world.process).await;
    let inner = given(&host).await.unwrap();
    hand(&proxy, &host).await.unwrap();
    hand(&proxy, &inner[0]).await.unwrap();
    let refused = hand(&proxy, &inner[1]).await.unwrap_err();
    let reason = PassObjectError::NotReExportable;
    assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
    let kept = there.kept.lock().unwrap().clone();
    assert_eq!(kept.len(), 2);
    for object in kept {
        object.ping(CallOption::two_way()).await.unwrap();
    }
}

/// Calls what it was handed, with the method it was called with.
struct Forward(Mutex<Option<RemoteObject>>);

#[async_trait]
impl RemoteStub for Forward {
    fn descriptor(&self) -> &str {
        "test.Forward"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Serial)
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        data: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        if data.object_count() > 0 {
            *self.0.lock().unwrap() = Some(data.read_remote_object()?);
            return Ok(());
        }
        let next = self.0.lock().unwrap().clone();
        // As often as the code says: the last one only answers.
        let (Some(next), true) = (next, code > 1) else {
            return Ok(());
        };
        let option = CallOption::two_way();
        let called = next.send_request(code - 1, &Parcel::new(), option).await;
        called
            .map(drop)
            .map_err(|error| HandlerError::Failed(error.to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_serial_service_is_called_back_in_its_own_chain() {
    let world = World::new().await;
    world
        .other
        .offer(&RemoteObject::new(Forward(Mutex::default())));
    let proxy = world.get().await;
    let callback = RemoteObject::new(Forward(Mutex::new(Some(proxy.clone()))));
    hand(&proxy, &callback).await.unwrap();
    // The service calls the process, which calls the service, which is at it: and so on.
    let option = CallOption::two_way();
    proxy.send_request(6, &Parcel::new(), option).await.unwrap();
}
