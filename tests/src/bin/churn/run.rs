//! A run: faults, and what has to hold afterwards.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use softbus::transport::Transports;
use testkit::{
    ledger::audit,
    site::{Node, SOON, Site},
    wait::{wait_for, wait_until},
};

/// How soon everybody is online to everybody again.
const AGAIN: Duration = Duration::from_secs(60);
/// Two calls at a time of each device, and a tenth of a second between one and the next.
const WORK: &str = "work 2 100";
/// How often progress is said.
const SAID: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

struct Options {
    devices: usize,
    minutes: f64,
    seed: u64,
    transports: Transports,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self {
            devices: 25,
            minutes: 10.0,
            seed: u64::from(std::process::id()),
            transports: Transports::All,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} what?"))?;
            match (name.as_str(), value.as_str()) {
                ("--devices", value) => options.devices = value.parse()?,
                ("--minutes", value) => options.minutes = value.parse()?,
                ("--seed", value) => options.seed = value.parse()?,
                ("--transport", "all") => options.transports = Transports::All,
                ("--transport", "quic") => options.transports = Transports::Quic,
                ("--transport", "tcp") => options.transports = Transports::Tcp,
                _ => return Err(format!("no such option: {name} {value}").into()),
            }
        }
        match options.devices {
            2..=100 => Ok(options),
            other => Err(format!("2 to 100 devices, and not {other}").into()),
        }
    }
}

const USAGE: &str = "churn [--devices N] [--minutes N] [--seed N] [--transport all|quic|tcp]\n\
    all: QUIC, and TCP in reserve, as nodes do that were told nothing (the default); quic, tcp: only that";

pub(crate) fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(faults) if faults.is_empty() => {
            println!("all holds");
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            faults.iter().for_each(|fault| println!("BROKEN: {fault}"));
            println!("{} do not hold, seed {}", faults.len(), options.seed);
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("no result: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Vec<String>, Failure> {
    let program = std::env::current_exe()?.with_file_name("lab_node");
    let site = Site::or_skip(program, options.devices).ok_or("there can be no lab here")?;
    println!(
        "{} devices, {} minutes, {:?}, seed {}",
        options.devices, options.minutes, options.transports, options.seed
    );
    let mut churn = Churn {
        nodes: (1..=options.devices).map(|_| None).collect(),
        site: site.over(options.transports),
        dice: Dice(options.seed),
        under_way: BTreeMap::new(),
        begun: Instant::now(),
        counts: BTreeMap::new(),
        addresses: 0,
        broken: Vec::new(),
    };
    for place in 1..=options.devices {
        churn.start(place);
    }
    churn.say("all are started");
    churn.all_are_online();
    for place in 1..=options.devices {
        churn.node(place).process.send_line(WORK)?;
    }
    churn.faults(Duration::from_secs_f64(options.minutes * 60.0))?;
    churn.say(&format!("faults are over: {:?}", churn.counts));
    churn.all_are_online();
    churn.rest()?;
    churn.nothing_is_held()?;
    churn.audit()?;
    Ok(churn.broken)
}

/// Numbers that a seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn milliseconds(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.below(to - from)) as u64)
    }
}

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Killed,
    PowerLost,
    Left,
    Asleep,
    Cut,
    Muted,
    LinkDown,
    Moved,
    /// A share of all packets, of all devices, is lost.
    Loss,
}

const OF_A_DEVICE: [Fault; 8] = [
    Fault::Killed,
    Fault::PowerLost,
    Fault::Left,
    Fault::Asleep,
    Fault::Cut,
    Fault::Muted,
    Fault::LinkDown,
    Fault::Moved,
];

struct Churn {
    site: Site,
    /// Those that run, the first at place 1.
    nodes: Vec<Option<Node>>,
    dice: Dice,
    /// By place; 0 for all.
    under_way: BTreeMap<usize, (Fault, Instant)>,
    begun: Instant,
    counts: BTreeMap<Fault, usize>,
    addresses: usize,
    broken: Vec<String>,
}

impl Churn {
    fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    fn start(&mut self, place: usize) {
        self.nodes[place - 1] = Some(self.site.start(place));
    }

    fn node(&mut self, place: usize) -> &mut Node {
        let node = self.nodes[place - 1].as_mut();
        node.expect("it is asked of those that run")
    }

    fn places(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.nodes.len()
    }

    /// Faults for so long, each with an end; at most a fifth of the devices has one at a time.
    fn faults(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        let mut next = Instant::now();
        let mut said = Instant::now();
        while Instant::now() < until {
            if Instant::now() >= next {
                if self.under_way.len() < self.nodes.len().div_ceil(5) {
                    self.one_more()?;
                }
                next = Instant::now() + self.dice.milliseconds(200, 2000);
            }
            self.end_those_due(|due| due <= Instant::now())?;
            if said.elapsed() >= SAID {
                said = Instant::now();
                let done: usize = self.counts.values().sum();
                self.say(&format!("{done} faults, now {:?}", self.under_way_now()));
            }
            let dues = self.under_way.values().map(|(_, due)| *due);
            let soonest = dues.chain([next, until]).min().unwrap_or(until);
            self.look_until(soonest);
        }
        self.end_those_due(|_| true)
    }

    fn under_way_now(&self) -> Vec<(usize, Fault)> {
        let under_way = self.under_way.iter();
        under_way
            .map(|(place, (fault, _))| (*place, *fault))
            .collect()
    }

    /// Passes the time by looking whether a program has ended that nobody ended.
    fn look_until(&mut self, due: Instant) {
        let pause = due.saturating_duration_since(Instant::now());
        let mut ended = None;
        let _ = wait_until(pause, || {
            let mut nodes = self.nodes.iter_mut().enumerate();
            ended = nodes.find_map(|(index, node)| {
                let status = node.as_mut()?.process.wait(Duration::ZERO).ok()?;
                Some((index + 1, status))
            });
            ended.is_some()
        });
        if let Some((place, status)) = ended {
            self.broken
                .push(format!("device {place} ended by itself: {status}"));
            self.say("a program has ended by itself");
            self.nodes[place - 1] = None;
            self.start_again(place);
        }
    }

    fn start_again(&mut self, place: usize) {
        self.start(place);
        let told = self.node(place).process.send_line(WORK);
        told.expect("a program that is ready reads");
    }

    fn one_more(&mut self) -> Result<(), Failure> {
        let place = self.dice.below(self.nodes.len() + 1);
        if self.under_way.contains_key(&place) {
            return Ok(());
        }
        let fault = match place {
            0 => Fault::Loss,
            _ => OF_A_DEVICE[self.dice.below(OF_A_DEVICE.len())],
        };
        // Some are over before anybody notices.
        let lasts = match self.dice.below(3) {
            0 => self.dice.milliseconds(100, 2000),
            _ => self.dice.milliseconds(2000, 15_000),
        };
        self.begin(place, fault)?;
        *self.counts.entry(fault).or_default() += 1;
        if fault != Fault::Moved {
            self.under_way
                .insert(place, (fault, Instant::now() + lasts));
        }
        Ok(())
    }

    fn begin(&mut self, place: usize, fault: Fault) -> Result<(), Failure> {
        match fault {
            Fault::Killed => self.kill(place)?,
            Fault::PowerLost => {
                self.site.lab.power_off(place)?;
                self.kill(place)?;
            }
            Fault::Left => {
                let mut node = self.nodes[place - 1].take().ok_or("it runs")?;
                node.process.send_line("leave")?;
                node.process.wait(SOON)?;
            }
            Fault::Asleep => self.node(place).process.suspend()?,
            Fault::Cut => self.site.lab.cut(place)?,
            Fault::Muted => self.site.lab.mute(place, true)?,
            Fault::LinkDown => self.site.lab.link_down(place)?,
            Fault::Moved => {
                self.addresses = (self.addresses + 1) % 150;
                let address = Ipv4Addr::new(10, 77, 0, 101 + self.addresses as u8);
                self.site.lab.change_address(place, address)?;
            }
            Fault::Loss => {
                let percent = 1 + self.dice.below(20) as u8;
                self.site.lab.drop_percent(percent)?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, place: usize) -> Result<(), Failure> {
        let mut node = self.nodes[place - 1].take().ok_or("it runs")?;
        node.process.kill()?;
        Ok(())
    }

    fn end_those_due(&mut self, is_due: impl Fn(Instant) -> bool) -> Result<(), Failure> {
        let due = self.under_way.iter().filter(|(_, (_, due))| is_due(*due));
        let due: Vec<_> = due.map(|(place, (fault, _))| (*place, *fault)).collect();
        for (place, fault) in due {
            self.under_way.remove(&place);
            match fault {
                Fault::Killed | Fault::Left => self.start_again(place),
                Fault::PowerLost => {
                    self.site.lab.power_on(place)?;
                    self.start_again(place);
                }
                Fault::Asleep => self.node(place).process.resume()?,
                Fault::Cut => self.site.lab.heal(place)?,
                Fault::Muted => self.site.lab.mute(place, false)?,
                Fault::LinkDown => self.site.lab.link_up(place)?,
                Fault::Moved => {}
                Fault::Loss => self.site.lab.drop_percent(0)?,
            }
        }
        Ok(())
    }

    fn all_are_online(&mut self) {
        let others = self.nodes.len() - 1;
        let begun = Instant::now();
        let before = self.broken.len();
        for place in self.places() {
            let left = AGAIN.saturating_sub(begun.elapsed());
            let mut online = 0;
            let node = self.node(place);
            let all = wait_until(left, || {
                let said = node.told("online", "online now");
                online = said["devices"].as_array().map_or(0, Vec::len);
                online == others
            });
            if !all {
                let fault = format!("device {place} is online to {online} and not to {others}");
                self.broken.push(fault);
            }
        }
        if self.broken.len() == before {
            let after = begun.elapsed().as_secs_f64();
            self.say(&format!(
                "everybody is online to everybody, after {after:.1} s"
            ));
        }
    }

    fn rest(&mut self) -> Result<(), Failure> {
        for place in self.places() {
            self.node(place).process.send_line("rest")?;
        }
        for place in self.places() {
            self.node(place).wait_for("rests", AGAIN);
        }
        self.say("all calls have ended");
        Ok(())
    }

    /// A session with each other device and nothing in it; and when the others have left, no session.
    fn nothing_is_held(&mut self) -> Result<(), Failure> {
        let others = self.nodes.len() - 1;
        for place in self.places() {
            self.holds(place, others);
        }
        for place in self.places().skip(1) {
            self.begin(place, Fault::Left)?;
        }
        self.holds(1, 0);
        self.say("nothing is held");
        Ok(())
    }

    fn holds(&mut self, place: usize, sessions: usize) {
        let node = self.node(place);
        let mut last = None;
        let held = wait_for(SOON, || {
            let usage = node.told("usage", "usage");
            let nothing = usage["held"].as_array().is_some_and(Vec::is_empty);
            let as_wanted = nothing && usage["sessions"] == sessions;
            last = Some(usage);
            as_wanted.then_some(())
        });
        if held.is_none() {
            let fault = format!("device {place}, of {sessions} sessions: {last:?}");
            self.broken.push(fault);
        }
    }

    fn audit(&mut self) -> Result<(), Failure> {
        let homes: Vec<(String, PathBuf)> = self
            .places()
            .map(|place| (self.site.id(place), self.site.home(place)))
            .collect();
        let homes = homes.iter().map(|(id, home)| (id.clone(), home.as_path()));
        match audit(homes)? {
            Ok(totals) => self.say(&totals.to_string()),
            Err(faults) => self.broken.extend(faults),
        }
        Ok(())
    }
}
