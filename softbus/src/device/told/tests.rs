//! Devices that change at random, and readers of any pace.

use std::net::SocketAddr;

use proptest::{collection::vec, prelude::*};
use proto::BootId;

use super::*;
use crate::{presence::Machine, transport::Transport};

/// One device of the board that is told from.
struct Entry {
    machine: Machine,
    device: Device,
}

/// What a node knows, as its table has it.
#[derive(Default)]
struct Board(BTreeMap<DeviceId, Entry>);

/// What happens to a device.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Heard,
    Dialled,
    NotReached,
    Online,
    Quiet,
    Loud,
    Offline,
    Renamed,
    Moved,
    OnOtherTransport,
    TrustTurned,
    Forgotten,
    /// The host of the bus is gone, and the next one knows nothing of it.
    Wiped,
}

const HAPPENINGS: [Happening; 13] = [
    Happening::Heard,
    Happening::Dialled,
    Happening::NotReached,
    Happening::Online,
    Happening::Quiet,
    Happening::Loud,
    Happening::Offline,
    Happening::Renamed,
    Happening::Moved,
    Happening::OnOtherTransport,
    Happening::TrustTurned,
    Happening::Forgotten,
    Happening::Wiped,
];

fn id(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

impl Board {
    fn happens(&mut self, number: u8, what: Happening, salt: u16) {
        let id = id(number);
        let entry = self.0.entry(id).or_insert_with(|| Entry {
            machine: Machine::new(),
            device: Device {
                id,
                name: None,
                presence: Presence::Candidate,
                transport: None,
                trusted: true,
                addresses: Vec::new(),
            },
        });
        let Entry { machine, device } = entry;
        let boot = BootId {
            epoch: 1,
            random: 1,
        };
        match what {
            Happening::Heard => {}
            Happening::Dialled => machine.dialling(),
            Happening::NotReached => machine.dial_failed(),
            Happening::Online => {
                machine.offline(OfflineReason::Restarted);
                machine.online(boot);
                device.transport = Some(Transport::Quic);
            }
            Happening::Quiet => machine.suspect(),
            Happening::Loud => machine.heard(),
            Happening::Offline => {
                machine.offline(match salt % 2 {
                    0 => OfflineReason::Left,
                    _ => OfflineReason::TimedOut,
                });
            }
            Happening::Renamed => device.name = Some(salt.to_string()),
            Happening::Moved => {
                device.addresses = vec![SocketAddr::from(([10, 0, 0, 1], salt))];
            }
            Happening::OnOtherTransport => {
                device.transport = device.transport.map(|_| Transport::Tcp);
            }
            Happening::TrustTurned => device.trusted = !device.trusted,
            Happening::Forgotten if machine.times_online > 0 => {}
            Happening::Forgotten | Happening::Wiped => {
                self.0.remove(&id);
                return;
            }
        }
        device.presence = machine.presence().clone();
        if !machine.is_online() {
            device.transport = None;
        }
    }

    fn known(&self) -> Vec<Known> {
        let known = self.0.values().map(|Entry { machine, device }| Known {
            device: device.clone(),
            times_online: machine.times_online,
            last_offline: machine.last_offline().cloned(),
        });
        known.collect()
    }

    /// What the list has to be when everything has been told.
    fn truth(&self) -> Vec<Device> {
        let settled = self.0.values().map(|Entry { machine, device }| {
            let mut device = device.clone();
            if device.presence == Presence::Connecting {
                let last = machine.last_offline().cloned();
                device.presence = last.map_or(Presence::Candidate, Presence::Offline);
            }
            device
        });
        settled.collect()
    }
}

/// Somebody who reads the events and believes nothing but them.
struct Reader {
    told: Told,
    /// The devices that are in the list, and whether they are online.
    listed: BTreeMap<DeviceId, bool>,
}

impl Reader {
    fn new(board: &Board) -> Self {
        let told = Told::of(board.known());
        let listed = told.devices().map(|device| (device.id, device.is_online()));
        Self {
            listed: listed.collect(),
            told,
        }
    }

    /// Reads one event, which has to follow from those before; `false` when there is none.
    fn reads(&mut self) -> bool {
        let before: Vec<_> = self.told.devices().cloned().collect();
        let Some(event) = self.told.next() else {
            return false;
        };
        let id = event.device();
        let was = match &event {
            DeviceEvent::Found(_) => self.listed.insert(id, false),
            DeviceEvent::Online(_) => self.listed.insert(id, true).filter(|online| *online),
            DeviceEvent::Offline(..) => {
                let was = self.listed.insert(id, false);
                assert_eq!(was, Some(true), "{event:?}");
                None
            }
            DeviceEvent::Lost(_) => {
                let was = self.listed.remove(&id);
                assert_eq!(was, Some(false), "{event:?}");
                None
            }
            DeviceEvent::Changed(_, change) => {
                assert!(!change.is_nothing());
                let before = before.iter().find(|device| device.id == id).unwrap();
                let now = self.told.device(&id).unwrap();
                assert_eq!(*change, DeviceChange::between(before, now));
                assert_eq!(Some(&now.is_online()), self.listed.get(&id));
                None
            }
        };
        assert_eq!(was, None, "{event:?} of a device that was that already");
        for (before, now) in before
            .iter()
            .filter_map(|before| Some((before, self.told.device(&before.id)?)))
        {
            assert!(
                before.id == id || before == now,
                "{event:?} changed another device"
            );
        }
        let listed = self
            .told
            .devices()
            .map(|device| (device.id, device.is_online()));
        assert!(
            listed.eq(self.listed.iter().map(|(id, online)| (*id, *online))),
            "{event:?}"
        );
        true
    }

    /// Reads what there is to be read. How much that was.
    fn reads_all(&mut self, board: &Board) -> usize {
        let mut events = 0;
        loop {
            while self.reads() {
                events += 1;
            }
            self.told.look(board.known());
            if self.told.ahead.is_empty() {
                return events;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_events_follow_from_one_another_and_end_at_the_truth(
        before in vec((0..6u8, 0..HAPPENINGS.len(), any::<u16>()), 0..20),
        happenings in vec((0..6u8, 0..HAPPENINGS.len(), any::<u16>(), 0..4usize, any::<bool>()), 0..200),
    ) {
        let mut board = Board::default();
        for (device, what, salt) in before {
            board.happens(device, HAPPENINGS[what], salt);
        }
        let mut reader = Reader::new(&board);
        for (device, what, salt, read, look) in happenings {
            board.happens(device, HAPPENINGS[what], salt);
            for _ in 0..read {
                if !reader.reads() && look {
                    reader.told.look(board.known());
                }
            }
        }
        reader.reads_all(&board);
        prop_assert!(reader.told.devices().eq(board.truth().iter()));
    }
}

/// A thousand changes of two hundred devices while nobody reads: at most going, coming and a change of each are told.
#[test]
fn a_reader_that_slept_is_told_little_and_all_of_it() {
    let mut board = Board::default();
    for device in 0..200 {
        board.happens(device, Happening::Online, 0);
    }
    let mut reader = Reader::new(&board);
    for round in 0..1000u16 {
        let what = HAPPENINGS[usize::from(round * 7 % 13)];
        board.happens((round % 200) as u8, what, round);
    }
    reader.told.look(board.known());
    assert!(reader.told.ahead.len() <= 200);
    let events = reader.reads_all(&board);
    assert!((1..=600).contains(&events), "{events}");
    assert!(reader.told.devices().eq(board.truth().iter()));
}

/// A device that comes and goes without end does not keep the others from being told of.
#[test]
fn a_restless_device_does_not_come_first() {
    let mut board = Board::default();
    let mut reader = Reader::new(&board);
    for device in 0..10 {
        board.happens(device, Happening::Online, 0);
    }
    reader.told.look(board.known());
    for _ in 0..10 {
        board.happens(0, Happening::Online, 0);
        if !reader.reads() {
            reader.told.look(board.known());
        }
    }
    assert_eq!(reader.listed.len(), 10);
}

#[test]
fn what_was_heard_of_and_was_dialled_in_vain_is_no_news() {
    let mut board = Board::default();
    board.happens(1, Happening::Online, 0);
    board.happens(1, Happening::Offline, 0);
    let mut reader = Reader::new(&board);
    board.happens(1, Happening::Dialled, 0);
    assert_eq!(reader.reads_all(&board), 0);
    board.happens(1, Happening::NotReached, 0);
    assert_eq!(reader.reads_all(&board), 0);
}
