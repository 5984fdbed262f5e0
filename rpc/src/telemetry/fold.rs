//! Log lines that a peer could make us write without end are written a few at a time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many lines of one kind are written in a window.
const BURST: u32 = 10;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);

/// One window for each kind of line.
#[derive(Debug)]
pub(crate) struct Fold {
    windows: Mutex<[Window; Line::COUNT]>,
}

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A call of the peer's that we refused, by its status.
    Refused(super::CallStatus),
    /// A call of ours that failed.
    Failed(super::CallStatus),
    SlowHandler,
    StuckHandler,
    SlowCall,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Option<Instant>,
    written: u32,
    folded: u64,
}

impl Line {
    const STATUSES: usize = super::CallStatus::COUNT;
    const COUNT: usize = 2 * Self::STATUSES + 3;

    const fn index(self) -> usize {
        match self {
            Self::Refused(status) => status as usize,
            Self::Failed(status) => Self::STATUSES + status as usize,
            Self::SlowHandler => 2 * Self::STATUSES,
            Self::StuckHandler => 2 * Self::STATUSES + 1,
            Self::SlowCall => 2 * Self::STATUSES + 2,
        }
    }
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            windows: Mutex::new([Window::default(); Line::COUNT]),
        }
    }
}

impl Fold {
    /// Whether a line may be written now, and how many like it have been left out since the last one.
    pub(crate) fn admit(&self, line: Line, now: Instant) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = &mut windows[line.index()];
        let over = window
            .began
            .is_none_or(|began| now.saturating_duration_since(began) >= WINDOW);
        if over {
            window.began = Some(now);
            window.written = 0;
        }
        if window.written >= BURST {
            window.folded += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.folded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::CallStatus;

    #[test]
    fn lines_beyond_a_burst_are_counted_and_told_with_the_next() {
        let fold = Fold::default();
        let line = Line::Refused(CallStatus::Busy);
        let start = crate::peer::now();
        for _ in 0..BURST {
            assert_eq!(fold.admit(line, start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(fold.admit(line, start), None);
        }
        assert_eq!(fold.admit(Line::Failed(CallStatus::Busy), start), Some(0));
        assert_eq!(fold.admit(line, start + WINDOW), Some(7));
        assert_eq!(fold.admit(line, start + WINDOW), Some(0));
    }

    #[test]
    fn every_kind_of_line_has_a_window_of_its_own() {
        let mut seen = [false; Line::COUNT];
        let slow = [Line::SlowHandler, Line::StuckHandler, Line::SlowCall];
        let by_status = CallStatus::ALL
            .iter()
            .flat_map(|status| [Line::Refused(*status), Line::Failed(*status)]);
        for line in by_status.chain(slow) {
            assert!(
                !std::mem::replace(&mut seen[line.index()], true),
                "{line:?}"
            );
        }
        assert!(seen.iter().all(|seen| *seen));
    }
}
