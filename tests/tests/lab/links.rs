//! Links that are long or narrow: that they are, and how devices get on with them.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use softbus::{
    CallOption, DeviceEvent, Parcel, RemoteObject, SendRequestError, presence::DeviceEvents,
    transport::Transports,
};
use testkit::{
    netns::Lab,
    scenarios::{
        SERVICE, for_all, measured, next_event,
        workbench::{Bench, code, reverse, workbench},
    },
    wait::run_within,
    world::{Device, lab::LabWorld, node::NodeDevice},
};

use crate::site::{SOON, over_both};

over_both! {
    devices_that_are_far_away_find_and_call_each_other_in_order,
    small_calls_go_on_beside_a_transfer_over_a_narrow_link,
}

const FAR: Duration = Duration::from_millis(20);
const PORT: u16 = 4711;

/// Sends so much by TCP from the first device to the second, and says how long that took.
fn carry(lab: &Lab, size: usize) -> Duration {
    let listener = lab.within(2, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let reading = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert!(
            all.iter()
                .enumerate()
                .all(|(n, byte)| *byte == (n / 7) as u8)
        );
        all.len()
    });
    let begun = Instant::now();
    let mut stream = lab.within(1, || TcpStream::connect((lab.address(2), port)).unwrap());
    let bytes: Vec<_> = (0..size).map(|n| (n / 7) as u8).collect();
    stream.write_all(&bytes).unwrap();
    drop(stream);
    assert_eq!(reading.join().unwrap(), size);
    begun.elapsed()
}

/// The shortest of several ways of a packet from one device to another and back.
fn there_and_back(lab: &Lab) -> Duration {
    let socket = |place| {
        let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
        let socket = lab.within(place, bind);
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    };
    let (one, two) = (socket(1), socket(2));
    let mut buffer = [0; 16];
    let took = (0..20_u64).map(|number| {
        let begun = Instant::now();
        one.send_to(&number.to_be_bytes(), (lab.address(2), PORT))
            .unwrap();
        let (length, from) = two.recv_from(&mut buffer).unwrap();
        two.send_to(&buffer[..length], from).unwrap();
        assert_eq!(one.recv(&mut buffer).unwrap(), 8);
        assert_eq!(buffer[..8], number.to_be_bytes());
        begun.elapsed()
    });
    took.min().unwrap()
}

#[test]
fn what_goes_to_and_from_a_far_device_takes_its_time() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let near = there_and_back(&lab);
    lab.delay(2, FAR).unwrap();
    let far = there_and_back(&lab);
    measured("there and back, near", near);
    measured("there and back, 20 ms away", far);
    assert!(far >= 2 * FAR && near < 2 * FAR);
    // Large frames with checksums that are left to the card arrive as they were.
    measured("4 MiB by TCP, 20 ms away", carry(&lab, 4 << 20));
    // Cut and healed it is as far away as before, and in the end it is not.
    lab.cut(2).unwrap();
    lab.heal(2).unwrap();
    assert!(there_and_back(&lab) >= 2 * FAR);
    lab.cut(2).unwrap();
    lab.delay(2, Duration::ZERO).unwrap();
    lab.heal(2).unwrap();
    assert!(there_and_back(&lab) < 2 * FAR);
}

#[test]
fn a_narrow_link_lets_less_through() {
    const RATE: u32 = 256 << 10;
    const SIZE: usize = 512 << 10;
    let Some(lab) = Lab::or_skip(2) else { return };
    let wide = carry(&lab, SIZE);
    lab.bandwidth(2, Some(RATE)).unwrap();
    let narrow_down = carry(&lab, SIZE);
    lab.bandwidth(2, None).unwrap();
    lab.bandwidth(1, Some(RATE)).unwrap();
    let narrow_up = carry(&lab, SIZE);
    lab.bandwidth(1, None).unwrap();
    let again = carry(&lab, SIZE);
    measured("512 KiB over a wide link", wide);
    measured("512 KiB over 256 KiB a second, down", narrow_down);
    measured("512 KiB over 256 KiB a second, up", narrow_up);
    measured("512 KiB when it is wide again", again);
    // Two seconds, less what the bucket holds.
    for narrow in [narrow_down, narrow_up] {
        assert!(narrow > Duration::from_millis(1500) && wide < narrow && again < narrow);
    }
}

/// Two devices that have found each other, the service of the second, and what happens from then on.
async fn two(world: &mut LabWorld) -> ([Arc<NodeDevice>; 2], Arc<Bench>, DeviceEvents) {
    let devices = [world.node(), world.node()];
    let (stub, bench) = workbench();
    devices[1].add(SERVICE, &stub, for_all()).unwrap();
    let mut events = devices[0].node().device_events();
    let online = next_event(&mut events).await;
    assert_eq!(online, DeviceEvent::Online(devices[1].id()));
    (devices, bench, events)
}

/// Nothing has happened to the other device since it came.
async fn was_there_all_the_time(mut events: DeviceEvents) {
    let event = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
    assert!(event.is_err(), "the device never went: {event:?}");
}

fn devices_that_are_far_away_find_and_call_each_other_in_order(transports: Transports) {
    const NOTES: i32 = 2000;
    let Some(world) = LabWorld::or_skip(2) else {
        return;
    };
    let mut world = world.over(transports);
    world.lab().delay(2, FAR).unwrap();
    run_within(2 * SOON, async {
        let begun = Instant::now();
        let ([a, b], bench, events) = two(&mut world).await;
        measured("online at 20 ms each way, from the start", begun.elapsed());
        let proxy = a.get(SERVICE, &b.id()).await.unwrap();
        for number in 0..NOTES {
            let mut data = Parcel::new();
            data.write_i32(number).unwrap();
            let noted = proxy.send_request(code::NOTE, &data, CallOption::one_way());
            noted.await.unwrap();
        }
        proxy.flush(SOON).await.unwrap();
        // Arrived is not done yet.
        let mut notes = bench.notes.subscribe();
        let notes = notes.wait_for(|notes| notes.len() as i32 == NOTES).await;
        assert!(notes.unwrap().iter().copied().eq(0..NOTES));
        let begun = Instant::now();
        let moved = transfer(&proxy, 1 << 20).await.unwrap();
        measured("1 MiB there and back at 20 ms each way", begun.elapsed());
        assert_eq!(moved, 1 << 20);
        // Longer than who is silent is there.
        let begun = Instant::now();
        for _ in 0..150 {
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        }
        measured("150 calls at 20 ms each way", begun.elapsed());
        assert!(begun.elapsed() >= 150 * 2 * FAR);
        was_there_all_the_time(events).await;
    });
}

/// Raw data there and back.
async fn transfer(proxy: &RemoteObject, size: usize) -> Result<usize, SendRequestError> {
    let sent: Vec<_> = (0..size).map(|n| (n / 3) as u8).collect();
    let mut data = Parcel::new();
    data.write_u32(size as u32).unwrap();
    data.write_raw_data(sent.clone()).unwrap();
    let option = CallOption::two_way().wait(SOON);
    let mut reply = proxy.send_request(code::RAW, &data, option).await?;
    let back = reply.read_raw_data(size).unwrap();
    assert!(back == sent);
    Ok(back.len())
}

fn small_calls_go_on_beside_a_transfer_over_a_narrow_link(transports: Transports) {
    const RATE: u32 = 1 << 20;
    const SIZE: usize = 4 << 20;
    let Some(world) = LabWorld::or_skip(2) else {
        return;
    };
    let mut world = world.over(transports);
    run_within(2 * SOON, async {
        let ([a, b], _bench, events) = two(&mut world).await;
        let proxy = a.get(SERVICE, &b.id()).await.unwrap();
        world.lab().bandwidth(2, Some(RATE)).unwrap();
        let begun = Instant::now();
        let large = proxy.clone();
        let transfer = tokio::spawn(async move { transfer(&large, SIZE).await });
        let mut took = Vec::new();
        while !transfer.is_finished() {
            let begun = Instant::now();
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
            took.push(begun.elapsed());
        }
        assert_eq!(transfer.await.unwrap().unwrap(), SIZE);
        let whole = begun.elapsed();
        measured("4 MiB there and back at 1 MiB a second", whole);
        took.sort_unstable();
        println!("{} small calls were answered meanwhile", took.len());
        measured("the middle one of them", took[took.len() / 2]);
        measured("the longest of them", took[took.len() - 1]);
        // It was as narrow as it should be, and nobody waited for the end of the transfer.
        assert!(whole > Duration::from_secs(5));
        assert!(took.len() > 10, "{took:?}");
        was_there_all_the_time(events).await;
    });
}
