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
/// What is sent so often in a silence of so long is most likely sent again, because nobody acknowledges it.
const SENT_AGAIN: u64 = 2;
const UNACKNOWLEDGED: Duration = Duration::from_millis(200);

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

/// What has passed on a connection: it grows with what comes, and with what goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// What has come.
    pub received: u64,
    /// What has gone, as far as that is known.
    pub sent: u64,
}

/// What was last seen of a connection.
#[derive(Debug)]
pub struct Watch {
    traffic: Traffic,
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
    /// Its host is to be asked whether the process is there.
    pub ask: Option<Ask>,
}

/// How the host of a silent device is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// It is not believed before then.
    pub believed: Instant,
    /// Whether something is wrong already: then it is asked on and on, and otherwise once until then. The connection sends again and
    /// again what is not acknowledged, and what the host says in answer to that is seen by nobody.
    pub wrong: bool,
}

impl Watch {
    /// Of a connection on which so much has passed.
    pub const fn new(traffic: Traffic, now: Instant) -> Self {
        Self {
            traffic,
            since: now,
            asked: false,
            suspected: false,
        }
    }

    /// Looks again; `can_ask` where a datagram reaches the process.
    pub fn look(
        &mut self,
        silence: &Silence,
        traffic: Traffic,
        can_ask: bool,
        now: Instant,
    ) -> Look {
        if self.traffic.received != traffic.received {
            let heard = self.suspected;
            *self = Self::new(traffic, now);
            return Look {
                heard,
                ..Look::default()
            };
        }
        let silent = now.duration_since(self.since);
        let suspect = silent >= silence.suspect && !self.suspected;
        let sent = traffic.sent.saturating_sub(self.traffic.sent);
        let wrong = silent >= UNACKNOWLEDGED && sent >= SENT_AGAIN;
        let ask = can_ask && (wrong || silent >= silence.asked) && !self.asked;
        self.suspected |= suspect;
        self.asked |= ask;
        Look {
            heard: false,
            suspect,
            ask: ask.then(|| Ask {
                believed: self.since + silence.believed,
                wrong,
            }),
        }
    }
}

/// Whether the host says that no process has the port, and nothing has come until it is believed. Asks as long as `silent` holds; a
/// question waits as long for its answer as it is told.
///
/// It is not asked to say so again: that a keep-alive was not acknowledged says the same, and a second answer may take a second.
pub async fn nobody_listens<R: Future<Output = bool>>(
    refused: impl Fn(Duration) -> R,
    ask: Ask,
    silent: impl Fn() -> bool,
) -> bool {
    let mut patience = ANSWER;
    for _ in 0..QUESTIONS {
        if !silent() {
            return false;
        }
        let refused = refused(std::mem::replace(&mut patience, AGAIN)).await;
        if refused || !ask.wrong {
            tokio::time::sleep_until(ask.believed.into()).await;
        }
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
        let came = |received| Traffic { received, sent: 0 };
        let mut watch = Watch::new(came(7), began);
        let quiet = Look::default();
        assert_eq!(watch.look(&silence, came(7), true, began), quiet);
        let asked = watch.look(&silence, came(7), true, began + silence.asked);
        let believed = began + silence.believed;
        let once = Ask {
            believed,
            wrong: false,
        };
        assert_eq!(asked.ask, Some(once));
        let at = began + silence.suspect;
        let suspect = Look {
            suspect: true,
            ..quiet
        };
        assert_eq!(watch.look(&silence, came(7), true, at), suspect);
        assert_eq!(watch.look(&silence, came(7), true, at), quiet);
        let heard = Look {
            heard: true,
            ..quiet
        };
        assert_eq!(watch.look(&silence, came(8), true, at), heard);
        assert_eq!(watch.look(&silence, came(9), true, at), quiet);
        let later = at + silence.asked;
        assert_eq!(watch.look(&silence, came(9), false, later), quiet);
    }

    #[test]
    fn who_acknowledges_nothing_is_asked_about_at_once() {
        let silence = Silence::of(Profile::Balanced);
        let began = Instant::now();
        let (received, at) = (7, began + UNACKNOWLEDGED);
        let sent = |sent| Traffic { received, sent };
        let mut watch = Watch::new(sent(3), began);
        // A call, or what is sent again a little later, is no sign yet.
        let soon = at - Duration::from_millis(1);
        assert_eq!(watch.look(&silence, sent(9), true, soon), Look::default());
        assert_eq!(watch.look(&silence, sent(4), true, at), Look::default());
        let ask = Ask {
            believed: began + silence.believed,
            wrong: true,
        };
        assert_eq!(watch.look(&silence, sent(5), true, at).ask, Some(ask));
        let later = began + silence.asked;
        assert_eq!(watch.look(&silence, sent(9), true, later).ask, None);
        // Heard since, nothing is wrong.
        let heard = Traffic {
            received: 8,
            sent: 9,
        };
        watch.look(&silence, heard, true, later);
        let at = later + UNACKNOWLEDGED;
        assert_eq!(watch.look(&silence, heard, true, at), Look::default());
    }

    /// How often a host that says nothing is asked before it would be believed.
    async fn asked_before_believed(wrong: bool) -> u32 {
        let asked = std::cell::Cell::new(0);
        let believed = tokio::time::Instant::now().into_std() + Duration::from_secs(1);
        let refused = |patience| {
            asked.set(asked.get() + 1);
            async move {
                tokio::time::sleep(patience).await;
                false
            }
        };
        let silent = || tokio::time::Instant::now() < believed.into();
        assert!(!nobody_listens(refused, Ask { believed, wrong }, silent).await);
        asked.get()
    }

    #[tokio::test(start_paused = true)]
    async fn while_something_is_wrong_it_is_asked_on_and_on() {
        assert_eq!(asked_before_believed(false).await, 1);
        assert!(asked_before_believed(true).await > 30);
    }
}
