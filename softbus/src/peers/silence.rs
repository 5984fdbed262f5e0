//! When a device that sends nothing is asked for, is taken for quiet, and is given up. Pure, but for the waiting in [`nobody_listens`].

use std::time::{Duration, Instant};

use crate::presence::Profile;

/// How often the counters are looked at.
pub const TICK: Duration = Duration::from_millis(100);
/// How long a host may take to say that nobody listens.
const ANSWER: Duration = Duration::from_millis(100);
/// How long until it is asked again. When it says so only once in a second, it is to who asks next, and the connection asks too, later and
/// later: with longer pauses it is likelier to be the connection, whose answer nobody sees, and the next one comes a second later.
const AGAIN: Duration = Duration::from_millis(25);
/// How often it is asked in one silence, of four seconds at most.
const QUESTIONS: u32 = 160;

/// What happens in a silence, counted from when the last packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The host is asked for the first time. Hosts limit how often they say that nobody listens, Linux to once a second after the
    /// first six, and what the connection sends again and again once its keep-alive is not acknowledged uses those up within
    /// milliseconds. So it is asked while nothing has been sent yet: most silences are none, and end with that keep-alive.
    asked: Duration,
    /// The keep-alive should have been acknowledged: what the host has said is believed, and it is asked again.
    believed: Duration,
    /// The device is taken for quiet.
    suspect: Duration,
}

impl Silence {
    /// As long as a node of this profile waits.
    pub fn of(profile: Profile) -> Self {
        let keep_alive = profile.keep_alive();
        Self {
            asked: keep_alive * 4 / 5,
            believed: keep_alive * 5 / 4,
            suspect: keep_alive * 3 / 2,
        }
    }
}

/// What was last seen of a connection.
#[derive(Debug)]
pub struct Watch {
    received: u64,
    since: Instant,
    asked: bool,
    suspected: bool,
}

/// What a look at a connection says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Something has come after the device had been taken for quiet.
    pub heard: bool,
    /// It is taken for quiet.
    pub suspect: bool,
    /// Its host is to be asked whether the process is there, and not believed before then.
    pub ask: Option<Instant>,
}

impl Watch {
    /// Of a connection on which so much has come.
    pub const fn new(received: u64, now: Instant) -> Self {
        Self {
            received,
            since: now,
            asked: false,
            suspected: false,
        }
    }

    /// Looks again; `can_ask` where a datagram reaches the process.
    pub fn look(&mut self, silence: &Silence, received: u64, can_ask: bool, now: Instant) -> Look {
        if self.received != received {
            let heard = self.suspected;
            *self = Self::new(received, now);
            return Look {
                heard,
                ..Look::default()
            };
        }
        let silent = now.duration_since(self.since);
        let suspect = silent >= silence.suspect && !self.suspected;
        let ask = can_ask && silent >= silence.asked && !self.asked;
        self.suspected |= suspect;
        self.asked |= ask;
        Look {
            heard: false,
            suspect,
            ask: ask.then(|| self.since + silence.believed),
        }
    }
}

/// Whether the host says that no process has the port, and nothing has come until `believed`. Asks as long as `silent` holds; a question
/// waits as long for its answer as it is told.
///
/// It is not asked to say so again: that a keep-alive was not acknowledged says the same, and a second answer may take a second.
pub async fn nobody_listens<R: Future<Output = bool>>(
    refused: impl Fn(Duration) -> R,
    believed: Instant,
    silent: impl Fn() -> bool,
) -> bool {
    let mut patience = ANSWER;
    for _ in 0..QUESTIONS {
        if !silent() {
            return false;
        }
        let refused = refused(std::mem::replace(&mut patience, AGAIN)).await;
        // Until then nothing is wrong.
        tokio::time::sleep_until(believed.into()).await;
        if refused {
            return silent();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything is over before the idle timeout, and the first question comes before the keep-alive.
    #[test]
    fn the_host_is_asked_before_the_connection_asks() {
        for profile in [Profile::Balanced, Profile::Interactive, Profile::LowPower] {
            let silence = Silence::of(profile);
            let (asked, keep_alive) = (silence.asked, profile.keep_alive());
            assert!(asked + TICK < keep_alive, "{profile:?}: {silence:?}");
            assert!(asked + TICK + ANSWER < silence.believed);
            assert!(keep_alive + ANSWER < silence.believed);
            assert!(silence.believed < silence.suspect);
            assert!(silence.suspect < profile.idle_timeout());
        }
    }

    #[test]
    fn a_silence_is_asked_about_once_and_suspected_once_and_taken_back() {
        let silence = Silence::of(Profile::Balanced);
        let began = Instant::now();
        let mut watch = Watch::new(7, began);
        let quiet = Look::default();
        assert_eq!(watch.look(&silence, 7, true, began), quiet);
        let asked = watch.look(&silence, 7, true, began + silence.asked);
        assert_eq!(asked.ask, Some(began + silence.believed));
        let at = began + silence.suspect;
        let suspect = Look {
            suspect: true,
            ..quiet
        };
        assert_eq!(watch.look(&silence, 7, true, at), suspect);
        assert_eq!(watch.look(&silence, 7, true, at), quiet);
        let heard = Look {
            heard: true,
            ..quiet
        };
        assert_eq!(watch.look(&silence, 8, true, at), heard);
        assert_eq!(watch.look(&silence, 9, true, at), quiet);
        assert_eq!(watch.look(&silence, 9, false, at + silence.asked), quiet);
    }
}
