//! A run: devices on a network, what a seed has them do, and what a seed does to them.

mod faults;
mod panics;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use proto::message::PeerLimits;
use rpc::limits;

use crate::{
    agenda::Agenda,
    application::{Application, Script},
    carrier::Carrier,
    checks::Violation,
    journal::Journal,
    log::{Entry, Event, Place},
    network::{Network, TICK, Transfer, Weather},
    node::Node,
    quic::QuicNetwork,
    random::Random,
};
pub(crate) use panics::Planned;

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Due {
    /// The network has something to do.
    Network(Transfer),
    /// An application does something.
    Act,
    /// Something is broken.
    Fault,
    /// A direction is mended.
    Heal(u8, u8),
    /// A device is started again.
    Restart(u8),
    /// A device hears of another one.
    Heard(u8, u8),
    /// A device looks how long it has heard nothing of others.
    Look(u8),
    /// A device that took leave is gone.
    Gone(u8),
    /// A device that stood still goes on.
    GoOn(u8),
    /// A device trusts another one again.
    Trust(u8, u8),
}

/// What will happen, and when.
pub(crate) type Calendar = Agenda<Due>;

/// What one run was like.
#[derive(Debug)]
pub struct Run {
    /// What decided it.
    pub seed: u64,
    /// What happened.
    pub log: Vec<Entry>,
    /// The rule that was broken first, if one was.
    pub violation: Option<Violation>,
}

impl Run {
    /// A number that two runs have in common whose logs are the same, in whatever process they were made.
    pub fn hash(&self) -> u64 {
        // FNV-1a, over what a person would read: written here, so that it is the same with every version of the library.
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let lines = self.log.iter().map(|entry| format!("{entry:?}"));
        let seed = self.seed.to_le_bytes();
        let bytes = lines.flat_map(String::into_bytes);
        seed.into_iter()
            .chain(bytes)
            .fold(0xcbf2_9ce4_8422_2325, fnv)
    }
}

/// Runs a seed twice.
///
/// # Errors
/// Where the two logs part: the number of the first entry that differs.
pub fn run_twice(seed: u64, below: Below) -> Result<Run, usize> {
    let (one, other) = (run(seed, below), run(seed, below));
    let mut pairs = one.log.iter().zip(&other.log);
    match pairs.position(|(one, other)| one != other) {
        Some(parts) => Err(parts),
        None if one.log.len() != other.log.len() => Err(one.log.len().min(other.log.len())),
        None => Ok(one),
    }
}

/// What a seed says of a run as a whole.
#[derive(Clone, Debug)]
struct Setting {
    devices: u8,
    lanes: u16,
    weather: Weather,
    steps: u64,
    /// The longest time between two steps, in milliseconds.
    pace: u64,
    faults: u64,
    limits: PeerLimits,
}

impl Setting {
    fn draw(random: &mut Random) -> Self {
        let latency = match random.below(4) {
            0 => 1..=2,
            1 => 1..=20,
            2 => 5..=80,
            _ => 20..=400,
        };
        let loss = [0, 0, 1, 5, 20][random.below(5) as usize];
        let mut limits = limits::DEFAULT_PEER_LIMITS;
        if random.percent(50) {
            limits.one_way_calls = 1 + random.below(8) as u32;
            limits.bulk_streams = 1 + random.below(3) as u32;
        }
        Self {
            devices: 2 + random.below(4) as u8,
            lanes: 1 + random.below(8) as u16,
            weather: Weather { latency, loss },
            steps: 60 + random.below(200),
            pace: [5, 50, 400][random.below(3) as usize],
            faults: if random.percent(30) {
                0
            } else {
                1 + random.below(8)
            },
            limits,
        }
    }
}

/// What all devices of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    calendar: Arc<Calendar>,
    /// Where everything is written down.
    pub(crate) journal: Arc<Journal>,
    /// What joins the devices.
    pub(crate) network: Arc<dyn Carrier>,
    /// How many devices there are.
    pub(crate) devices: u8,
    /// What each holds for another.
    pub(crate) limits: PeerLimits,
    numbers: AtomicU32,
    /// Who does not trust whom.
    distrusted: Mutex<BTreeSet<(u8, u8)>>,
    scripts: Mutex<BTreeMap<u32, Script>>,
    returned: Mutex<BTreeMap<u32, (u32, Option<u32>)>>,
    services: Mutex<BTreeMap<(u8, u32), Vec<Standing>>>,
}

/// What stands, or stood, under an id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Which registration.
    pub(crate) registration: u32,
    /// Of which stub.
    pub(crate) object: u32,
    /// Until when.
    pub(crate) until: Option<u64>,
}

impl Standing {
    /// It stands there no longer. Returns it, if it did.
    pub(crate) fn end(&mut self, now: u64) -> Option<u32> {
        let stood = self.until.is_none();
        self.until.get_or_insert(now);
        stood.then_some(self.registration)
    }
}

impl Shared {
    /// A number that nothing else of this run has.
    pub(crate) fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.calendar.now()
    }

    /// Who does not trust whom.
    pub(crate) fn distrusted(&self) -> MutexGuard<'_, BTreeSet<(u8, u8)>> {
        let distrusted = self.distrusted.lock();
        distrusted.unwrap_or_else(PoisonError::into_inner)
    }

    /// What the handlers of calls are to do.
    pub(crate) fn scripts(&self) -> MutexGuard<'_, BTreeMap<u32, Script>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the replies of calls carry.
    pub(crate) fn returned(&self) -> MutexGuard<'_, BTreeMap<u32, (u32, Option<u32>)>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands under each id of each device.
    pub(crate) fn services(&self) -> MutexGuard<'_, BTreeMap<(u8, u32), Vec<Standing>>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registrations, and their stubs, that stood under an id of a device since then.
    pub(crate) fn standing(&self, device: u8, service: u32, since: u64) -> Vec<(u32, u32)> {
        let services = self.services();
        let standing = services.get(&(device, service)).into_iter().flatten();
        standing
            .filter(|one| one.until.is_none_or(|until| until >= since))
            .map(|one| (one.registration, one.object))
            .collect()
    }
}

/// What is below the sessions of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// A network of frames, which are in the log.
    Frames,
    /// QUIC, over a network of datagrams. The log has what applications and sessions see.
    Quic,
}

/// Runs a seed, on a runtime and a clock of its own.
pub fn run(seed: u64, below: Below) -> Run {
    let panics = panics::watch();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread asks nothing of the system");
    let (log, violation) = runtime.block_on(async {
        let mut simulation = Simulation::new(seed, below);
        simulation.go().await;
        simulation.end(panics).await
    });
    Run {
        seed,
        log,
        violation,
    }
}

/// How long what is under way may take to end, in milliseconds: queues of slow handlers, deadlines, a silent peer.
const PATIENCE: u64 = 300_000;
/// How long what nobody holds may take to go: a token that nobody redeems lives 30 s.
const TO_LET_GO: u64 = 60_000;
/// How long sessions may take to end.
const TO_LEAVE: u64 = 15_000;

/// How long discovery takes.
const TO_BE_HEARD: u64 = 1000;

struct Simulation {
    random: Random,
    setting: Setting,
    shared: Arc<Shared>,
    applications: BTreeMap<u8, Arc<Application>>,
    /// Those that take leave.
    leaving: BTreeMap<u8, Arc<Application>>,
    starts: u64,
    steps: u64,
    faults: u64,
    /// When it was last looked at what sessions hold.
    looked: u64,
}

impl Simulation {
    fn new(seed: u64, below: Below) -> Self {
        let mut random = Random::new(seed);
        let setting = Setting::draw(&mut random);
        let calendar = Arc::new(Calendar::new());
        let journal = Journal::new(Arc::clone(&calendar));
        let weather = setting.weather.clone();
        let (chance, at, told) = (random.fork(), Arc::clone(&calendar), Arc::clone(&journal));
        let network: Arc<dyn Carrier> = match below {
            Below::Frames => Network::new(chance, weather, at, told),
            Below::Quic => QuicNetwork::new(chance, weather, at, told),
        };
        let shared = Arc::new(Shared {
            calendar,
            journal,
            network,
            devices: setting.devices,
            limits: setting.limits,
            numbers: AtomicU32::new(1),
            distrusted: Mutex::default(),
            scripts: Mutex::default(),
            returned: Mutex::default(),
            services: Mutex::default(),
        });
        Self {
            random,
            setting,
            shared,
            applications: BTreeMap::new(),
            leaving: BTreeMap::new(),
            starts: 0,
            steps: 0,
            faults: 0,
            looked: 0,
        }
    }

    fn start(&mut self, device: u8) {
        self.starts += 1;
        let place = Place {
            device,
            start: self.starts,
        };
        let chance = self.random.fork();
        let node = Node::start(&self.shared, place, self.setting.lanes, chance);
        let application = Application::start(node, &mut self.random);
        self.applications.insert(device, application);
        for other in (0..self.setting.devices).filter(|other| *other != device) {
            self.soon(TO_BE_HEARD, Due::Heard(device, other));
            self.soon(TO_BE_HEARD, Due::Heard(other, device));
        }
    }

    fn soon(&mut self, within: u64, due: Due) {
        let at = self.shared.now() + 1 + self.random.below(within);
        let tie = self.random.next();
        self.shared.calendar.add(at, tie, due);
    }

    /// From the first start to the last step, and until what that left has ended.
    async fn go(&mut self) {
        for device in 0..self.setting.devices {
            self.start(device);
        }
        self.soon(1, Due::Act);
        if self.setting.faults > 0 {
            self.soon(self.setting.pace * 20, Due::Fault);
        }
        while self.steps < self.setting.steps && !self.shared.journal.is_violated() {
            let far = self.shared.now() + PATIENCE;
            match self.shared.calendar.next(far).await {
                Some(due) => self.perform(due),
                None => break,
            }
        }
        self.mend();
        self.wait(PATIENCE).await;
    }

    /// What sessions hold that have sent or got something, at a moment when nobody works any more.
    fn look_at_usage(&self) {
        for (link, end) in self.shared.journal.touched() {
            let device = self.shared.network.devices(link)[end];
            let application = self.applications.get(&device);
            let usage = application.and_then(|application| application.node.usage(link));
            if let Some(usage) = usage {
                let quiet = self.shared.network.is_quiet(link);
                self.shared.journal.record(Event::Usage {
                    link,
                    end,
                    quiet,
                    usage,
                });
            }
        }
    }

    fn perform(&mut self, due: Due) {
        let now = self.shared.now();
        if std::mem::replace(&mut self.looked, now) != now {
            self.look_at_usage();
        }
        match due {
            Due::Network(transfer) => {
                for link in self.shared.network.perform(transfer) {
                    self.answer(link);
                }
            }
            Due::Act => {
                if self.steps < self.setting.steps {
                    self.act();
                }
            }
            Due::Fault => {
                if self.steps < self.setting.steps && self.faults < self.setting.faults {
                    self.faults += 1;
                    self.fault();
                    self.soon(self.setting.pace * 40, Due::Fault);
                }
            }
            Due::Heal(from, to) => self.shared.network.heal(from, to),
            Due::Restart(device) => self.start(device),
            Due::Heard(by, of) => {
                if let Some(application) = self.applications.get(&by) {
                    application.node.candidate(of);
                }
            }
            Due::Look(device) => self.look(device),
            Due::Gone(device) => self.gone(device),
            Due::GoOn(device) => self.shared.network.go_on(device),
            Due::Trust(by, of) => self.trust(by, of),
        }
    }

    fn look(&self, device: u8) {
        let application = self.applications.get(&device);
        let silent = application.is_some_and(|application| application.node.look());
        if silent {
            let at = self.shared.now() + TICK;
            self.shared.calendar.add(at, 0, Due::Look(device));
        } else {
            self.shared.network.looked(device);
        }
    }

    /// A device that is there answers who dials it.
    fn answer(&mut self, link: u32) {
        let [from, to] = self.shared.network.devices(link);
        let Some(application) = self.applications.get(&to) else {
            return;
        };
        let node = Arc::clone(&application.node);
        let Some(end) = self.shared.network.answer(link, node.place) else {
            return;
        };
        let this = Arc::clone(&node);
        node.spawn(async move { this.answer(end, from).await });
    }

    fn act(&mut self) {
        self.steps += 1;
        let held = self.shared.network.held();
        let applications = self.applications.iter();
        let applications: Vec<_> = applications
            .filter(|(device, _)| !held.contains(device))
            .map(|(_, application)| Arc::clone(application))
            .collect();
        let chosen = self.random.below(applications.len() as u64) as usize;
        if let Some(application) = applications.get(chosen) {
            application.act(&mut self.random, self.setting.devices);
        }
        self.soon(self.setting.pace, Due::Act);
    }

    /// Lets so many milliseconds pass.
    async fn wait(&mut self, ms: u64) {
        let until = self.shared.now() + ms;
        while !self.shared.journal.is_violated() {
            match self.shared.calendar.next(until).await {
                Some(due) => self.perform(due),
                None => return,
            }
        }
    }

    /// Everybody lets go of everything, and goes.
    async fn end(mut self, panics: panics::Watched) -> (Vec<Entry>, Option<Violation>) {
        for application in self.applications.values() {
            application.node.tell_who_is_online();
            application.tell_what_remains();
            application.let_go();
        }
        self.wait(TO_LET_GO).await;
        for application in self.applications.values() {
            for (with, peer) in application.node.peers() {
                let (at, usage) = (application.node.place, peer.usage());
                let event = Event::Holds { at, with, usage };
                application.node.record(event);
            }
        }
        for (_, application) in std::mem::take(&mut self.applications) {
            application.stop();
            application.node.crash();
            self.shared.network.crash(application.node.place, false);
        }
        self.wait(TO_LEAVE).await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let panics = panics.end();
        self.shared.journal.record(Event::Over { tasks, panics });
        self.shared.journal.close()
    }
}
