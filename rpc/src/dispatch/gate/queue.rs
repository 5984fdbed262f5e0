//! Who runs next where only so many may run at a time: first come, first served for each caller, and callers in turn.
//! Pure: no clock, no lock, no task.

use std::collections::VecDeque;

/// A request that waits.
#[derive(Clone, Copy, Debug)]
struct Waiter<T> {
    ticket: T,
    chain: u64,
    depth: u8,
    /// What its proxy stands for; decides which of them go when a registration does.
    registration: u64,
}

impl<T> Waiter<T> {
    fn running(&self) -> Running {
        Running {
            chain: self.chain,
            depth: self.depth,
        }
    }
}

/// The requests of one caller that wait, in the order they came. Never empty.
#[derive(Debug)]
struct Line<K, T> {
    caller: K,
    waiters: VecDeque<Waiter<T>>,
}

/// A request that runs, as far as others of its chain depend on it.
#[derive(Clone, Copy, Debug)]
struct Running {
    chain: u64,
    depth: u8,
}

/// A request that a handler inside waits for, and that waits itself: for others of its chain.
#[derive(Clone, Copy, Debug)]
struct Sibling<K, T> {
    caller: K,
    waiter: Waiter<T>,
}

/// The requests of a stub that runs `at_most` at a time.
///
/// What a handler inside waits for cannot wait for that handler's turn to end: it runs *beside* it. Of one chain it does
/// so only when every other one inside comes from less deep in it, so that calls which one handler makes at the same time
/// run one after the other, and no more are beside each other than a chain is deep. This is never for ever: what runs
/// waits only for what is deeper than itself, and what waits here only for what is at least as deep as itself, so that
/// nobody waits, over however many others, for itself.
#[derive(Debug)]
pub(crate) struct TurnQueue<K, T> {
    at_most: usize,
    /// How many may run or wait.
    bound: usize,
    /// Those that have a turn.
    running: Vec<Running>,
    /// Those that run without one.
    beside: Vec<Running>,
    /// In `lines` and `siblings`.
    waiting: usize,
    /// Whose turn is next, and who follows.
    lines: VecDeque<Line<K, T>>,
    /// Those that will run beside others.
    siblings: Vec<Sibling<K, T>>,
}

/// A request, as far as its turn depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<K> {
    pub(crate) caller: K,
    pub(crate) chain: u64,
    /// How deep in the chain it is.
    pub(crate) depth: u8,
    pub(crate) registration: u64,
    /// It comes from where a handler of its chain waits for it.
    pub(crate) nested: bool,
}

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission<T> {
    /// Run, and leave afterwards.
    Run(Turn),
    /// Wait. Somebody else's newest request may have had to go for it.
    Wait { instead_of: Option<T> },
    /// Go away.
    Refused,
}

/// How a request runs; to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// As one of those that may run at a time.
    Own,
    /// Without a turn, because a handler that has one waits for it.
    Beside,
}

impl<K: Copy + Eq, T: Copy + Eq> TurnQueue<K, T> {
    pub(crate) fn new(at_most: usize, bound: usize) -> Self {
        Self {
            at_most,
            bound,
            running: Vec::new(),
            beside: Vec::new(),
            waiting: 0,
            lines: VecDeque::new(),
            siblings: Vec::new(),
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
        let Visit { chain, depth, .. } = visit;
        let belongs = visit.nested && self.is_waited_for(chain, depth);
        if belongs && !self.is_held_up(chain, depth) {
            self.beside.push(Running { chain, depth });
            return Admission::Run(Turn::Beside);
        }
        let full = self.running.len() + self.beside.len() + self.waiting >= self.bound;
        if !full && self.lines.is_empty() && self.running.len() < self.at_most {
            self.running.push(Running { chain, depth });
            return Admission::Run(Turn::Own);
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
            chain,
            depth,
            registration: visit.registration,
        };
        self.waiting += 1;
        if belongs {
            self.siblings.push(Sibling {
                caller: visit.caller,
                waiter,
            });
        } else {
            self.line_up(visit.caller, waiter);
        }
        Admission::Wait { instead_of }
    }

    /// Whether a handler inside may be the one that waits for it.
    fn is_waited_for(&self, chain: u64, depth: u8) -> bool {
        self.inside(chain).any(|running| running.depth < depth)
    }

    /// Whether a request inside has to end first: no handler that waits for this one can be waiting for that one's end.
    fn is_held_up(&self, chain: u64, depth: u8) -> bool {
        self.inside(chain).any(|running| running.depth >= depth)
    }

    fn inside(&self, chain: u64) -> impl Iterator<Item = &Running> {
        let all = self.running.iter().chain(&self.beside);
        all.filter(move |running| running.chain == chain)
    }

    fn line_up(&mut self, caller: K, waiter: Waiter<T>) {
        match self.line_of(caller) {
            Some(line) => self.lines[line].waiters.push_back(waiter),
            None => self.lines.push_back(Line {
                caller,
                waiters: VecDeque::from([waiter]),
            }),
        }
    }

    /// Makes room for a caller at the cost of the longest line, if its own stays shorter than that.
    fn push_out(&mut self, caller: K) -> Option<T> {
        let own = self
            .line_of(caller)
            .map_or(0, |line| self.lines[line].waiters.len());
        let siblings = self.siblings.iter();
        let own = own + siblings.filter(|sibling| sibling.caller == caller).count();
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

    /// A request that ran has ended. [`next`](Self::next) says who runs now.
    pub(crate) fn leave(&mut self, turn: Turn, chain: u64, depth: u8) {
        let inside = match turn {
            Turn::Own => &mut self.running,
            Turn::Beside => &mut self.beside,
        };
        let is_it = |running: &Running| running.chain == chain && running.depth == depth;
        if let Some(index) = inside.iter().position(is_it) {
            inside.swap_remove(index);
        }
        // Those that nobody here waits for any more go where everybody waits.
        let mut at = 0;
        while let Some(Sibling { caller, waiter }) = self.siblings.get(at).copied() {
            if waiter.chain != chain || self.is_waited_for(chain, waiter.depth) {
                at += 1;
                continue;
            }
            self.siblings.remove(at);
            self.line_up(caller, waiter);
        }
    }

    /// A request that runs now; to be asked after [`leave`](Self::leave) until there is none.
    pub(crate) fn next(&mut self) -> Option<(T, Turn)> {
        let may_run = |sibling: &Sibling<K, T>| {
            let Waiter { chain, depth, .. } = sibling.waiter;
            !self.is_held_up(chain, depth)
        };
        if let Some(index) = self.siblings.iter().position(may_run) {
            let Sibling { waiter, .. } = self.siblings.remove(index);
            self.waiting -= 1;
            self.beside.push(waiter.running());
            return Some((waiter.ticket, Turn::Beside));
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
        self.running.push(waiter.running());
        Some((waiter.ticket, Turn::Own))
    }

    /// A request that waits no longer wants to.
    pub(crate) fn cancel(&mut self, caller: K, ticket: T) {
        let waits = |sibling: &Sibling<K, T>| sibling.waiter.ticket == ticket;
        if let Some(index) = self.siblings.iter().position(waits) {
            self.siblings.remove(index);
            self.waiting -= 1;
            return;
        }
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
        let mut stays = |waiter: &Waiter<T>| {
            let goes = registration.is_none_or(|number| waiter.registration == number);
            if goes {
                gone.push(waiter.ticket);
            }
            !goes
        };
        for line in &mut self.lines {
            line.waiters.retain(&mut stays);
        }
        self.siblings.retain(|sibling| stays(&sibling.waiter));
        self.lines.retain(|line| !line.waiters.is_empty());
        self.waiting -= gone.len();
        gone
    }

    fn line_of(&self, caller: K) -> Option<usize> {
        self.lines.iter().position(|line| line.caller == caller)
    }
}
