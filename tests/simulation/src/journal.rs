//! Where a run writes what happens, and where each entry is checked as it comes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
    /// Ends of connections at which something was sent or has come since somebody asked.
    touched: BTreeSet<(u32, usize)>,
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
        match &event {
            Event::Sent(passage, _) => {
                state.touched.insert((passage.link, passage.from));
            }
            Event::Arrived(passage, _) => {
                state.touched.insert((passage.link, 1 - passage.from));
            }
            _ => {}
        }
        let entry = Entry { at, event };
        if state.violation.is_none() {
            state.violation = state.checks.see(&entry).err();
        }
        state.log.push(entry);
    }

    /// The ends of connections at which something was sent or has come since this was asked last.
    pub(crate) fn touched(&self) -> BTreeSet<(u32, usize)> {
        std::mem::take(&mut self.state().touched)
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
