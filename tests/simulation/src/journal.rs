//! Where a run writes what happens, and where each entry is checked as it comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    checks::{Checks, Violation},
    log::{Entry, Event},
    simulation::Calendar,
};

/// The log of a run and what the checks say of it.
#[derive(Debug)]
pub(crate) struct Journal {
    calendar: Arc<Calendar>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Entry>,
    checks: Checks,
    violation: Option<Violation>,
}

impl Journal {
    /// An empty one.
    pub(crate) fn new(calendar: Arc<Calendar>) -> Arc<Self> {
        Arc::new(Self {
            calendar,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has happened. After the first violation nothing is checked any more, but still written down.
    pub(crate) fn record(&self, event: Event) {
        let at = self.calendar.now();
        let mut state = self.state();
        let entry = Entry { at, event };
        if state.violation.is_none() {
            state.violation = state.checks.see(&entry).err();
        }
        state.log.push(entry);
    }

    /// Whether a rule was broken.
    pub(crate) fn is_violated(&self) -> bool {
        self.state().violation.is_some()
    }

    /// What was written, and what was broken first.
    pub(crate) fn close(&self) -> (Vec<Entry>, Option<Violation>) {
        let state = std::mem::take(&mut *self.state());
        (state.log, state.violation)
    }
}
