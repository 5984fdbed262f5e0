//! Devices that sleep, crash, lose power, do not read, and meet.

use softbus::{CallOption, DeathReason, Parcel, SendRequestError, rpc::limits};
use tokio::task::JoinSet;

use super::{Told, back, both_ways, tally::Tally};
use crate::{
    ledger::End,
    scenarios::{
        SERVICE, SERVICE_OF_A, for_all, next, pair, reached, usage_of,
        workbench::{call, code, parcel, reverse, workbench},
    },
    world::{
        World,
        faults::{Outages, Sleeps},
    },
};

/// As a telephone that sleeps: it is missed, and learns when it wakes that it was. Both are there for each other again, and of the
/// calls meanwhile none was lost silently or done twice.
pub async fn a_device_that_sleeps_is_missed_and_is_back_when_it_wakes(world: &mut impl Sleeps) {
    let (pair, of_a) = both_ways(world).await;
    let (mut a, mut b) = (Told::of(&pair.proxy), Told::of(&of_a));
    let tally = Tally::start(&pair.a, pair.b.id(), &pair.bench);
    tally.goes_on().await;
    world.suspend(&pair.b.id()).await;
    assert_eq!(next(&mut a.reasons).await, DeathReason::DeviceUnreachable);
    world.resume(&pair.b.id()).await;
    next(&mut b.reasons).await;
    tally.goes_on().await;
    let totals = tally.rest().await;
    assert!(totals.unknown > 0, "{totals:?}");
    back(&*pair.b, SERVICE_OF_A, &*pair.a).await;
    a.nothing_more();
    b.nothing_more();
}

/// Who reads nothing is sent no more than is agreed: then calls to it say that it is busy. Calls to others go on, and when it is
/// missed every call to it ends.
pub async fn who_never_reads_is_sent_a_bounded_amount_and_harms_nobody(world: &mut impl Sleeps) {
    let pair = pair(world).await;
    let third = world.device().await;
    third.add(SERVICE, &workbench().0, for_all()).unwrap();
    let beside = pair.a.get(SERVICE, &third.id()).await.unwrap();
    let mut told = Told::of(&pair.proxy);
    world.suspend(&pair.b.id()).await;

    let large = parcel(|data| {
        data.write_i32(1)?;
        data.write_buffer(&[7; 8192])
    });
    let now = CallOption::one_way().no_wait();
    let room = world.sessions_of_a_call() * (1 << 20) / 8192;
    let mut sent = 0;
    let refused = loop {
        match pair.proxy.send_request(code::NOTE, &large, now).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent <= room, "{sent} one-way calls are sent");
    };
    assert!(
        matches!(refused, SendRequestError::Busy { .. }),
        "{refused}"
    );
    let mut calls = JoinSet::new();
    let at_most = limits::DEFAULT_PEER_LIMITS.calls_in_flight;
    for _ in 0..at_most + 100 {
        let (proxy, data) = (pair.proxy.clone(), large.clone());
        calls.spawn(async move { call(&proxy, code::LAST, &data).await });
    }
    // More than may be under way.
    for _ in 0..100 {
        let refused = calls.join_next().await.unwrap().unwrap().unwrap_err();
        assert!(
            matches!(refused, SendRequestError::Busy { .. }),
            "{refused}"
        );
    }
    for number in 0..100 {
        reverse(&beside, number).await.unwrap();
    }
    next(&mut told.reasons).await;
    let mut under_way = 0;
    while let Some(call) = calls.join_next().await {
        let call = call.unwrap();
        match End::of(&call) {
            End::Unknown => under_way += 1,
            end => assert_eq!(end, End::NotDone, "{call:?}"),
        }
    }
    // Between hosts calls behind one-way calls that wait there are not sent at all.
    let at_least = u32::from(world.sessions_of_a_call() == 1);
    assert!((at_least..=at_most).contains(&under_way), "{under_way}");
    world.resume(&pair.b.id()).await;
    back(&*pair.a, SERVICE, &*pair.b).await;
}

/// Nobody is left who could say that a device without power is gone, and it is missed all the same. With power it is there again, and
/// knows nothing of before.
pub async fn a_device_that_loses_power_is_missed_and_found_again(world: &mut impl Outages) {
    let pair = pair(world).await;
    let mut told = Told::of(&pair.proxy);
    let proxy = pair.proxy.clone();
    let under_way =
        tokio::spawn(async move { call(&proxy, code::HOLD, &Parcel::new()).await.unwrap_err() });
    reached(&pair.bench.entered, 1).await;
    world.power_off(&pair.b).await;
    assert_eq!(
        next(&mut told.reasons).await,
        DeathReason::DeviceUnreachable
    );
    assert_eq!(under_way.await.unwrap(), SendRequestError::Indeterminate);

    let again = world.restart(&pair.b).await;
    again.add(SERVICE, &pair.stub, for_all()).unwrap();
    back(&*pair.a, SERVICE, &*again).await;
    assert!(pair.proxy.is_dead());
    told.nothing_more();
}

/// Of the calls that meet a crash, and those that wait for the device to start again, none is lost silently or done twice.
pub async fn a_crash_loses_no_call_silently_and_doubles_none(world: &mut dyn World) {
    let pair = pair(world).await;
    let tally = Tally::start(&pair.a, pair.b.id(), &pair.bench);
    let mut b = pair.b;
    for _ in 0..2 {
        tally.goes_on().await;
        b.vanish().await;
        b = world.restart(&b).await;
        b.add(SERVICE, &pair.stub, for_all()).unwrap();
    }
    tally.goes_on().await;
    tally.rest().await;
}

/// Two devices that dial each other at the same moment have one session, and both use it: at the first meeting and at every other.
pub async fn both_dial_at_once_and_have_one_session(world: &mut dyn World) {
    let (a, mut b) = (world.device().await, world.device().await);
    let (stub, _) = workbench();
    a.add(SERVICE_OF_A, &stub, for_all()).unwrap();
    for _ in 0..3 {
        b.add(SERVICE, &stub, for_all()).unwrap();
        let ((ida, idb), soon) = ((a.id(), b.id()), super::SOON);
        let (to_b, to_a) = tokio::time::timeout(soon, async {
            tokio::join!(a.get(SERVICE, &idb), b.get(SERVICE_OF_A, &ida))
        })
        .await
        .unwrap();
        let proxies = [to_b.unwrap(), to_a.unwrap()];
        for proxy in &proxies {
            assert_eq!(reverse(proxy, 2019).await, Ok(9102));
        }
        // That looks at how many there are; each has a proxy of the other's.
        let usages = [usage_of(&*a, &*b), usage_of(&*b, &*a)];
        assert!(usages.iter().all(|usage| usage.imports > 0), "{usages:?}");
        let mut told = Told::of(&proxies[0]);
        b.leave().await;
        next(&mut told.reasons).await;
        b = world.restart(&b).await;
    }
}
