//! Calls counted at both ends, so that one that is lost silently, or done twice, is seen: for devices of any world what
//! [`ledger`](crate::ledger) is for processes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use softbus::{DeviceId, RemoteObject};
use tokio::{sync::watch, task::JoinSet};

use super::super::{
    SERVICE, SOON,
    workbench::{Bench, call, code, parcel},
};
use crate::{ledger::End, world::Device};

/// Calls at a time.
const WORKERS: i32 = 4;
/// From one call to the next, so that time passes where it is virtual.
const PAUSE: Duration = Duration::from_millis(1);
/// How many more calls show that it goes on.
const MORE: usize = 40;

type Told = Vec<(i32, End)>;

/// Calls of one device to the workbench of another, one after the other without end.
#[derive(Debug)]
pub struct Tally {
    bench: Arc<Bench>,
    stop: watch::Sender<bool>,
    at_work: JoinSet<Told>,
}

/// How the calls ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Done once, and the caller knows.
    pub answered: usize,
    /// The caller knows that he does not know; done once at most.
    pub unknown: usize,
    /// The caller knows that it was not done.
    pub not_done: usize,
}

impl Tally {
    /// Begins, with the workbench of a device that nobody else calls.
    pub fn start(caller: &Arc<dyn Device>, callee: DeviceId, bench: &Arc<Bench>) -> Self {
        let stop = watch::Sender::new(false);
        let mut at_work = JoinSet::new();
        for first in 0..WORKERS {
            at_work.spawn(work(Arc::clone(caller), callee, first, stop.subscribe()));
        }
        Self {
            bench: Arc::clone(bench),
            stop,
            at_work,
        }
    }

    /// Waits until more calls have been done.
    pub async fn goes_on(&self) {
        self.has_done(MORE).await;
    }

    /// Waits until so many more have.
    pub async fn has_done(&self, more: usize) {
        let enough = self.bench.notes.borrow().len() + more;
        let mut notes = self.bench.notes.subscribe();
        let done = tokio::time::timeout(SOON, notes.wait_for(|notes| notes.len() >= enough));
        let done = done.await.map(drop);
        let now = self.bench.notes.borrow().len();
        assert!(done.is_ok(), "{now} calls are done, and not {enough}");
    }

    /// Begins no more calls, waits for those under way, and compares what the caller was told with what was done.
    ///
    /// # Panics
    /// When it is not the same.
    pub async fn rest(mut self) -> Totals {
        self.stop.send_replace(true);
        let mut told = HashMap::new();
        while let Some(of_one) = self.at_work.join_next().await {
            told.extend(of_one.unwrap());
        }
        let notes = self.bench.notes.borrow().clone();
        let totals = judge(&told, &notes);
        println!("{totals:?}");
        totals
    }
}

/// Calls the numbers from `first` on that are its own.
async fn work(
    caller: Arc<dyn Device>,
    callee: DeviceId,
    first: i32,
    mut stop: watch::Receiver<bool>,
) -> Told {
    let mut told = Vec::new();
    let mut proxy: Option<RemoteObject> = None;
    let mut numbers = (first..).step_by(WORKERS as usize);
    while !*stop.borrow() {
        if proxy.is_none() {
            proxy = caller.get(SERVICE, &callee).await.ok();
        }
        if let Some(object) = &proxy
            && let Some(number) = numbers.next()
        {
            let note = parcel(|data| data.write_i32(number));
            let end = End::of(&call(object, code::NOTE, &note).await);
            told.push((number, end));
            if end != End::Answered {
                proxy = None;
            }
        }
        let _ = tokio::time::timeout(PAUSE, stop.changed()).await;
    }
    told
}

fn judge(told: &HashMap<i32, End>, notes: &[i32]) -> Totals {
    let mut times: HashMap<i32, usize> = HashMap::new();
    for note in notes {
        assert!(told.contains_key(note), "{note}: nobody asked for it");
        *times.entry(*note).or_default() += 1;
    }
    let mut totals = Totals::default();
    for (number, end) in told {
        let count = match (end, times.get(number).copied().unwrap_or_default()) {
            (End::Answered, 1) => &mut totals.answered,
            (End::Unknown, 0 | 1) => &mut totals.unknown,
            (End::NotDone, 0) => &mut totals.not_done,
            (end, times) => panic!("call {number}: {end:?}, and done {times} times"),
        };
        *count += 1;
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_what_was_done() {
        let told = [
            (1, End::Answered),
            (2, End::Unknown),
            (3, End::Unknown),
            (4, End::NotDone),
        ];
        let totals = Totals {
            answered: 1,
            unknown: 2,
            not_done: 1,
        };
        assert_eq!(judge(&told.into(), &[1, 3]), totals);
    }

    #[test]
    fn each_fault_is_found() {
        for (end, notes) in [
            (End::Answered, &[][..]),
            (End::Answered, &[1, 1]),
            (End::Unknown, &[1, 1]),
            (End::NotDone, &[1]),
            (End::Wrong, &[]),
            (End::Answered, &[1, 2]),
        ] {
            let told = [(1, end)].into();
            let judged = std::panic::catch_unwind(|| judge(&told, notes));
            assert!(judged.is_err(), "{end:?}, {notes:?}");
        }
    }
}
