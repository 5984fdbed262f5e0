//! Who runs next where only so many may run at a time: first come, first served for each caller, and callers in turn.
//! Pure: no clock, no lock, no task.

use std::collections::VecDeque;

/// A request that waits.
#[derive(Clone, Copy, Debug)]
struct Waiter<T> {
    ticket: T,
    chain: u64,
    /// What its proxy stands for; decides which of them go when a registration does.
    registration: u64,
}

/// The requests of one caller that wait, in the order they came. Never empty.
#[derive(Debug)]
struct Line<K, T> {
    caller: K,
    waiters: VecDeque<Waiter<T>>,
}

/// The requests of a stub that runs `at_most` at a time.
#[derive(Debug)]
pub(crate) struct TurnQueue<K, T> {
    at_most: usize,
    /// How many may run or wait.
    bound: usize,
    /// The chains of those that run.
    running: Vec<u64>,
    waiting: usize,
    /// Whose turn is next, and who follows.
    lines: VecDeque<Line<K, T>>,
}

/// A request, as far as its turn depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<K> {
    pub(crate) caller: K,
    pub(crate) chain: u64,
    pub(crate) registration: u64,
    /// It comes from where a handler of its chain waits.
    pub(crate) nested: bool,
}

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission<T> {
    /// Run, and leave afterwards.
    Run,
    /// Run without a turn, because a handler that has one waits for it.
    RunBeside,
    /// Wait. Somebody else's newest request may have had to go for it.
    Wait { instead_of: Option<T> },
    /// Go away.
    Refused,
}

impl<K: Copy + Eq, T: Copy + Eq> TurnQueue<K, T> {
    pub(crate) fn new(at_most: usize, bound: usize) -> Self {
        Self {
            at_most,
            bound,
            running: Vec::new(),
            waiting: 0,
            lines: VecDeque::new(),
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A request has come. Its ticket is asked for if it is to wait.
    pub(crate) fn enter(&mut self, visit: Visit<K>, ticket: impl FnOnce() -> T) -> Admission<T> {
        if visit.nested && self.running.contains(&visit.chain) {
            return Admission::RunBeside;
        }
        let full = self.running.len() + self.waiting >= self.bound;
        if !full && self.waiting == 0 && self.running.len() < self.at_most {
            self.running.push(visit.chain);
            return Admission::Run;
        }
        let instead_of = if full {
            match self.push_out(visit.caller) {
                None => return Admission::Refused,
                gone => gone,
            }
        } else {
            None
        };
        let waiter = Waiter {
            ticket: ticket(),
            chain: visit.chain,
            registration: visit.registration,
        };
        self.waiting += 1;
        match self.line_of(visit.caller) {
            Some(line) => self.lines[line].waiters.push_back(waiter),
            None => self.lines.push_back(Line {
                caller: visit.caller,
                waiters: VecDeque::from([waiter]),
            }),
        }
        Admission::Wait { instead_of }
    }

    /// Makes room for a caller at the cost of the longest line, if its own stays shorter than that.
    fn push_out(&mut self, caller: K) -> Option<T> {
        let own = self
            .line_of(caller)
            .map_or(0, |line| self.lines[line].waiters.len());
        let lengths = self.lines.iter().map(|line| line.waiters.len()).enumerate();
        let (longest, len) = lengths.max_by_key(|(_, len)| *len)?;
        if own + 1 >= len {
            return None;
        }
        // Its newest: what came first keeps its place.
        let gone = self.lines[longest].waiters.pop_back()?;
        self.waiting -= 1;
        Some(gone.ticket)
    }

    /// A request that ran has ended. Returns who runs now.
    pub(crate) fn leave(&mut self, chain: u64) -> Option<T> {
        if let Some(index) = self.running.iter().position(|running| *running == chain) {
            self.running.swap_remove(index);
        }
        if self.running.len() >= self.at_most {
            return None;
        }
        let mut line = self.lines.pop_front()?;
        let waiter = line.waiters.pop_front();
        if !line.waiters.is_empty() {
            self.lines.push_back(line);
        }
        let waiter = waiter?;
        self.waiting -= 1;
        self.running.push(waiter.chain);
        Some(waiter.ticket)
    }

    /// A request that waits no longer wants to.
    pub(crate) fn cancel(&mut self, caller: K, ticket: T) {
        let Some(line) = self.line_of(caller) else {
            return;
        };
        let waiters = &mut self.lines[line].waiters;
        let Some(index) = waiters.iter().position(|waiter| waiter.ticket == ticket) else {
            return;
        };
        waiters.remove(index);
        self.waiting -= 1;
        if waiters.is_empty() {
            self.lines.remove(line);
        }
    }

    /// Takes out every waiter that belongs to a registration, or every one.
    pub(crate) fn drain(&mut self, registration: Option<u64>) -> Vec<T> {
        let mut gone = Vec::new();
        for line in &mut self.lines {
            line.waiters.retain(|waiter| {
                let goes = registration.is_none_or(|number| waiter.registration == number);
                if goes {
                    gone.push(waiter.ticket);
                }
                !goes
            });
        }
        self.lines.retain(|line| !line.waiters.is_empty());
        self.waiting -= gone.len();
        gone
    }

    fn line_of(&self, caller: K) -> Option<usize> {
        self.lines.iter().position(|line| line.caller == caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(caller: char, chain: u64) -> Visit<char> {
        Visit {
            caller,
            chain,
            registration: 0,
            nested: false,
        }
    }

    /// Enters a request that has its chain as its ticket.
    fn enter(queue: &mut TurnQueue<char, u64>, caller: char, chain: u64) -> Admission<u64> {
        queue.enter(visit(caller, chain), || chain)
    }

    const WAIT: Admission<u64> = Admission::Wait { instead_of: None };

    #[test]
    fn one_caller_is_served_in_the_order_it_came() {
        let mut queue = TurnQueue::new(1, 10);
        assert_eq!(enter(&mut queue, 'a', 0), Admission::Run);
        for chain in 1..10 {
            assert_eq!(enter(&mut queue, 'a', chain), WAIT);
        }
        assert_eq!(enter(&mut queue, 'a', 10), Admission::Refused);
        for chain in 0..9 {
            assert_eq!(queue.leave(chain), Some(chain + 1));
        }
        assert_eq!(queue.leave(9), None);
        assert_eq!((queue.running(), queue.waiting()), (0, 0));
    }

    #[test]
    fn callers_take_turns() {
        let mut queue = TurnQueue::new(1, 100);
        assert_eq!(enter(&mut queue, 'f', 0), Admission::Run);
        for chain in 1..50 {
            enter(&mut queue, 'f', chain);
        }
        for chain in 100..103 {
            enter(&mut queue, 'p', chain);
        }
        enter(&mut queue, 'q', 200);
        let mut order = Vec::new();
        let mut running = 0;
        while let Some(next) = queue.leave(running) {
            order.push(next);
            running = next;
        }
        assert_eq!(order[..8], [1, 100, 200, 2, 101, 3, 102, 4]);
        assert_eq!(order.len(), 53);
    }

    #[test]
    fn so_many_run_at_a_time_and_no_more() {
        let mut queue = TurnQueue::new(3, 100);
        for chain in 0..3 {
            assert_eq!(enter(&mut queue, 'a', chain), Admission::Run);
        }
        assert_eq!(enter(&mut queue, 'a', 3), WAIT);
        assert_eq!(queue.leave(1), Some(3));
        assert_eq!(queue.leave(3), None);
        assert_eq!(queue.running(), 2);
    }

    #[test]
    fn a_full_queue_gives_up_the_newest_of_the_longest_line() {
        let mut queue = TurnQueue::new(1, 8);
        enter(&mut queue, 'f', 0);
        for chain in 1..8 {
            assert_eq!(enter(&mut queue, 'f', chain), WAIT);
        }
        assert_eq!(enter(&mut queue, 'f', 8), Admission::Refused);
        for (mine, gone) in [(100, 7), (101, 6), (102, 5)] {
            let instead_of = Some(gone);
            assert_eq!(enter(&mut queue, 'p', mine), Admission::Wait { instead_of });
        }
        // Four and three wait: neither gains by more.
        assert_eq!(enter(&mut queue, 'p', 103), Admission::Refused);
        assert_eq!(enter(&mut queue, 'f', 8), Admission::Refused);
        assert_eq!(queue.waiting(), 7);
    }

    #[test]
    fn what_a_handler_waits_for_runs_beside_it() {
        let mut queue = TurnQueue::new(1, 1);
        enter(&mut queue, 'a', 7);
        let nested = |chain| Visit {
            nested: true,
            ..visit('b', chain)
        };
        assert_eq!(queue.enter(nested(7), || 7), Admission::RunBeside);
        assert_eq!(
            queue.enter(nested(8), || 8),
            Admission::Refused,
            "not of a chain that runs"
        );
        assert_eq!(
            enter(&mut queue, 'b', 7),
            Admission::Refused,
            "not from where it waits"
        );
    }

    #[test]
    fn a_removal_takes_what_waits_for_that_registration() {
        let mut queue = TurnQueue::new(1, 10);
        enter(&mut queue, 'a', 0);
        for chain in 1..5 {
            let registration = chain % 2;
            let visit = Visit {
                registration,
                ..visit('a', chain)
            };
            queue.enter(visit, || chain);
        }
        assert_eq!(queue.drain(Some(1)), [1, 3]);
        queue.cancel('a', 2);
        queue.cancel('a', 2);
        queue.cancel('b', 4);
        assert_eq!(queue.waiting(), 1);
        assert_eq!(queue.drain(None), [4]);
        assert_eq!(queue.leave(0), None);
    }
}
