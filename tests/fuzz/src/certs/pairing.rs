//! Devices that pair with one that has opened a window, and somebody in between who does with their messages what he likes.
//! Keys and nonces are random with each run, so he has to work with what the two send.

mod connection;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use softbus_certs::pairing::{PairingMode, PairingOptions, PairingWindow};

use super::Input;
use connection::Connection;

const MODES: [PairingMode; 3] = [PairingMode::Code, PairingMode::Qr, PairingMode::Compare];
/// As many as some pairings need.
const STEPS: usize = 64;

/// Which ways are open, and then what happens.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut window = Window::open(&mut input);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let left = window.attempts_left();
        window.step(&mut input);
        window.check(left);
    }
}

/// The window, what time it is, and who is there.
struct Window {
    window: PairingWindow,
    now: Instant,
    came: u8,
    connections: Vec<Connection>,
}

impl Window {
    fn open(input: &mut Input<'_>) -> Self {
        let kind = input.u8();
        let options = match kind % 4 {
            0 => PairingOptions::code_and_qr(),
            1 => PairingOptions::code(),
            2 => PairingOptions::qr(),
            _ => PairingOptions::compare(),
        };
        let options = match kind & 4 == 0 {
            true => options.without_asking(),
            false => options,
        };
        let now = Instant::now();
        Self {
            window: PairingWindow::open(&options, now).expect("random numbers"),
            now,
            came: 0,
            connections: Vec::new(),
        }
    }

    fn attempts_left(&self) -> [u32; 3] {
        MODES.map(|mode| self.window.attempts_left(mode))
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.u8() % 16;
        let which = input.below(self.connections.len());
        match (what, self.connections.get_mut(which)) {
            (0..=10, Some(connection)) => {
                connection.step(what, &mut self.window, self.now, input);
            }
            (11, Some(_)) => {
                let gone = self.connections.swap_remove(which);
                self.window.over(gone.session);
            }
            (12, _) => self.now += Duration::from_secs(input.number().min(1000)),
            (13, _) => self.window.close(),
            _ => self.connect(input),
        }
    }

    /// Somebody comes, from one of a few addresses.
    fn connect(&mut self, input: &mut Input<'_>) {
        let address: IpAddr = Ipv4Addr::new(192, 168, 1, input.u8() % 8).into();
        let Ok(session) = self.window.admit(address, self.now) else {
            return;
        };
        assert_eq!(self.window.end(self.now), None, "it is open");
        self.came += 1;
        let connection = Connection::new(self.came, &self.window, session, input);
        self.connections.push(connection);
    }

    fn check(&self, before: [u32; 3]) {
        let left = self.attempts_left();
        let used = before.iter().zip(left).map(|(before, left)| before - left);
        assert!(
            used.sum::<u32>() <= 1,
            "none comes back, and one at a time is used"
        );
        let at_work = self.connections.iter().filter(|one| one.is_at_work());
        assert!(at_work.count() <= 1, "one at a time is past its attempt");
        let paired = self
            .connections
            .iter()
            .filter(|one| one.is_stored_by_the_tv());
        assert!(paired.count() <= 1, "one device is paired");
        for connection in &self.connections {
            assert!(connection.answered_attempts() <= 1, "one attempt each");
        }
    }
}
