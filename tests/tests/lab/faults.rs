//! UDP between devices, with and without faults.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use testkit::netns::Lab;
use testkit::wait::wait_until;

const PORT: u16 = 4711;
/// Longer than any packet takes here, short enough to prove that none comes.
const A_MOMENT: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(10);

fn socket(lab: &Lab, device: usize) -> UdpSocket {
    lab.within(device, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
        socket.set_read_timeout(Some(A_MOMENT)).unwrap();
        socket
    })
}

/// Whether a packet from one socket gets to the other, whose address that is. Each packet differs
/// from those before, which may be late.
fn passes(from: &UdpSocket, to: &UdpSocket, address: Ipv4Addr) -> bool {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let packet = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    if from.send_to(&packet, (address, PORT)).is_err() {
        return false;
    }
    let mut arriving = std::iter::from_fn(|| receive(to));
    arriving.any(|arrived| arrived == packet)
}

/// What arrives next within a moment.
fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 16];
    loop {
        match socket.recv(&mut buffer) {
            Ok(size) => return Some(buffer[..size].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            // A receive with a timeout is not restarted by the kernel.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn packets_pass_between_devices_and_a_cut_stops_them() {
    let Some(lab) = Lab::or_skip(3) else { return };
    assert_eq!(lab.len(), 3);
    let (one, two, three) = (socket(&lab, 1), socket(&lab, 2), socket(&lab, 3));
    let to_two = || passes(&one, &two, lab.address(2));
    let to_three = || passes(&one, &three, lab.address(3));
    assert!(wait_until(SOON, || to_two() && to_three()));

    lab.cut(2).unwrap();
    lab.cut(2).unwrap();
    assert!(!to_two());
    assert!(to_three());

    lab.heal(2).unwrap();
    lab.heal(2).unwrap();
    assert!(wait_until(SOON, to_two));
}

#[test]
fn a_cut_device_keeps_its_link_and_stays_cut_when_that_flaps() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let (one, two) = (socket(&lab, 1), socket(&lab, 2));
    let to_two = || passes(&one, &two, lab.address(2));
    assert!(wait_until(SOON, to_two));

    lab.cut(2).unwrap();
    assert!(lab.within(2, has_carrier));
    lab.link_down(2).unwrap();
    lab.link_up(2).unwrap();
    assert!(wait_until(SOON, || lab.within(2, has_carrier)));
    assert!(!to_two());

    lab.heal(2).unwrap();
    assert!(wait_until(SOON, to_two));
}

#[test]
fn a_pulled_cable_stops_packets_and_is_seen_by_the_device() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let (one, two) = (socket(&lab, 1), socket(&lab, 2));
    let to_two = || passes(&one, &two, lab.address(2));
    assert!(wait_until(SOON, to_two));

    lab.link_down(2).unwrap();
    assert!(!lab.within(2, has_carrier));
    assert!(!to_two());

    lab.link_up(2).unwrap();
    assert!(wait_until(SOON, to_two));
}

/// So many that chance cannot explain the counts below.
const SENT: usize = 1000;
/// So few that they fit into a socket's buffer: only the switch loses any.
const BATCH: usize = 100;

fn batch_arrives(from: &UdpSocket, to: &UdpSocket, lab: &Lab) -> usize {
    for _ in 0..BATCH {
        from.send_to(b"hello", (lab.address(2), PORT)).unwrap();
    }
    let arriving = std::iter::from_fn(|| receive(to));
    arriving
        .filter(|arrived| arrived == b"hello")
        .take(BATCH)
        .count()
}

#[test]
fn a_share_of_udp_is_lost_and_nothing_else() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let (one, two) = (socket(&lab, 1), socket(&lab, 2));
    let to_two = || passes(&one, &two, lab.address(2));
    assert!(wait_until(SOON, to_two));
    let arrived = || {
        (0..SENT / BATCH)
            .map(|_| batch_arrives(&one, &two, &lab))
            .sum::<usize>()
    };
    assert_eq!(arrived(), SENT);

    // 800, and the standard deviation is 13.
    lab.drop_percent(20).unwrap();
    let count = arrived();
    assert!(
        (650..950).contains(&count),
        "{count} of {SENT} arrived at 20 % loss"
    );

    lab.drop_percent(100).unwrap();
    assert_eq!(arrived(), 0);
    let answered = lab.within(1, || ping(lab.address(2)));
    assert!(answered, "only UDP may be lost");

    lab.drop_percent(0).unwrap();
    assert_eq!(arrived(), SENT);
}

#[test]
fn a_device_can_change_its_address() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let (one, two) = (socket(&lab, 1), socket(&lab, 2));
    let elsewhere = Ipv4Addr::new(10, 77, 0, 200);
    assert!(wait_until(SOON, || passes(&one, &two, lab.address(2))));

    lab.change_address(2, elsewhere).unwrap();
    assert!(wait_until(SOON, || passes(&one, &two, elsewhere)));
    assert!(!passes(&one, &two, lab.address(2)));
}

#[test]
fn programs_run_on_their_device_and_end_with_their_handle() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ip -br -4 addr show eth0; readlink /proc/self/ns/net; read line",
    ]);
    let mut program = lab.run_in(1, command).unwrap();
    let addresses = program.next_line(SOON).unwrap();
    assert!(addresses.contains("10.77.0.1/24"), "{addresses}");

    let outside = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(program.next_line(SOON).unwrap(), outside.to_string_lossy());
    assert!(!program.kill().unwrap().success());
}

#[test]
fn there_is_no_way_out_of_the_lab() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let interfaces = lab.within(1, || {
        Command::new("ip").args(["-br", "link"]).output().unwrap()
    });
    let interfaces = String::from_utf8(interfaces.stdout).unwrap();
    assert_eq!(
        interfaces.lines().count(),
        2,
        "only lo and eth0: {interfaces}"
    );
    // No route to a documentation address, so the packet is refused before it exists.
    let error = lab.within(1, || {
        UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", "192.0.2.1:9")
    });
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
}

#[test]
fn nothing_is_left_when_the_lab_is_gone() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let namespace = lab.namespace(1).unwrap();
    let neighbours = || {
        let mut ip = Command::new("ip");
        ip.args(["-br", "link", "show", "type", "veth"]);
        let output = within(&namespace, ip);
        output.lines().count()
    };
    assert_eq!(neighbours(), 1);
    drop(lab);
    // We still hold device 1; its cable is gone because the switch is.
    assert!(wait_until(SOON, || neighbours() == 0));
}

/// Runs a program in a namespace whose lab is gone.
fn within(namespace: &std::fs::File, mut command: Command) -> String {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        });
        run.join().unwrap()
    })
}

fn has_carrier() -> bool {
    let link = Command::new("ip")
        .args(["-br", "link", "show", "eth0"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&link.stdout).contains("LOWER_UP")
}

fn ping(address: Ipv4Addr) -> bool {
    let mut ping = Command::new("ping");
    ping.args(["-c", "1", "-W", "5", &address.to_string()]);
    ping.output().unwrap().status.success()
}
