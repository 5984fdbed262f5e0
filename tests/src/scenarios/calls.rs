//! Calls and what becomes of them.

use std::{sync::LazyLock, time::Duration};

use softbus::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    ServiceId, async_trait,
    rpc::{
        StubOptions,
        interface::{Interface, MethodHash},
    },
};
use tokio::time::Instant;

use super::{
    SOON, for_all, pair, pair_with, reached, settled, usage_of,
    workbench::{DESCRIPTOR, OWN_CODE, call, code, parcel, reverse, workbench_with},
};
use crate::world::World;

/// Row 94: a service is got by (service id, device id), and `ReverseInt(2019)` is 9102.
pub async fn reverse_int(world: &mut dyn World) {
    let pair = pair(world).await;
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
    assert_eq!(pair.proxy.device(), Some(pair.b.id()));
}

/// Row 54: of OpenHarmony's flags only `TF_ASYNC` changes what a call brings.
pub async fn flags_choose_between_waiting_and_not(world: &mut dyn World) {
    let pair = pair(world).await;
    let data = parcel(|data| data.write_i32(2019));
    for flags in [0, 0x01, 0x08, 0x10, 0x40, 0x10_0000, 0x20_0000] {
        let option = CallOption::from_flags(flags, 0);
        assert_eq!(option.is_one_way(), flags == 0x01);
        let reply = pair.proxy.send_request(code::REVERSE, &data, option).await;
        let mut reply = reply.unwrap();
        if flags == 0x01 {
            assert_eq!(reply.data_size(), 0);
        } else {
            assert_eq!(reply.read_i32(), Ok(9102), "flags {flags:#x}");
        }
    }
}

/// Row 59.
pub async fn a_call_lasts_as_long_as_its_handler(world: &mut dyn World) {
    let pair = pair(world).await;
    let data = parcel(|data| data.write_u32(300));
    let begun = Instant::now();
    call(&pair.proxy, code::TAKE_TIME, &data).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

/// Rows 9 and 60: a one-way call returns while its handler runs; neither result nor status reaches its caller.
pub async fn one_way_calls_bring_nothing_back(world: &mut dyn World) {
    let pair = pair(world).await;
    let one_way = CallOption::one_way();
    let number = parcel(|data| data.write_i32(OWN_CODE));
    for code in [
        code::REVERSE,
        code::FAIL,
        code::PANIC,
        code::UNKNOWN,
        code::HOLD,
    ] {
        let reply = pair.proxy.send_request(code, &number, one_way).await;
        assert_eq!(reply.unwrap().data_size(), 0);
    }
    reached(&pair.bench.entered, 5).await;
    reached(&pair.bench.left, 4).await;
    assert_eq!(*pair.bench.left.borrow(), 4, "the last one still runs");
    pair.bench.release();
    reached(&pair.bench.left, 5).await;
}

/// Row 61, as decided here: one-way calls of one proxy run in order, one at a time.
pub async fn one_way_calls_run_in_order(world: &mut dyn World) {
    const CALLS: i32 = 500;
    let pair = pair(world).await;
    for note in 0..CALLS {
        let note = parcel(|data| data.write_i32(note));
        let sent = pair
            .proxy
            .send_request(code::NOTE, &note, CallOption::one_way());
        sent.await.unwrap();
    }
    let mut notes = pair.bench.notes.subscribe();
    let all = notes.wait_for(|notes| notes.len() == CALLS as usize);
    let all = tokio::time::timeout(SOON, all)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert!(all.is_sorted(), "{all:?}");
    assert_eq!(*pair.bench.most.borrow(), 1);
}

/// Row 62: once flushed, what was sent one-way through a proxy has arrived, whether its turn has come or not.
pub async fn a_flush_waits_until_one_way_calls_have_arrived(world: &mut dyn World) {
    const CALLS: usize = 100;
    let pair = pair(world).await;
    let own = pair.b.check(super::SERVICE).unwrap();
    for proxy in [&pair.proxy, &own] {
        assert_eq!(proxy.flush(SOON).await, Ok(()), "nothing was sent");
    }
    let note = parcel(|data| data.write_i32(1));
    for code in std::iter::once(code::HOLD).chain([code::NOTE; CALLS]) {
        let sent = pair.proxy.send_request(code, &note, CallOption::one_way());
        sent.await.unwrap();
    }
    pair.proxy.flush(SOON).await.unwrap();
    let there = usage_of(&*pair.b, &*pair.a).serving;
    assert_eq!(there, CALLS + 1, "all of them are there");
    assert!(*pair.bench.left.borrow() == 0, "and none has run");
    pair.bench.release();
    reached(&pair.bench.left, CALLS as u64 + 1).await;

    let (tell, mut told) = super::obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    pair.b.remove(super::SERVICE).unwrap();
    let reason = super::next(&mut told).await;
    let dead = SendRequestError::DeadObject { reason };
    assert_eq!(pair.proxy.flush(SOON).await, Err(dead));
}

/// Row 74: a serial service does one thing at a time, in the order it was asked, whoever asks.
pub async fn a_serial_service_does_one_thing_at_a_time(world: &mut dyn World) {
    let serial = StubOptions::execution(softbus::rpc::Execution::Serial);
    let pair = pair_with(world, workbench_with(serial)).await;
    let proxy = pair.proxy.clone();
    let first = tokio::spawn(async move { call(&proxy, code::HOLD, &Parcel::new()).await });
    reached(&pair.bench.entered, 1).await;
    let mut others = Vec::new();
    for number in 0..10 {
        let proxy = pair.proxy.clone();
        others.push(tokio::spawn(async move {
            let note = parcel(|data| data.write_i32(number));
            call(&proxy, code::NOTE, &note).await
        }));
        // A call of its own proxy goes out before the next is made.
        pair.proxy.flush(SOON).await.unwrap();
    }
    assert_eq!(*pair.bench.entered.borrow(), 1, "the others wait");
    pair.bench.release();
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(*pair.bench.notes.borrow(), Vec::from_iter(0..10));
    assert_eq!(*pair.bench.most.borrow(), 1);
}

/// Row 51: a parcel can be sent again, to the same object and to another, and after it was refused.
pub async fn a_parcel_can_be_sent_again(world: &mut dyn World) {
    let pair = pair(world).await;
    let (stub, bench) = workbench_with(StubOptions::default());
    let data = parcel(|data| data.write_i32(2019));
    let sends = [
        (&pair.proxy, code::UNKNOWN, false),
        (&pair.proxy, code::PANIC, false),
        (&pair.proxy, 0, false),
        (&pair.proxy, code::REVERSE, true),
        (&stub, code::REVERSE, true),
        (&pair.proxy, code::REVERSE, true),
    ];
    for (object, code, answered) in sends {
        let reply = call(object, code, &data).await;
        let number = reply.ok().map(|mut reply| reply.read_i32());
        assert_eq!(number, answered.then_some(Ok(9102)), "code {code:#x}");
    }
    assert_eq!(bench.callers().len(), 1);
    // With everything a parcel can hold.
    let full = parcel(|data| {
        data.write_u32(100_000)?;
        data.write_raw_data(vec![7; 100_000])?;
        data.write_remote_object(&stub)
    });
    for _ in 0..3 {
        let mut reply = call(&pair.proxy, code::RAW, &full).await.unwrap();
        assert_eq!(reply.read_raw_data(100_000).unwrap(), vec![7; 100_000]);
    }
}

/// Rows 6 and 64.
pub async fn codes_outside_the_range_are_refused(world: &mut dyn World) {
    let pair = pair(world).await;
    for code in [0, 0x0100_0000, u32::MAX] {
        let refused = call(&pair.proxy, code, &Parcel::new()).await;
        assert_eq!(refused.unwrap_err(), SendRequestError::InvalidCode { code });
    }
    assert_eq!(*pair.bench.entered.borrow(), 0, "nothing was sent");
    assert_eq!(reverse(&pair.proxy, 12).await, Ok(21), "code 1");
    call(&pair.proxy, code::LAST, &Parcel::new()).await.unwrap();
}

/// Row 65.
pub async fn every_stub_answers_a_ping(world: &mut dyn World) {
    let pair = pair(world).await;
    assert_eq!(pair.proxy.ping(CallOption::two_way()).await, Ok(()));
    assert_eq!(*pair.bench.entered.borrow(), 0, "without the stub's doing");
}

/// Row 66.
pub async fn every_stub_says_its_descriptor(world: &mut dyn World) {
    let pair = pair(world).await;
    assert_eq!(pair.proxy.descriptor().await.unwrap(), DESCRIPTOR);
}

/// Row 67.
pub async fn an_unknown_code_is_an_error(world: &mut dyn World) {
    let pair = pair(world).await;
    let code = code::UNKNOWN;
    let refused = call(&pair.proxy, code, &Parcel::new()).await;
    assert_eq!(
        refused.unwrap_err(),
        SendRequestError::UnknownMethod { code }
    );
    assert_eq!(reverse(&pair.proxy, 12).await, Ok(21));
}

/// Rows 11 and 75, as decided here: the status always arrives, unchanged, and with an error nothing of the reply.
pub async fn the_status_arrives_and_no_reply_with_an_error(world: &mut dyn World) {
    let pair = pair(world).await;
    for own in [OWN_CODE, 1, -1, i32::MIN, i32::MAX] {
        let data = parcel(|data| data.write_i32(own));
        let failed = call(&pair.proxy, code::FAIL, &data).await;
        assert_eq!(failed.unwrap_err(), SendRequestError::Service(own));
    }
}

/// Row 83, the half about handlers.
pub async fn a_panic_is_an_error_of_one_call(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = usage_of(&*pair.b, &*pair.a);
    let failed = call(&pair.proxy, code::PANIC, &Parcel::new()).await;
    assert_eq!(failed.unwrap_err(), SendRequestError::Panicked);
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
    settled(&*pair.b, &*pair.a, before).await;
}

/// A service takes as many requests as it says; more are told `Busy`.
pub async fn a_full_queue_says_busy(world: &mut dyn World) {
    let pair = pair_with(world, workbench_with(StubOptions::default().queue(1))).await;
    let proxy = pair.proxy.clone();
    let first = tokio::spawn(async move { call(&proxy, code::HOLD, &Parcel::new()).await });
    reached(&pair.bench.entered, 1).await;
    let busy = reverse(&pair.proxy, 2019).await.unwrap_err();
    assert!(
        matches!(busy, SendRequestError::Busy { limit: Some(1), .. }),
        "{busy:?}"
    );
    pair.bench.release();
    first.await.unwrap().unwrap();
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
}

/// A thousand one-way calls may be under way; then the sender waits within its deadline, or hears `Busy` at once.
pub async fn a_one_way_call_waits_for_room_or_says_busy(world: &mut dyn World) {
    let pair = pair(world).await;
    let now = CallOption::one_way().no_wait();
    let note = parcel(|data| data.write_i32(1));
    pair.proxy
        .send_request(code::HOLD, &note, now)
        .await
        .unwrap();
    reached(&pair.bench.entered, 1).await;
    for _ in 1..1000 {
        pair.proxy
            .send_request(code::NOTE, &note, now)
            .await
            .unwrap();
    }
    let busy = pair.proxy.send_request(code::NOTE, &note, now).await;
    assert!(
        matches!(busy, Err(SendRequestError::Busy { .. })),
        "{busy:?}"
    );

    let after = Duration::from_millis(200);
    let patient = CallOption::one_way().wait(after);
    let late = pair.proxy.send_request(code::NOTE, &note, patient).await;
    assert_eq!(late.unwrap_err(), SendRequestError::TimedOut { after });

    pair.bench.release();
    let sent = pair
        .proxy
        .send_request(code::NOTE, &note, CallOption::one_way());
    sent.await.unwrap();
    let mut notes = pair.bench.notes.subscribe();
    let all = notes.wait_for(|notes| notes.len() == 1000);
    tokio::time::timeout(SOON, all).await.unwrap().unwrap();
}

/// The handler learns who calls from the connection, and whether it is its own device.
pub async fn a_handler_knows_who_calls(world: &mut dyn World) {
    let pair = pair(world).await;
    reverse(&pair.proxy, 1).await.unwrap();
    let own = pair.b.check(super::SERVICE).unwrap();
    reverse(&own, 1).await.unwrap();
    let local = world.is_one_device();
    let callers = [(pair.a.party(), local), (pair.b.process(), true)];
    assert_eq!(pair.bench.callers(), callers);
}

/// What somebody else takes for the interface of a service.
static OTHER: LazyLock<Interface> = LazyLock::new(|| {
    let method = MethodHash { code: 1, hash: 1 };
    Interface::new("org.example.Other", vec![method])
});

/// A stub with a list of methods, as a generated one has, which are checked before it is asked.
struct Checked;

#[async_trait]
impl RemoteStub for Checked {
    fn descriptor(&self) -> &str {
        "org.example.Checked"
    }

    fn methods(&self) -> Vec<MethodHash> {
        vec![MethodHash { code: 1, hash: 1 }]
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// A caller that speaks another interface is told so. Only of stubs that list their methods: one that was written by
/// hand looks for itself.
pub async fn another_interface_is_a_mismatch(world: &mut dyn World) {
    let pair = pair(world).await;
    let service = ServiceId::new(7).unwrap();
    pair.b
        .add(service, &RemoteObject::new(Checked), for_all())
        .unwrap();
    let checked = pair.a.get(service, &pair.b.id()).await.unwrap();
    let (two_way, data) = (CallOption::two_way(), parcel(|data| data.write_i32(12)));
    let other = checked.send_typed(&OTHER, 1, &data, two_way).await;
    assert_eq!(other.unwrap_err(), SendRequestError::InterfaceMismatch);
    checked.send_request(1, &data, two_way).await.unwrap();
    let by_hand = pair.proxy.send_typed(&OTHER, 1, &data, two_way).await;
    assert_eq!(by_hand.unwrap().read_i32(), Ok(21));
}
