//! A network that lets no UDP through, and then does: nothing is lost on the way from TCP to QUIC.

use std::{sync::Arc, time::Duration};

use softbus::{
    CallOption, DeviceEvent, Parcel, RemoteObject, SendRequestError,
    presence::{DeviceEvents, OfflineReason},
    transport::Transport,
};
use testkit::{
    scenarios::{
        SERVICE, SOON, for_all, measured, next_event, obituaries,
        workbench::{code, reverse, workbench},
    },
    wait::{run_within, wait_until_async},
    world::{Device, lab::LabWorld, node::NodeDevice},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Longer than a session stays on TCP once QUIC gets through: a pause of 15 s, and a dial.
const MOVED: Duration = Duration::from_secs(30);

#[track_caller]
fn run(test: impl AsyncFnOnce(&mut LabWorld)) {
    let Some(mut world) = LabWorld::or_skip(2) else {
        return;
    };
    run_within(4 * SOON, test(&mut world));
}

/// What the session of a device with the other one is on.
fn transport_of(device: &NodeDevice) -> Option<Transport> {
    let devices = device.node().devices();
    devices.iter().find_map(|device| device.transport)
}

async fn is_on(devices: [&NodeDevice; 2], transport: Transport) {
    let wanted = Some(transport);
    let on = wait_until_async(MOVED, async || {
        devices.iter().all(|device| transport_of(device) == wanted)
    });
    assert!(on.await, "{:?}", devices.map(transport_of));
}

/// Notes numbers one after the other without waiting, makes a call that it waits for after each, and says how often.
async fn note(proxy: RemoteObject, stop: watch::Receiver<bool>) -> Result<i32, SendRequestError> {
    let mut number = 0;
    while !*stop.borrow() {
        let mut data = Parcel::new();
        data.write_i32(number).unwrap();
        let noted = proxy.send_request(code::NOTE, &data, CallOption::one_way());
        noted.await?;
        assert_eq!(reverse(&proxy, 2019).await?, 9102);
        number += 1;
    }
    Ok(number)
}

/// Sends raw data to and fro, and says how often.
async fn carry(proxy: RemoteObject, stop: watch::Receiver<bool>) -> Result<u64, SendRequestError> {
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n / 3) as u8).collect();
    let mut times = 0;
    while !*stop.borrow() {
        let mut data = Parcel::new();
        data.write_i32(sent.len() as i32).unwrap();
        data.write_raw_data(sent.clone()).unwrap();
        let option = CallOption::two_way();
        let mut reply = proxy.send_request(code::RAW, &data, option).await?;
        assert_eq!(reply.read_raw_data(sent.len()).unwrap(), sent);
        times += 1;
    }
    Ok(times)
}

/// Two devices that have found each other, and their events from then on.
async fn two(world: &mut LabWorld) -> ([Arc<NodeDevice>; 2], [DeviceEvents; 2]) {
    let devices = [world.node(), world.node()];
    let mut events = devices
        .each_ref()
        .map(|device| device.node().device_events());
    for events in &mut events {
        let event = next_event(events).await;
        assert!(matches!(event, DeviceEvent::Online(_)), "{event:?}");
    }
    (devices, events)
}

#[test]
fn without_udp_devices_talk_by_tcp_and_with_it_by_quic_and_no_call_is_lost() {
    run(async |world| {
        world.lab().block_udp(true).unwrap();
        let begun = Instant::now();
        let ([a, b], mut events) = two(world).await;
        measured("online without UDP, from the start", begun.elapsed());
        is_on([&a, &b], Transport::Tcp).await;
        let (stub, bench) = workbench();
        b.add(SERVICE, &stub, for_all()).unwrap();
        let proxy = a.get(SERVICE, &Device::id(&*b)).await.unwrap();
        let (tell, mut told) = obituaries();
        let _link = proxy.link_to_death(tell).unwrap();

        let stop = watch::Sender::new(false);
        let noting = tokio::spawn(note(proxy.clone(), stop.subscribe()));
        let carrying = tokio::spawn(carry(proxy.clone(), stop.subscribe()));
        let noted = |more: usize| {
            let wanted = bench.notes.borrow().len() + more;
            let mut notes = bench.notes.subscribe();
            async move {
                let enough = notes.wait_for(|notes| notes.len() >= wanted);
                timeout(SOON, enough).await.unwrap().unwrap();
            }
        };
        noted(100).await;
        world.lab().block_udp(false).unwrap();
        let opened = Instant::now();
        is_on([&a, &b], Transport::Quic).await;
        measured(
            "from TCP to QUIC, from when it gets through",
            opened.elapsed(),
        );
        noted(100).await;
        stop.send_replace(true);

        let sent = noting.await.unwrap().unwrap();
        let carried = carrying.await.unwrap().unwrap();
        proxy.flush(SOON).await.unwrap();
        // Arrived is not done yet.
        let mut notes = bench.notes.subscribe();
        let notes = notes.wait_for(|notes| notes.len() == sent as usize).await;
        assert!(notes.unwrap().iter().copied().eq(0..sent));
        assert_eq!(*bench.entered.borrow(), 2 * sent as u64 + carried);
        assert!(!proxy.is_dead() && told.try_recv().is_err());
        for events in &mut events {
            let event = timeout(Duration::from_millis(50), events.next()).await;
            assert!(event.is_err(), "the device never went: {event:?}");
        }
    });
}

#[test]
fn when_udp_is_blocked_later_devices_come_back_by_tcp() {
    run(async |world| {
        let ([a, b], [mut events, _]) = two(world).await;
        is_on([&a, &b], Transport::Quic).await;
        let blocked = Instant::now();
        world.lab().block_udp(true).unwrap();
        let gone = next_event(&mut events).await;
        let id = Device::id(&*b);
        assert_eq!(gone, DeviceEvent::Offline(id, OfflineReason::TimedOut));
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(id));
        measured("back by TCP, from when UDP is blocked", blocked.elapsed());
        is_on([&a, &b], Transport::Tcp).await;
        world.lab().block_udp(false).unwrap();
        is_on([&a, &b], Transport::Quic).await;
    });
}

#[test]
fn a_silent_device_is_missed_by_tcp_too() {
    run(async |world| {
        world.lab().block_udp(true).unwrap();
        let ([a, b], [mut events, _]) = two(world).await;
        is_on([&a, &b], Transport::Tcp).await;
        world.lab().cut(2).unwrap();
        let cut = Instant::now();
        let gone = next_event(&mut events).await;
        measured("offline by TCP, from when the cable is cut", cut.elapsed());
        let id = Device::id(&*b);
        assert_eq!(gone, DeviceEvent::Offline(id, OfflineReason::TimedOut));
        world.lab().heal(2).unwrap();
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(id));
    });
}

#[test]
fn a_crashed_device_is_missed_at_once_by_tcp() {
    run(async |world| {
        world.lab().block_udp(true).unwrap();
        let ([a, b], [mut events, _]) = two(world).await;
        is_on([&a, &b], Transport::Tcp).await;
        let crashed = Instant::now();
        b.crash();
        let gone = next_event(&mut events).await;
        measured("offline by TCP, from a crash", crashed.elapsed());
        let id = Device::id(&*b);
        assert_eq!(gone, DeviceEvent::Offline(id, OfflineReason::Crashed));
    });
}
