//! What the network does to devices that are well.

use std::time::Duration;

use softbus::{CallOption, DeathReason, Parcel, SendRequestError};
use tokio::time::Instant;

use super::{Told, back, both_ways, tally::Tally};
use crate::{
    ledger::End,
    scenarios::{
        SERVICE, SERVICE_OF_A, for_all, next, pair, reached, usage_of,
        workbench::{call, code, parcel, reverse, workbench},
    },
    world::faults::{Cuts, Delays, Loses, Moves, Mutes, Narrows},
};

/// A partition is told to both sides, once. What was under way ends as of unknown fate, in both; what is begun then fails at once.
/// Devices on the same side go on. When it heals both are there again, for who asks again: proxies of before stay dead.
pub async fn a_partition_is_told_to_both_sides_and_heals(world: &mut impl Cuts) {
    let (pair, of_a) = both_ways(world).await;
    let third = world.device().await;
    third.add(SERVICE, &workbench().0, for_all()).unwrap();
    let beside = pair.a.get(SERVICE, &third.id()).await.unwrap();
    let (mut a, mut b) = (Told::of(&pair.proxy), Told::of(&of_a));
    let proxy = pair.proxy.clone();
    let under_way =
        tokio::spawn(async move { call(&proxy, code::HOLD, &Parcel::new()).await.unwrap_err() });
    reached(&pair.bench.entered, 1).await;

    world.cut(&pair.b.id()).await;
    for told in [&mut a, &mut b] {
        assert_eq!(
            next(&mut told.reasons).await,
            DeathReason::DeviceUnreachable
        );
    }
    assert_eq!(under_way.await.unwrap(), SendRequestError::Indeterminate);
    reached(&pair.bench.left, 1).await;
    let reason = DeathReason::DeviceUnreachable;
    let dead = SendRequestError::DeadObject { reason };
    assert_eq!(reverse(&pair.proxy, 1).await, Err(dead.clone()));
    assert_eq!(reverse(&beside, 2019).await, Ok(9102));

    world.heal(&pair.b.id()).await;
    back(&*pair.a, SERVICE, &*pair.b).await;
    back(&*pair.b, SERVICE_OF_A, &*pair.a).await;
    assert_eq!(reverse(&pair.proxy, 1).await, Err(dead));
    a.nothing_more();
    b.nothing_more();
}

/// Every call that meets a partition ends, and who made it knows what became of it or that he does not; none is done twice.
pub async fn a_partition_loses_no_call_silently_and_doubles_none(world: &mut impl Cuts) {
    let pair = pair(world).await;
    let b = pair.b.id();
    let tally = Tally::start(&pair.a, b, &pair.bench);
    for _ in 0..2 {
        tally.goes_on().await;
        let proxy = back(&*pair.a, SERVICE, &*pair.b).await;
        let mut told = Told::of(&proxy);
        world.cut(&b).await;
        next(&mut told.reasons).await;
        world.heal(&b).await;
    }
    tally.goes_on().await;
    let totals = tally.rest().await;
    // Somebody calls all the time.
    assert!(totals.unknown > 0, "{totals:?}");
}

/// However often a cable comes and goes, there is one session in the end, it works, and no call was lost silently or done twice. Calls
/// of others go on meanwhile.
pub async fn a_cable_that_comes_and_goes_leaves_one_session_that_works(world: &mut impl Cuts) {
    let pair = pair(world).await;
    let third = world.device().await;
    third.add(SERVICE, &workbench().0, for_all()).unwrap();
    let beside = pair.a.get(SERVICE, &third.id()).await.unwrap();
    let b = pair.b.id();
    let tally = Tally::start(&pair.a, b, &pair.bench);
    tally.goes_on().await;
    for _ in 0..5 {
        world.cut(&b).await;
        for number in 0..20 {
            reverse(&beside, number).await.unwrap();
        }
        world.heal(&b).await;
        for number in 0..20 {
            reverse(&beside, number).await.unwrap();
        }
    }
    tally.goes_on().await;
    tally.rest().await;
    back(&*pair.a, SERVICE, &*pair.b).await;
    // That looks at how many there are.
    usage_of(&*pair.a, &*pair.b);
    usage_of(&*pair.b, &*pair.a);
}

/// A cut in one direction only: who is not heard is missed, and does not take the others for being there although it hears them.
pub async fn who_is_heard_by_nobody_is_missed_and_knows_it(world: &mut impl Mutes) {
    let (pair, of_a) = both_ways(world).await;
    let (mut a, mut b) = (Told::of(&pair.proxy), Told::of(&of_a));
    world.mute(&pair.b.id(), true).await;
    let note = parcel(|data| data.write_i32(1));
    let (asked, asking) = tokio::join!(
        call(&pair.proxy, code::NOTE, &note),
        call(&of_a, code::REVERSE, &note)
    );
    // One was done and the other was not, and nobody can tell which.
    assert_eq!(End::of(&asked), End::Unknown, "{asked:?}");
    assert_eq!(End::of(&asking), End::Unknown, "{asking:?}");
    assert_eq!(*pair.bench.notes.borrow(), [1]);
    assert_eq!(next(&mut a.reasons).await, DeathReason::DeviceUnreachable);
    // By TCP it hears that the connection ends, and not why.
    let reason = next(&mut b.reasons).await;
    assert!(
        [DeathReason::DeviceUnreachable, DeathReason::ProcessDied].contains(&reason),
        "{reason}"
    );
    world.mute(&pair.b.id(), false).await;
    back(&*pair.a, SERVICE, &*pair.b).await;
    back(&*pair.b, SERVICE_OF_A, &*pair.a).await;
    a.nothing_more();
    b.nothing_more();
}

/// With a fifth of all packets lost every call is answered, once, and nobody is taken for gone.
pub async fn a_fifth_lost_costs_no_call(world: &mut impl Loses) {
    let pair = pair(world).await;
    world.lose(20).await;
    let tally = Tally::start(&pair.a, pair.b.id(), &pair.bench);
    tally.has_done(100).await;
    let totals = tally.rest().await;
    world.lose(0).await;
    assert_eq!((totals.unknown, totals.not_done), (0, 0), "{totals:?}");
    assert!(!pair.proxy.is_dead());
}

/// On a network that takes 20 ms a call takes 40 at least, all that is asked is answered right, and one-way calls keep their order.
pub async fn what_takes_its_time_arrives_whole_and_in_order(world: &mut impl Delays) {
    let pair = pair(world).await;
    let there = Duration::from_millis(20);
    world.delay(there).await;
    let begun = Instant::now();
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
    assert!(begun.elapsed() >= 2 * there, "{:?}", begun.elapsed());
    for number in 0..100 {
        let note = parcel(|data| data.write_i32(number));
        let one_way = CallOption::one_way();
        let sent = pair.proxy.send_request(code::NOTE, &note, one_way);
        sent.await.unwrap();
    }
    let calls: Vec<_> = (100..150)
        .map(|number| {
            let proxy = pair.proxy.clone();
            tokio::spawn(async move { (number, reverse(&proxy, number).await) })
        })
        .collect();
    for call in calls {
        let (number, answer) = call.await.unwrap();
        let digits: String = number.to_string().chars().rev().collect();
        assert_eq!(answer, Ok(digits.parse().unwrap()));
    }
    let mut notes = pair.bench.notes.subscribe();
    let all = notes.wait_for(|notes| notes.len() >= 100);
    let all = tokio::time::timeout(super::SOON, all).await.unwrap();
    assert!(all.unwrap().iter().copied().eq(0..100));
    assert!(!pair.proxy.is_dead());
}

/// How much there is room for in a second on a narrow network, and what is sent there and back.
const NARROW: u32 = 1 << 20;
const LARGE: usize = 2 << 20;

/// What is large takes as long as there is room for it, and calls beside it do not wait for its end.
pub async fn calls_go_on_beside_a_transfer_on_a_narrow_network(world: &mut impl Narrows) {
    let pair = pair(world).await;
    world.narrow(Some(NARROW)).await;
    let sent: Vec<u8> = (0..LARGE).map(|n| (n / 7) as u8).collect();
    let mut data = Parcel::new();
    data.write_u32(LARGE as u32).unwrap();
    data.write_raw_data(sent.clone()).unwrap();
    let option = CallOption::two_way().wait(Duration::from_secs(60));
    let transfer = pair.proxy.send_request(code::RAW, &data, option);
    tokio::pin!(transfer);
    let mut beside = 0;
    let mut reply = loop {
        tokio::select! {
            biased;
            reply = &mut transfer => break reply.unwrap(),
            answer = reverse(&pair.proxy, 2019) => assert_eq!(answer.unwrap(), 9102),
        }
        beside += 1;
    };
    world.narrow(None).await;
    assert!(reply.read_raw_data(LARGE).unwrap() == sent);
    // Were they behind it, there would be one.
    assert!(
        beside >= 3,
        "{beside} calls while {LARGE} bytes went there and back"
    );
    assert!(!pair.proxy.is_dead());
}

/// Whichever of two devices is somewhere else from one moment to the next, calls go on, and none is lost silently or done twice.
pub async fn an_address_that_changes_under_load_loses_no_call_silently(world: &mut impl Moves) {
    let pair = pair(world).await;
    let tally = Tally::start(&pair.a, pair.b.id(), &pair.bench);
    tally.goes_on().await;
    for device in [&pair.a, &pair.b] {
        world.change_address(&device.id()).await;
        // More than was under way.
        tally.goes_on().await;
    }
    tally.rest().await;
    back(&*pair.a, SERVICE, &*pair.b).await;
}
