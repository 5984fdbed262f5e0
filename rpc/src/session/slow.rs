//! What takes long. Each call leaves the time at which it began in its table. While there are calls, somebody looks at
//! the tables now and then: what does not end is told then, and only what may be slow has to look at the clock when it
//! ends.

use std::time::{Duration, Instant};

use proto::{CallId, ServiceId};

use super::{Session, event::Event};
use crate::telemetry::SlowThresholds;

/// Something that has taken long and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// A handler of ours is stuck.
    Handler {
        /// Which method.
        code: u32,
        /// Which service, if it is one.
        service: Option<ServiceId>,
        /// How long it has run.
        running: Duration,
    },
    /// A call of ours waits.
    Call {
        /// Which method.
        code: u32,
        /// How long it has waited.
        waited: Duration,
    },
}

/// What was seen of a call when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slowness {
    No,
    /// It will be slow by the next look, unless it ends before.
    Suspect,
    /// That it is slow has been told.
    Told,
}

/// A handler that has ended and may have been slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// When it was handed out.
    pub since: Instant,
    /// [`Slow::Handler`] has been said of it.
    pub was_stuck: bool,
}

/// When to look at the tables again.
#[derive(Debug, Default)]
pub(super) struct SlowWatch {
    thresholds: SlowThresholds,
    next: Option<Instant>,
}

impl SlowWatch {
    /// Something has begun: look once it may be slow.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.next.is_none() {
            self.next = Some(now + self.pause());
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// A quarter of the shortest time that matters.
    fn pause(&self) -> Duration {
        let SlowThresholds {
            handler,
            stuck,
            call,
        } = self.thresholds;
        (handler.min(stuck).min(call) / 4).max(Duration::from_millis(1))
    }
}

impl Session {
    /// From when on something is slow.
    pub fn set_slow_thresholds(&mut self, thresholds: SlowThresholds) {
        self.watch.thresholds = thresholds;
    }

    /// Which method a call of ours that has ended called, and since when it waited, if that may be long and was not
    /// told.
    pub fn slow_call(&mut self, id: CallId) -> Option<(u32, Instant)> {
        self.calls.suspect(id)
    }

    /// Looks for what takes long, if it is time to.
    pub(super) fn find_slow(&mut self, now: Instant) {
        if self.watch.next.is_none_or(|next| next > now) {
            return;
        }
        let SlowThresholds {
            handler,
            stuck,
            call,
        } = self.watch.thresholds;
        let pause = self.watch.pause();
        let Self {
            calls,
            serving,
            events,
            exports,
            watch,
            ..
        } = self;
        calls.find_slow(now, call.saturating_sub(pause), call, |code, waited| {
            events.push_back(Event::Slow(Slow::Call { code, waited }));
        });
        serving.find_slow(
            now,
            handler.saturating_sub(pause),
            stuck,
            |export, code, running| {
                let export = exports.find_mut(export);
                let service = export.and_then(|export| export.object.registration());
                events.push_back(Event::Slow(Slow::Handler {
                    code,
                    service,
                    running,
                }));
            },
        );
        let quiet = calls.open() == 0 && serving.len() == 0;
        watch.next = (!quiet).then(|| now + pause);
    }
}
