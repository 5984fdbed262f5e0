//! Objects in parcels: what they are at the other side, how long they live, and where they may not go.

use softbus::{
    Parcel, RemoteObject, SendRequestError,
    rpc::{
        AddServiceError,
        parcel::{MAX_OBJECTS, PassObjectError, WriteParcelError},
    },
};

use super::{
    Pair, SERVICE, SERVICE_OF_A, for_all, pair, reached, settled, usage_of,
    workbench::{anonymous, call, code, delegate, forget, keep, parcel, reverse, workbench},
};
use crate::world::World;

/// Row 69: a stub sent twice, in one parcel or in two, is one proxy.
pub async fn one_stub_is_one_proxy(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = usage_of(&*pair.a, &*pair.b);
    let (stub, _) = workbench();
    keep(&pair.proxy, &[&stub, &stub]).await.unwrap();
    keep(&pair.proxy, &[&stub]).await.unwrap();
    let kept = pair.bench.kept().clone();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|object| *object == kept[0]));
    assert_eq!(usage_of(&*pair.a, &*pair.b).exports, before.exports + 1);
    let (other, _) = workbench();
    keep(&pair.proxy, &[&other]).await.unwrap();
    assert_ne!(pair.bench.kept()[3], kept[0]);

    drop(kept);
    pair.bench.kept().clear();
    settled(&*pair.a, &*pair.b, before).await;
}

/// Row 70: whoever gets a stub of his own has the stub, and calls it without a transport.
pub async fn an_own_service_is_the_stub_itself(world: &mut dyn World) {
    let device = world.device().await;
    let (stub, bench) = workbench();
    device.add(SERVICE, &stub, for_all()).unwrap();
    let own = device.get(SERVICE, &device.id()).await.unwrap();
    assert_eq!((own.device(), &own), (None, &stub));
    assert_eq!(reverse(&own, 2019).await, Ok(9102));
    assert_eq!(bench.callers(), [(device.process(), true)]);
    keep(&own, &[&own]).await.unwrap();
    assert_eq!(bench.kept().pop(), Some(stub));
}

/// Row 71.
pub async fn many_who_ask_at_once_get_one_proxy(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = usage_of(&*pair.a, &*pair.b);
    let (stub, _) = workbench();
    let service = softbus::ServiceId::new(7).unwrap();
    pair.b.add(service, &stub, for_all()).unwrap();
    let gets: Vec<_> = (0..16)
        .map(|_| {
            let (a, b) = (pair.a.clone(), pair.b.id());
            tokio::spawn(async move { a.get(service, &b).await })
        })
        .collect();
    let mut proxies = Vec::new();
    for get in gets {
        proxies.push(get.await.unwrap().unwrap());
    }
    assert!(proxies.iter().all(|proxy| *proxy == proxies[0]));
    let imports = usage_of(&*pair.a, &*pair.b).imports;
    assert_eq!(imports, before.imports + 1);
    assert_eq!(reverse(&proxies[15], 2019).await, Ok(9102));
    drop(proxies);
    settled(&*pair.a, &*pair.b, before).await;
}

/// Rows 3 and 72: a stub lives while anybody has a proxy of it, and is destroyed once.
pub async fn a_stub_lives_while_a_proxy_lives(world: &mut dyn World) {
    let pair = pair(world).await;
    let (stub, bench) = workbench();
    keep(&pair.proxy, &[&stub]).await.unwrap();
    keep(&pair.proxy, &[&stub]).await.unwrap();
    drop(stub);
    let kept = pair.bench.kept()[0].clone();
    pair.bench.kept().clear();
    assert_eq!(reverse(&kept, 2019).await, Ok(9102));
    assert_eq!(*bench.destroyed.borrow(), 0);
    drop(kept);
    reached(&bench.destroyed, 1).await;
    assert_eq!(*bench.destroyed.borrow(), 1);
}

/// Rows 72 and 110: a device that is gone holds nothing any more.
pub async fn a_vanished_holder_releases_what_it_held(world: &mut dyn World) {
    let pair = pair(world).await;
    let (stub, bench) = workbench();
    keep(&pair.proxy, &[&stub]).await.unwrap();
    drop(stub);
    pair.b.vanish().await;
    reached(&bench.destroyed, 1).await;
    assert_eq!(*bench.destroyed.borrow(), 1);
}

/// Row 44: what is appended is part of the parcel, its objects too.
pub async fn appended_objects_arrive(world: &mut dyn World) {
    let pair = pair(world).await;
    let [(first, _), (second, bench), (third, _)] = [workbench(), workbench(), workbench()];
    let mut data = parcel(|data| data.write_remote_object(&first));
    let tail = parcel(|data| {
        data.write_remote_object(&second)?;
        data.write_remote_object(&third)
    });
    data.append(&Parcel::new()).unwrap();
    data.append(&tail).unwrap();
    call(&pair.proxy, code::KEEP, &data).await.unwrap();
    let kept = pair.bench.kept().clone();
    assert_eq!(kept.len(), 3);
    assert_eq!(reverse(&kept[1], 2019).await, Ok(9102));
    assert_eq!(*bench.entered.borrow(), 1, "each is the one that it was");
}

/// Row 149: as many objects as a message may have arrive, and one more is not even written.
pub async fn a_message_has_room_for_sixty_four_objects(world: &mut dyn World) {
    let pair = pair(world).await;
    let stubs: Vec<_> = (0..MAX_OBJECTS).map(|_| workbench().0).collect();
    let mut data = parcel(|data| {
        let mut stubs = stubs.iter();
        stubs.try_for_each(|stub| data.write_remote_object(stub))
    });
    let limit = 64;
    let full = data.write_remote_object(&stubs[0]);
    assert_eq!(full, Err(WriteParcelError::TooManyObjects { limit }));
    call(&pair.proxy, code::KEEP, &data).await.unwrap();
    assert_eq!(pair.bench.kept().len(), limit);
    let last = pair.bench.kept()[limit - 1].clone();
    assert_eq!(reverse(&last, 2019).await, Ok(9102));
}

/// Row 160: a listener is taken back with an equal reference, however each of them came to be.
pub async fn a_callback_is_taken_back_with_an_equal_reference(world: &mut dyn World) {
    let pair = pair(world).await;
    let [(listener, bench), (other, _)] = [workbench(), workbench()];
    keep(&pair.proxy, &[&listener, &other]).await.unwrap();
    assert_eq!(forget(&pair.proxy, &listener).await, Ok(1));
    assert_eq!(forget(&pair.proxy, &listener).await, Ok(0));
    assert_eq!(pair.bench.kept().len(), 1, "the other one is still there");

    // Got as a service, and then handed over by its owner: two proxies of one stub.
    pair.a.add(SERVICE_OF_A, &listener, for_all()).unwrap();
    let got = pair.b.get(SERVICE_OF_A, &pair.a.id()).await.unwrap();
    pair.bench.kept().push(got);
    assert_eq!(forget(&pair.proxy, &listener).await, Ok(1));
    pair.a.remove(SERVICE_OF_A).unwrap();
    drop(listener);
    reached(&bench.destroyed, 1).await;
}

/// The owner of a stub can ask who holds it, and is told when that changes.
pub async fn a_stub_knows_who_holds_it(world: &mut dyn World) {
    let pair = pair(world).await;
    let third = world.device().await;
    let (stub, _) = workbench();
    let mut watch = stub.watch_holders().unwrap();
    assert_eq!(watch.next().await, Some(0));
    assert_eq!(pair.proxy.holders(), None, "only the stub's process knows");
    assert!(pair.proxy.watch_holders().is_none());
    let holders = || {
        let holders = stub.holders().unwrap();
        let mut holders: Vec<_> = holders.iter().map(|h| (h.device, h.references)).collect();
        holders.sort_unstable();
        holders
    };

    // However often it is sent, it is one reference; a registration is another.
    for _ in 0..3 {
        keep(&pair.proxy, &[&stub, &stub]).await.unwrap();
    }
    assert_eq!(holders(), [(pair.b.id(), 1)]);
    assert_eq!(watch.next().await, Some(1));
    let service = softbus::ServiceId::new(7).unwrap();
    pair.a.add(service, &stub, for_all()).unwrap();
    let at_b = pair.b.get(service, &pair.a.id()).await.unwrap();
    let at_third = third.get(service, &pair.a.id()).await.unwrap();
    let mut expected = [(pair.b.id(), 2), (third.id(), 1)];
    expected.sort_unstable();
    assert_eq!(holders(), expected);
    // Whoever did not look meanwhile sees the newest only.
    assert_eq!(watch.next().await, Some(3));

    drop(at_b);
    assert_eq!(watch.next().await, Some(2));
    third.vanish().await;
    assert_eq!(watch.next().await, Some(1));
    drop(at_third);
    pair.bench.kept().clear();
    assert_eq!(watch.next().await, Some(0));
    assert_eq!(holders(), []);
    pair.a.remove(service).unwrap();
    drop(stub);
    assert_eq!(watch.next().await, None, "the stub is gone");
}

/// Row 116: one object that may not pass, and nothing of the request is sent, whatever else is in it.
pub async fn a_request_with_what_may_not_pass_is_not_sent(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    let (own, bench) = workbench();
    for option in [
        softbus::CallOption::two_way(),
        softbus::CallOption::one_way(),
    ] {
        let data = parcel(|data| {
            data.write_remote_object(&own)?;
            data.write_raw_data(vec![1; 100_000])?;
            data.write_remote_object(&pair.proxy)
        });
        let refused = pair.proxy.send_request(code::KEEP, &data, option).await;
        let (index, reason) = (1, PassObjectError::BackToOrigin);
        assert_eq!(
            refused.unwrap_err(),
            SendRequestError::Pass { index, reason }
        );
    }
    pair.proxy.flush(super::SOON).await.unwrap();
    assert_eq!(*pair.bench.entered.borrow(), 0);
    assert_eq!(own.holders(), Some(vec![]), "it was granted to nobody");
    drop(own);
    reached(&bench.destroyed, 1).await;
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
}

/// Row 104.
pub async fn callbacks_work_in_both_directions(world: &mut dyn World) {
    let pair = pair(world).await;
    let (service, _) = workbench();
    pair.a.add(SERVICE_OF_A, &service, for_all()).unwrap();
    let other_way = pair.b.get(SERVICE_OF_A, &pair.a.id()).await.unwrap();
    for (proxy, home) in [(&pair.proxy, &pair.a), (&other_way, &pair.b)] {
        let (callback, bench) = workbench();
        assert_eq!(delegate(proxy, &callback, 2019).await, Ok(9102));
        let (caller, local) = bench.callers()[0];
        assert!(caller != home.party() && local == world.is_one_device());
    }
    // A stub that comes in a reply is called like one that comes in a request.
    let anonymous = anonymous(&pair.proxy).await.unwrap();
    assert_eq!(reverse(&anonymous, 2019).await, Ok(9102));
}

/// Row 105: a proxy is not passed back to the device of its stub, and that is said before anything is sent.
pub async fn a_proxy_does_not_go_back_to_its_origin(world: &mut dyn World) {
    let pair = pair(world).await;
    let anonymous = anonymous(&pair.proxy).await.unwrap();
    let entered = *pair.bench.entered.borrow();
    for proxy in [&anonymous, &pair.proxy] {
        let (own, _) = workbench();
        let refused = keep(&pair.proxy, &[&own, proxy]).await;
        let reason = PassObjectError::BackToOrigin;
        assert_eq!(refused, Err(SendRequestError::Pass { index: 1, reason }));
    }
    assert_eq!(*pair.bench.entered.borrow(), entered, "nothing was sent");
    refused_in_a_reply(&pair, &anonymous).await;
    // The proxy is as good as before.
    assert_eq!(reverse(&anonymous, 2019).await, Ok(9102));
}

/// A reply may not carry what a request may not carry: its caller is told.
async fn refused_in_a_reply(pair: &Pair, object: &RemoteObject) {
    let (service, bench) = workbench();
    pair.a.add(SERVICE_OF_A, &service, for_all()).unwrap();
    bench.kept().push(object.clone());
    let other_way = pair.b.get(SERVICE_OF_A, &pair.a.id()).await.unwrap();
    let refused = call(&other_way, code::GIVE_BACK, &Parcel::new()).await;
    assert_eq!(refused.unwrap_err(), SendRequestError::ReplyPassRefused);
}

/// Only the process of a stub registers it.
pub async fn a_proxy_cannot_be_registered(world: &mut dyn World) {
    let pair = pair(world).await;
    let refused = pair.a.add(SERVICE, &pair.proxy, for_all());
    assert_eq!(refused, Err(AddServiceError::NotOurs));
}

/// What is dead goes to nobody.
pub async fn a_dead_proxy_is_not_passed(world: &mut dyn World) {
    let pair = pair(world).await;
    let (other, _) = workbench();
    let service = softbus::ServiceId::new(7).unwrap();
    pair.b.add(service, &other, for_all()).unwrap();
    let dead = pair.a.get(service, &pair.b.id()).await.unwrap();
    let (tell, mut told) = super::obituaries();
    let _link = dead.link_to_death(tell).unwrap();
    pair.b.remove(service).unwrap();
    super::next(&mut told).await;
    let refused = keep(&pair.proxy, &[&dead]).await;
    let reason = PassObjectError::DeadObject;
    assert_eq!(refused, Err(SendRequestError::Pass { index: 0, reason }));
}
