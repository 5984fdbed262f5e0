//! The file that says for how long nobody may open a window for pairing, and what becomes of it.

use std::time::{Duration, SystemTime};

use softbus_certs::{
    fuzzing::{freeze_file, freeze_written},
    pairing::PairingFreeze,
};

use super::Input;

const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(600);

/// The time, then what happens, up to a byte that is a line feed, and then the file.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut now = after(SystemTime::UNIX_EPOCH, input.number());
    let (events, file) = match input.0.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input.0[..at], &input.0[at + 1..]),
        None => (&[][..], input.0),
    };
    let Some(mut freeze) = freeze_file(file) else {
        return;
    };
    written_again(&freeze, now);
    let mut events = Input(events);
    while !events.is_empty() {
        let before = left(&freeze, now);
        match events.u8() % 4 {
            0 => {
                freeze.failed(now).expect("it has no file");
                assert!(left(&freeze, now) >= SHORTEST, "it has to wait");
            }
            1 => {
                freeze.succeeded().expect("it has no file");
                let forgiven = left(&freeze, now);
                assert!(forgiven.is_zero() || forgiven == before, "and not longer");
            }
            _ => {
                let later = after(now, events.number());
                let passed = later.duration_since(now).unwrap_or_default();
                let still = left(&freeze, later);
                assert!(still <= before, "it does not get longer by itself");
                // A time far ahead counts as the longest until it is near.
                assert!(before == longest(&freeze) || still == before.saturating_sub(passed));
                now = later;
            }
        }
        written_again(&freeze, now);
    }
}

/// At most as far as a system's clock can be set, and some.
fn after(now: SystemTime, seconds: u64) -> SystemTime {
    now + Duration::from_secs(seconds % (1 << 40))
}

fn left(freeze: &PairingFreeze, now: SystemTime) -> Duration {
    let left = freeze.left(now);
    assert!(left.is_none_or(|left| !left.is_zero()), "then it is over");
    left.unwrap_or_default()
}

/// As long as it can be for as many windows as have failed: at no time is it longer than before all time.
fn longest(freeze: &PairingFreeze) -> Duration {
    left(freeze, SystemTime::UNIX_EPOCH)
}

/// A restart makes no difference, and nobody waits for longer than is said.
fn written_again(freeze: &PairingFreeze, now: SystemTime) {
    assert!(left(freeze, now) <= LONGEST);
    let written = freeze_written(freeze);
    let again = freeze_file(written.as_bytes()).expect("what we write can be read");
    assert_eq!(left(&again, now), left(freeze, now));
    assert_eq!(freeze_written(&again), written);
}
