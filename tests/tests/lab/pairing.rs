//! Strangers on two machines pair.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::Value;
use softbus::{
    Identity, Node,
    pairing::{
        CompareDigits, PairError, PairWith, PairingCode, PairingEvent, PairingListener,
        PairingMode, PairingOptions,
    },
};
use testkit::{
    netns::Lab,
    process::Process,
    scenarios::pairing::{self, Strangers},
    wait::run_within,
    world::node::{NodeDevice, Vanish},
};
use tokio::sync::oneshot;

const PORT: u16 = 4100;
const SOON: Duration = Duration::from_secs(30);

fn at(place: u8) -> SocketAddr {
    (Ipv4Addr::new(10, 77, 0, place), PORT).into()
}

fn start(lab: &Lab, place: usize) -> NodeDevice {
    let identity = Identity::generate().unwrap();
    let builder = Node::builder().identity(identity).port(PORT);
    let start = || NodeDevice::start(builder, Vanish::Crash);
    lab.within(place, start).unwrap()
}

#[track_caller]
fn run(scenario: impl AsyncFnOnce(&Strangers)) {
    let Some(lab) = Lab::or_skip(2) else { return };
    let [phone, tv] = [1, 2].map(|place| start(&lab, place));
    let strangers = Strangers {
        phone: phone.node(),
        tv: tv.node(),
        tv_at: at(2),
    };
    run_within(SOON, scenario(&strangers));
}

#[test]
fn two_machines_pair_by_code() {
    run(pairing::by_code);
}

#[test]
fn two_machines_pair_by_qr_text() {
    run(pairing::by_qr);
}

#[test]
fn two_machines_pair_by_comparing() {
    run(pairing::by_comparing);
}

#[test]
fn a_wrong_code_pairs_no_two_machines() {
    run(pairing::by_a_wrong_code);
}

async fn next(window: &mut PairingListener) -> PairingEvent {
    window.next().await.expect("the window is open")
}

fn nobody_trusts(nodes: &[&Node]) {
    for node in nodes {
        assert!(node.trust().unwrap().entries().is_empty());
    }
}

/// The phone's user believes that the third device is the tv, and types the tv's code there. The third device has no code to
/// give the tv: of what the phone said it has learned nothing but that its own guess was wrong.
#[test]
fn a_device_in_the_middle_gets_nowhere_with_the_code() {
    let Some(lab) = Lab::or_skip(3) else { return };
    let devices = [1, 2, 3].map(|place| start(&lab, place));
    let [phone, tv, middle] = devices.each_ref().map(NodeDevice::node);
    run_within(SOON, async {
        let options = || PairingOptions::code().without_asking();
        let mut at_tv = tv.open_pairing(options()).await.unwrap();
        let at_middle = middle.open_pairing(options()).await.unwrap();
        let typed: PairingCode = at_tv.code().unwrap().reveal().parse().unwrap();
        let shown: PairingCode = at_middle.code().unwrap().reveal().parse().unwrap();
        assert_ne!(typed.reveal(), shown.reveal(), "one in a million");
        let at_phone = phone.pair(PairWith::code([at(3)], typed)).await;
        assert_eq!(at_phone.unwrap_err(), PairError::WrongCode);
        let onwards = middle.pair(PairWith::code([at(2)], shown)).await;
        assert_eq!(onwards.unwrap_err(), PairError::WrongCode);
        let PairingEvent::Failed {
            device,
            attempts_left,
            ..
        } = next(&mut at_tv).await
        else {
            panic!("the tv's user is told");
        };
        assert_eq!((device, attempts_left), (middle.device_id(), 2));
        nobody_trusts(&[&phone, &tv, &middle]);
    });
}

/// Two screens with the third device between them show different digits, and then both users say no.
#[test]
fn a_device_in_the_middle_is_seen_on_the_screens() {
    let Some(lab) = Lab::or_skip(3) else { return };
    let devices = [1, 2, 3].map(|place| start(&lab, place));
    let [phone, tv, middle] = devices.each_ref().map(NodeDevice::node);
    run_within(SOON, async {
        let mut at_tv = tv.open_pairing(PairingOptions::compare()).await.unwrap();
        let mut at_middle = middle
            .open_pairing(PairingOptions::compare())
            .await
            .unwrap();
        let (show, on_phone) = oneshot::channel::<CompareDigits>();
        let with_middle = PairWith::compare([at(3)], move |request| {
            let _ = show.send(request.digits().unwrap());
            request.refuse();
        });
        // It says yes to everything.
        let onwards = PairWith::compare([at(2)], softbus::pairing::PairingRequest::accept);
        let (at_phone, onwards, (), on_tv) = tokio::join!(
            phone.pair(with_middle),
            middle.pair(onwards),
            async {
                if let PairingEvent::Request(request) = next(&mut at_middle).await {
                    request.accept();
                }
            },
            async {
                let PairingEvent::Request(request) = next(&mut at_tv).await else {
                    panic!("the tv's user is asked");
                };
                let digits = request.digits().unwrap();
                request.refuse();
                digits
            }
        );
        assert_eq!(at_phone.unwrap_err(), PairError::Declined);
        assert_eq!(onwards.unwrap_err(), PairError::Declined);
        assert_ne!(on_phone.await.unwrap(), on_tv, "one in a million");
        nobody_trusts(&[&phone, &tv]);
    });
}

/// The third device as a cable between the other two: it carries their packets and keeps those of the phone.
struct Tap {
    /// Where the phone finds the tv.
    outside: tokio::net::UdpSocket,
    /// As whom the tv knows the phone.
    inside: tokio::net::UdpSocket,
    kept: Vec<Vec<u8>>,
}

impl Tap {
    fn between(lab: &Lab) -> [UdpSocket; 2] {
        let [outside, inside] = [PORT, 0].map(|port| {
            let socket = lab.within(3, move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
            socket.unwrap()
        });
        [outside, inside].map(|socket| {
            socket.set_nonblocking(true).unwrap();
            socket
        })
    }

    /// As long as it is polled.
    async fn carry(&mut self) {
        let (mut out, mut back) = ([0; 2048], [0; 2048]);
        let mut phone = None;
        loop {
            tokio::select! {
                read = self.outside.recv_from(&mut out) => {
                    let (len, from) = read.unwrap();
                    phone = Some(from);
                    self.kept.push(out[..len].to_vec());
                    self.inside.send_to(&out[..len], at(2)).await.unwrap();
                }
                read = self.inside.recv(&mut back) => {
                    let (len, Some(phone)) = (read.unwrap(), phone) else { continue };
                    self.outside.send_to(&back[..len], phone).await.unwrap();
                }
            }
        }
    }

    async fn replay(&self) {
        for packet in &self.kept {
            self.inside.send_to(packet, at(2)).await.unwrap();
        }
    }
}

/// All that one who listens can keep of a pairing that worked, sent again from where it came, while the next window is open.
#[test]
fn a_recording_of_two_machines_that_paired_opens_nothing() {
    let Some(lab) = Lab::or_skip(3) else { return };
    let devices = [1, 2].map(|place| start(&lab, place));
    let [phone, tv] = devices.each_ref().map(NodeDevice::node);
    let sockets = Tap::between(&lab);
    run_within(SOON, async {
        let [outside, inside] =
            sockets.map(|socket| tokio::net::UdpSocket::from_std(socket).unwrap());
        let mut tap = Tap {
            outside,
            inside,
            kept: Vec::new(),
        };
        let options = || PairingOptions::code().without_asking();
        let window = tv.open_pairing(options()).await.unwrap();
        let with = PairWith::code([at(3)], window.code().unwrap());
        let paired = tokio::select! {
            paired = phone.pair(with) => paired,
            () = tap.carry() => unreachable!("a cable does not end"),
        };
        assert_eq!(paired.unwrap().device, tv.device_id());
        drop(window);
        assert!(tv.trust().unwrap().forget(&phone.device_id()).unwrap());
        assert!(tap.kept.len() >= 5, "{} packets", tap.kept.len());

        let mut window = tv.open_pairing(options()).await.unwrap();
        tap.replay().await;
        // Who comes behind it and knows the code is the first that is heard.
        let with = PairWith::code([at(2)], window.code().unwrap());
        let paired = phone.pair(with).await;
        assert_eq!(paired.unwrap().device, tv.device_id());
        let PairingEvent::Paired(device) = next(&mut window).await else {
            panic!("the recording was tried");
        };
        assert_eq!(device.device, phone.device_id());
        assert_eq!(window.attempts_left(PairingMode::Code), 2, "one was used");
    });
}

/// A device as a process of its own, and what it says to being asked for a window.
fn asked_for_a_window(lab: &Lab, home: &Path) -> (Process, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab_node"));
    command.arg(home);
    let mut process = lab.run_in(2, command).unwrap();
    process
        .wait_for_event(SOON, |found| found["event"] == "ready")
        .unwrap();
    process.send_line("pairing").unwrap();
    let answer = |found: &Value| found["event"] == "open" || found["event"] == "frozen";
    let answer = process.wait_for_event(SOON, answer).unwrap();
    (process, answer)
}

#[test]
fn a_machine_that_is_killed_after_the_third_wrong_code_is_frozen_when_it_is_back() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join("tv");
    let phone = start(&lab, 1);
    let (mut tv, open) = asked_for_a_window(&lab, &home);
    let wrong = if open["code"] == "000000" {
        "000001"
    } else {
        "000000"
    };
    let port = u16::try_from(open["port"].as_u64().unwrap()).unwrap();
    let tv_at: SocketAddr = (Ipv4Addr::new(10, 77, 0, 2), port).into();
    run_within(SOON, async {
        let mut failed = 0;
        while failed < 3 {
            let guess = PairWith::code([tv_at], wrong.parse().unwrap());
            match phone.node().pair(guess).await.unwrap_err() {
                PairError::WrongCode => failed += 1,
                // Not to synchronise: it is the pace that is allowed.
                PairError::Busy => tokio::time::sleep(Duration::from_millis(300)).await,
                other => panic!("{other}"),
            }
        }
    });
    tv.kill().unwrap();
    let (_tv, answer) = asked_for_a_window(&lab, &home);
    assert_eq!(answer["event"], "frozen", "{answer}");
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("too many wrong codes")
    );
}
