//! How a service protects itself: bounds, turns, budget and rate, and its removal under load.

use std::{sync::Arc, time::Duration};

use softbus::{
    CallOption, DeathReason, GetServiceError, Parcel, RemoteObject, SendRequestError,
    rpc::{Execution, RateLimit, RemoveServiceError, StubOptions, StubStats},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    Pair, SERVICE, SOON, measured, next, obituaries, pair_with, reached,
    workbench::{call, code, parcel, reverse, serial_workbench, workbench_with},
};
use crate::{
    wait::wait_until_async,
    world::{Device, World},
};

type Pending = JoinHandle<Result<Parcel, SendRequestError>>;

/// A pair whose service has these options, and a third device with a proxy of its own.
async fn trio(
    world: &mut dyn World,
    options: StubOptions,
) -> (Pair, Arc<dyn Device>, RemoteObject) {
    let pair = pair_with(world, workbench_with(options)).await;
    let third = world.device().await;
    let proxy = third.get(SERVICE, &pair.b.id()).await.unwrap();
    (pair, third, proxy)
}

fn serial(queue: usize) -> StubOptions {
    StubOptions::execution(Execution::Serial).queue(queue)
}

/// A call that goes on while the scenario does.
fn begin(proxy: &RemoteObject, code: u32, data: Parcel) -> Pending {
    let proxy = proxy.clone();
    tokio::spawn(async move {
        // As long as it takes: what is looked at is the order, on however slow a machine.
        let option = CallOption::two_way().wait(Duration::from_secs(600));
        proxy.send_request(code, &data, option).await
    })
}

fn note(number: i32) -> Parcel {
    parcel(|data| data.write_i32(number))
}

async fn until(stub: &RemoteObject, reached: impl Fn(StubStats) -> bool) {
    let look = || stub.stats().unwrap();
    let there = wait_until_async(SOON, async || reached(look())).await;
    assert!(there, "{:?}", look());
}

/// Holds the one turn of a serial service.
async fn hold(pair: &Pair) -> Pending {
    let holding = begin(&pair.proxy, code::HOLD, Parcel::new());
    reached(&pair.bench.entered, 1).await;
    holding
}

fn busy(error: &SendRequestError) -> (u64, u64, Option<Duration>) {
    match error {
        SendRequestError::Busy {
            limit: Some(limit),
            value: Some(value),
            retry_after,
        } => (*limit, *value, *retry_after),
        other => panic!("{other:?}"),
    }
}

/// So many side by side and no more; the others wait and run in their turn.
pub async fn so_many_run_at_a_time(world: &mut dyn World) {
    let options = StubOptions::execution(Execution::Concurrent).at_most(3);
    let pair = pair_with(world, workbench_with(options)).await;
    let calls: Vec<_> = (0..5)
        .map(|_| begin(&pair.proxy, code::HOLD, Parcel::new()))
        .collect();
    until(&pair.stub, |stats| (stats.running, stats.waiting) == (3, 2)).await;
    reached(&pair.bench.entered, 3).await;
    assert_eq!(*pair.bench.left.borrow(), 0);
    for _ in &calls {
        pair.bench.release();
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(*pair.bench.most.borrow(), 3);
    until(&pair.stub, |stats| stats.served == 5 && stats.running == 0).await;
    assert!(pair.stub.stats().unwrap().average.is_some());
}

/// Row 147: requests of a service run in the order they came; another service is not held up by them.
pub async fn services_do_not_hold_each_other_up(world: &mut dyn World) {
    let pair = pair_with(world, serial_workbench()).await;
    let (other, _) = serial_workbench();
    let id = softbus::ServiceId::new(5).unwrap();
    pair.b.add(id, &other, super::for_all()).unwrap();
    let beside = pair.a.get(id, &pair.b.id()).await.unwrap();
    let holding = hold(&pair).await;
    let waiting = begin(&pair.proxy, code::NOTE, note(1));
    until(&pair.stub, |stats| stats.waiting == 1).await;
    assert_eq!(reverse(&beside, 2019).await, Ok(9102));
    pair.bench.release();
    holding.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
}

/// Callers take turns: ten requests behind two hundred of somebody else are done after twenty.
pub async fn a_flood_does_not_come_first(world: &mut dyn World) {
    let (pair, _third, polite) = trio(world, serial(1024)).await;
    let holding = hold(&pair).await;
    let flood: Vec<_> = (0..200)
        .map(|number| begin(&pair.proxy, code::NOTE, note(number)))
        .collect();
    until(&pair.stub, |stats| stats.waiting == 200).await;
    let politely: Vec<_> = (1000..1010)
        .map(|number| begin(&polite, code::NOTE, note(number)))
        .collect();
    until(&pair.stub, |stats| stats.waiting == 210).await;
    pair.bench.release();
    for call in politely.into_iter().chain(flood).chain([holding]) {
        call.await.unwrap().unwrap();
    }
    let notes = pair.bench.notes.borrow().clone();
    let of_polite = |notes: &[i32]| notes.iter().filter(|note| **note >= 1000).count();
    assert_eq!(notes.len(), 210);
    assert_eq!(of_polite(&notes[..20]), 10, "{:?}", &notes[..24]);
}

/// A queue that one caller has filled has room for another: the newest of the one with most goes.
pub async fn a_flood_does_not_fill_the_queue(world: &mut dyn World) {
    let (pair, _third, polite) = trio(world, serial(8)).await;
    let holding = hold(&pair).await;
    let mut flood = Vec::new();
    for number in 1..8 {
        flood.push(begin(&pair.proxy, code::NOTE, note(number)));
        until(&pair.stub, |stats| stats.waiting == number as u64).await;
    }
    let over = call(&pair.proxy, code::NOTE, &note(8)).await.unwrap_err();
    let (limit, value, retry_after) = busy(&over);
    assert_eq!((limit, value), (8, 9));
    assert!(
        retry_after.is_some_and(|after| !after.is_zero()),
        "{over:?}"
    );
    let politely = begin(&polite, code::NOTE, note(1000));
    let pushed_out = flood.pop().unwrap().await.unwrap().unwrap_err();
    assert_eq!(busy(&pushed_out).0, 8);
    assert_eq!(pair.stub.stats().unwrap().refused.queue, 2);
    pair.bench.release();
    for call in flood.into_iter().chain([holding, politely]) {
        call.await.unwrap().unwrap();
    }
    assert_eq!(*pair.bench.notes.borrow(), [1, 1000, 2, 3, 4, 5, 6]);
}

/// What a polite caller sees beside a flood: it is never turned away, and waits for its turn only.
pub async fn a_polite_caller_beside_a_flood(world: &mut dyn World) {
    let (pair, _third, polite) = trio(world, serial(64)).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let flooding = tokio::spawn(flood(pair.proxy.clone(), tell));
    until(&pair.stub, |stats| stats.refused.queue > 0).await;
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        let data = parcel(|data| data.write_u32(1));
        call(&polite, code::TAKE_TIME, &data).await.unwrap();
        times.push(begun.elapsed());
    }
    flooding.abort();
    let stats = pair.stub.stats().unwrap();
    assert!(stats.served > 200, "the flood is served too: {stats:?}");
    times.sort_unstable();
    let mut of_flood: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    of_flood.sort_unstable();
    let p50 = of_flood[of_flood.len() / 2];
    let (polite_p50, polite_p99) = (times[100], times[198]);
    measured("p50 of that flood, where it is let in", p50);
    measured(
        "p50 of a polite caller beside a flood, handlers of 1 ms",
        polite_p50,
    );
    measured(
        "p99 of a polite caller beside a flood, handlers of 1 ms",
        polite_p99,
    );
    // In one run on one machine, however fast: in a queue without turns both would wait alike. Not the slowest of the polite calls: of
    // those a machine that has others to run makes a few slow, wherever they wait.
    assert!(
        2 * polite_p50 < p50,
        "{polite_p50:?} and not below half of {p50:?}"
    );
}

/// Keeps 128 calls of a millisecond under way, whatever becomes of them, and tells how long those took that were served.
async fn flood(proxy: RemoteObject, took: mpsc::UnboundedSender<Duration>) {
    let mut calls = tokio::task::JoinSet::new();
    loop {
        while calls.len() < 128 {
            let (proxy, took) = (proxy.clone(), took.clone());
            let data = parcel(|data| data.write_u32(1));
            calls.spawn(async move {
                let begun = Instant::now();
                match call(&proxy, code::TAKE_TIME, &data).await {
                    Ok(_) => {
                        let _ = took.send(begun.elapsed());
                    }
                    // Much earlier than it was told to.
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            });
        }
        calls.join_next().await;
    }
}

/// Row 148: requests may have so many bytes together, raw data included; when they have ended there is room again.
pub async fn a_budget_bounds_the_bytes_inside(world: &mut dyn World) {
    let options = StubOptions::default().budget(100 << 10);
    let pair = pair_with(world, workbench_with(options)).await;
    let bytes = |len: usize| parcel(|data| data.write_buffer(&vec![7; len]));
    let holding = begin(&pair.proxy, code::HOLD, bytes(60 << 10));
    reached(&pair.bench.entered, 1).await;
    let over = call(&pair.proxy, code::LAST, &bytes(60 << 10)).await;
    let (limit, value, retry_after) = busy(&over.unwrap_err());
    assert_eq!(limit, 100 << 10);
    assert!(value >= 120 << 10 && retry_after.is_some());
    call(&pair.proxy, code::LAST, &bytes(10 << 10))
        .await
        .unwrap();
    pair.bench.release();
    holding.await.unwrap().unwrap();
    until(&pair.stub, |stats| stats.bytes == 0).await;
    call(&pair.proxy, code::LAST, &bytes(60 << 10))
        .await
        .unwrap();
    // What never fits is not told to come again.
    let raw = parcel(|data| data.write_raw_data(vec![7; 200 << 10]));
    let never = call(&pair.proxy, code::LAST, &raw).await.unwrap_err();
    let (limit, value, retry_after) = busy(&never);
    assert_eq!((limit, retry_after), (100 << 10, None));
    assert!(value >= 200 << 10);
    assert_eq!(pair.stub.stats().unwrap().refused.budget, 2);
}

/// Row 155: so many at once and so many a second; the hint of a refusal is kept, and others are not concerned.
pub async fn a_caller_that_calls_too_often_is_busy(world: &mut dyn World) {
    let options = StubOptions::default().rate(RateLimit::new(1, 3));
    let (pair, _third, polite) = trio(world, options).await;
    let mut served = 0;
    let refused = loop {
        match reverse(&pair.proxy, 2019).await {
            Ok(_) => served += 1,
            Err(error) => break error,
        }
        assert!(served < 100, "three at once");
    };
    assert!(served >= 3, "{served}");
    let (limit, _, retry_after) = busy(&refused);
    assert_eq!(limit, 3);
    let retry_after = retry_after.unwrap();
    assert!(retry_after <= Duration::from_secs(1), "{retry_after:?}");
    assert_eq!(reverse(&polite, 2019).await, Ok(9102));
    tokio::time::sleep(retry_after).await;
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
    assert_eq!(pair.stub.stats().unwrap().refused.rate, 1);
}

/// Row 152: what waits when a service is removed is told so, what runs ends as it would, holders are told once, and
/// nobody gets in any more; removing twice is an error and harms nobody.
pub async fn a_removal_refuses_what_waits_and_lets_end_what_runs(world: &mut dyn World) {
    end_of_service(world, DeathReason::ServiceRemoved, |pair| {
        assert_eq!(pair.b.remove(SERVICE), Ok(()));
        assert_eq!(pair.b.remove(SERVICE), Err(RemoveServiceError::Absent));
    })
    .await;
}

/// The same for a stub that its owner revokes.
pub async fn a_revocation_refuses_what_waits_and_lets_end_what_runs(world: &mut dyn World) {
    end_of_service(world, DeathReason::Revoked, |pair| {
        assert!(pair.b.revoke(&pair.stub));
        assert!(!pair.b.revoke(&pair.stub));
    })
    .await;
}

async fn end_of_service(world: &mut dyn World, reason: DeathReason, end: impl Fn(&Pair)) {
    let (pair, _third, other) = trio(world, serial(64)).await;
    let (tell, mut told) = obituaries();
    let _links = [&pair.proxy, &other].map(|proxy| proxy.link_to_death(tell.clone()).unwrap());
    let holding = hold(&pair).await;
    let waiting: Vec<_> = [&pair.proxy, &other, &other]
        .into_iter()
        .map(|proxy| begin(proxy, code::NOTE, note(1)))
        .collect();
    until(&pair.stub, |stats| stats.waiting == 3).await;
    end(&pair);
    for call in waiting {
        let dead = Err(SendRequestError::DeadObject { reason });
        assert_eq!(call.await.unwrap().map(drop), dead);
    }
    assert_eq!(
        (next(&mut told).await, next(&mut told).await),
        (reason, reason)
    );
    let dead = Err(SendRequestError::DeadObject { reason });
    assert_eq!(reverse(&other, 2019).await, dead);
    let gone = pair.a.get(SERVICE, &pair.b.id()).await;
    assert_eq!(gone.unwrap_err(), GetServiceError::Absent);
    pair.bench.release();
    holding.await.unwrap().expect("what ran is answered");
    assert_eq!(pair.bench.notes.borrow().len(), 0);
    assert_eq!(told.try_recv().ok(), None, "told once");
    assert_eq!(pair.stub.stats().unwrap().refused.dead, 3);
}

/// Row 83: the turn of a handler that panics is the next one's.
pub async fn a_panic_does_not_keep_its_turn(world: &mut dyn World) {
    let pair = pair_with(world, serial_workbench()).await;
    for _ in 0..3 {
        let panicked = call(&pair.proxy, code::PANIC, &Parcel::new()).await;
        assert_eq!(panicked.unwrap_err(), SendRequestError::Panicked);
        assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
    }
}

/// Row 146: who may not call a service is refused, and may after all call what its owner hands out: holding it is the
/// permission.
pub async fn a_passed_object_may_be_called_by_whom_it_was_passed_to(world: &mut dyn World) {
    let pair = pair_with(world, serial_workbench()).await;
    let only_b = softbus::Allow::devices([pair.b.id()]);
    let options = softbus::ServiceOptions::distributed(only_b);
    let id = softbus::ServiceId::new(5).unwrap();
    let (secret, _) = serial_workbench();
    pair.b.add(id, &secret, options).unwrap();
    let refused = pair.a.get(id, &pair.b.id()).await;
    assert_eq!(refused.unwrap_err(), GetServiceError::Refused);
    assert_eq!(
        reverse(&secret, 2019).await,
        Ok(9102),
        "its own process may"
    );
    pair.bench.kept().push(secret);
    let mut reply = call(&pair.proxy, code::GIVE_BACK, &Parcel::new())
        .await
        .unwrap();
    let passed = reply.read_remote_object().unwrap();
    assert_eq!(reverse(&passed, 2019).await, Ok(9102));
    pair.bench.kept().clear();
}
