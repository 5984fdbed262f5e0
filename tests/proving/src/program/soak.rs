//! A long run with churn: devices are killed, take leave, sleep, are cut off and lose packets, while calls go on. What the two
//! devices have that stay is looked at all the time and has to be flat.

mod dice;

use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::program::{
    Result, Soak,
    site::{Device, SOON, Site},
    stats::{mean, slope},
};
use dice::Dice;

/// How long nothing is done to anybody before the two that stay are looked at.
const QUIET: Duration = Duration::from_secs(8);
/// How often progress is said.
const SAID: Duration = Duration::from_secs(30);
/// One for each half, however short the run is.
const LOOKS: usize = 2;
/// Changes of the others between two looks.
const BETWEEN: u32 = 6;
/// A node may have 1,000 services, as a system ability manager of OpenHarmony may. One is there already: the one that is called here.
const LIMIT: u32 = 1000;
const SERVICES: u32 = LIMIT - 1;
const ONE_WAY: u64 = 20_000;
/// The run by which the one-way calls of the device of a place are known.
const RUNS: u64 = 1000;

const MEMORY: &str = "kib";
/// How often it is looked whether something is held still.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// What is looked at, and how much of it the second half of the looks may have above the first.
const FLAT: &[(&str, f64, f64)] = &[
    // It is given back to the system in pieces, and what was cut up is not.
    (MEMORY, 0.10, 1024.0),
    ("descriptors", 0.0, 2.0),
    ("threads", 0.0, 1.0),
    ("tasks", 0.0, 4.0),
    ("sessions", 0.0, 0.5),
    ("held", 0.0, 4.0),
];

struct Run {
    site: Site,
    stay: Vec<Device>,
    /// By place; those that are not there are `None`.
    others: Vec<Option<Device>>,
    dice: Dice,
    looks: Vec<(f64, [Value; 2])>,
    began: Instant,
    calls: u64,
    /// What did not hold.
    broken: Vec<String>,
}

pub(crate) fn run(options: &Soak) -> Result<bool> {
    if options.devices < 3 {
        return Err("a soak has at least 3 devices".into());
    }
    let seed = options.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    });
    println!("seed {seed}");
    let site = Site::new(options.devices, options.transport)?;
    let mut devices = site.mesh(1..=options.devices)?;
    let others = devices.split_off(2).into_iter().map(Some).collect();
    let mut run = Run {
        site,
        stay: devices,
        others,
        dice: Dice::new(seed),
        looks: Vec::new(),
        began: Instant::now(),
        calls: 0,
        broken: Vec::new(),
    };
    let ends = Duration::from_secs_f64(options.minutes * 60.0);
    run.cycles(options.cycles, ends / 2)?;
    run.services()?;
    run.flood()?;
    while run.began.elapsed() < ends || run.looks.len() < LOOKS {
        for _ in 0..BETWEEN {
            run.change()?;
        }
        run.look()?;
    }
    let flat = run.verdict();
    run.broken
        .iter()
        .for_each(|fault| println!("BROKEN: {fault}"));
    Ok(flat && run.broken.is_empty())
}

impl Run {
    /// One that stays is called by devices that are killed then and there, again and again.
    fn cycles(&mut self, count: u32, at_most: Duration) -> Result<()> {
        let began = Instant::now();
        let before = self.stay[0].ask("usage", "usage")?;
        // Killed, too.
        self.others.iter_mut().for_each(|device| *device = None);
        let places = 3..3 + self.others.len();
        let call = format!("calls {} 1", self.site.id(1));
        let (mut done, mut said) = (0, Instant::now());
        // The first ones take memory that the later ones use again.
        let mut half = None;
        while done < count && began.elapsed() < at_most {
            let wanted = (count - done) as usize;
            let launched = places
                .clone()
                .take(wanted)
                .map(|place| self.site.launch(place));
            let mut batch = Vec::new();
            for device in launched.collect::<Result<Vec<_>>>()? {
                let mut device = device.ready()?;
                device.tell(&call)?;
                batch.push(device);
            }
            for device in &mut batch {
                device.outcome("called")?;
            }
            for device in &mut batch {
                device.process.kill()?;
                done += 1;
            }
            // What they say of those that come and go is not asked for.
            self.stay.iter_mut().for_each(Device::forget);
            if said.elapsed() > SAID {
                said = Instant::now();
                println!("{done} cycles of {count}");
            }
            let half_done = done >= count / 2 || began.elapsed() >= at_most / 2;
            if half.is_none() && half_done {
                half = Some(self.stay[0].ask("usage", "usage")?);
            }
        }
        let whole = self.stay[0].ask("usage", "usage")?;
        self.settle()?;
        let after = self.as_before("the cycles", &before)?;
        println!(
            "{done} cycles of connecting, calling and being killed in {:.0} s: {}",
            began.elapsed().as_secs_f64(),
            difference(&before, &after)
        );
        self.memory_of_cycles(&half.unwrap_or_else(|| before.clone()), &whole)?;
        if done < count {
            self.broken.push(format!(
                "{done} cycles and not {count}: there was no time for more"
            ));
        }
        Ok(())
    }

    /// The second half of the cycles took no more memory than the second half of the looks may.
    fn memory_of_cycles(&mut self, half: &Value, whole: &Value) -> Result<()> {
        let (half, whole) = (number(half, MEMORY)?, number(whole, MEMORY)?);
        let (_, share, least) = FLAT[0];
        println!("after half of the cycles {half} KiB, after all of them {whole} KiB");
        if !is_flat(half, whole, share, least) {
            let fault =
                format!("the second half of the cycles: {whole} KiB, before it: {half} KiB");
            self.broken.push(fault);
        }
        Ok(())
    }

    fn services(&mut self) -> Result<()> {
        let before = self.stay[0].ask("usage", "usage")?;
        let mut last = Value::Null;
        for _ in 0..5 {
            // Each of them is there when it is looked up, or this ends here.
            last = self.stay[0].ask(&format!("services {SERVICES}"), "served")?;
            if last["limit"] != LIMIT {
                let limit = &last["limit"];
                let fault = format!("one service more than {LIMIT} meets a limit of {limit}");
                self.broken.push(fault);
            }
        }
        self.settle()?;
        let after = self.as_before("the services", &before)?;
        println!(
            "{LIMIT} services: {SERVICES} beside the one that is called registered in {:.0} ms, looked up in {:.0} ms and removed, five times; \
             one more is refused: {}",
            last["added_ms"].as_f64().unwrap_or_default(),
            last["got_ms"].as_f64().unwrap_or_default(),
            difference(&before, &after)
        );
        Ok(())
    }

    /// Everybody sends one of them as many one-way calls as go; each that is accepted has its turn.
    fn flood(&mut self) -> Result<()> {
        let before = self.stay[0].ask("usage", "usage")?;
        let one = self.site.id(1).to_owned();
        for device in self.others.iter_mut().flatten() {
            let run = RUNS + device.place as u64;
            device.tell(&format!("one-way {one} {ONE_WAY} {run}"))?;
        }
        let (mut accepted, mut refused, mut handled, mut doubled) = (0, 0, 0, 0);
        for device in self.others.iter_mut().flatten() {
            let sent = device.outcome("sent")?;
            let of = |field: &str| sent[field].as_u64().unwrap_or_default();
            accepted += of("accepted");
            refused += of("refused");
        }
        // They have arrived; meanwhile those have their turn that wait for it.
        self.settle()?;
        for device in self.others.iter().flatten() {
            let served = self.site.served(1, RUNS + device.place as u64)?;
            handled += served.len() as u64;
            doubled += served.values().filter(|times| **times > 1).count();
        }
        let after = self.as_before("the flood", &before)?;
        let of = |usage: &Value| usage["refused"].as_u64().unwrap_or_default();
        // By the callee, when they had come: both ends count and log those.
        let turned_away = of(&after) - of(&before);
        println!(
            "one-way calls, all at once: {accepted} accepted and {refused} refused by the caller, {turned_away} by the callee; \
             {handled} handled, {doubled} of them twice: {}",
            difference(&before, &after)
        );
        if handled + turned_away != accepted || doubled > 0 {
            self.broken.push(format!(
                "{accepted} one-way calls were accepted, {handled} handled, {turned_away} refused, {doubled} doubled"
            ));
        }
        Ok(())
    }

    /// What is held when nothing is held of it any more, or after a while: a node that asks for quiet devices has a socket and a task
    /// for each meanwhile.
    fn as_before(&mut self, what: &str, before: &Value) -> Result<Value> {
        let deadline = Instant::now() + SOON;
        loop {
            let after = self.stay[0].ask("usage", "usage")?;
            let more = more(before, &after)?;
            if more.is_empty() || Instant::now() >= deadline {
                let said = more.into_iter().map(|more| format!("after {what}: {more}"));
                self.broken.extend(said);
                return Ok(after);
            }
            sleep(BETWEEN_LOOKS);
        }
    }

    /// Something happens to one of those that do not stay, and calls go on between the others.
    fn change(&mut self) -> Result<()> {
        let index = self.dice.below(self.others.len());
        let place = index + 3;
        let calls = format!("calls {} 50", self.site.id(2));
        self.stay[0].tell(&calls)?;
        match (self.others[index].take(), self.dice.below(6)) {
            (None, _) => self.others[index] = Some(self.site.start(place)?),
            (Some(mut device), 0) => {
                device.process.kill()?;
            }
            (Some(mut device), 1) => {
                device.tell("leave")?;
                device.process.wait(SOON)?;
            }
            (Some(mut device), 2) => {
                device.process.suspend()?;
                sleep(Duration::from_secs(self.dice.below(8) as u64));
                device.process.resume()?;
                self.others[index] = Some(device);
            }
            (Some(device), 3) => {
                self.site.lab.cut(place)?;
                sleep(Duration::from_secs(self.dice.below(8) as u64));
                self.site.lab.heal(place)?;
                self.others[index] = Some(device);
            }
            (Some(device), 4) => {
                self.site.lab.link_down(place)?;
                sleep(Duration::from_millis(300));
                self.site.lab.link_up(place)?;
                self.others[index] = Some(device);
            }
            (Some(device), _) => {
                self.site.lab.drop_percent(20)?;
                sleep(Duration::from_secs(2));
                self.site.lab.drop_percent(0)?;
                self.others[index] = Some(device);
            }
        }
        self.stay[0].outcome("called")?;
        self.calls += 50;
        Ok(())
    }

    /// Everybody is there, and has been heard of.
    fn settle(&mut self) -> Result<()> {
        for index in 0..self.others.len() {
            if self.others[index].is_none() {
                self.others[index] = Some(self.site.start(index + 3)?);
            }
        }
        sleep(QUIET);
        // Each calls those that stay: so there is a session with each.
        for place in 1..=2 {
            let line = format!("calls {} 10", self.site.id(place));
            for device in self.others.iter_mut().flatten() {
                device.ask(&line, "called")?;
                self.calls += 10;
            }
        }
        self.stay
            .iter_mut()
            .chain(self.others.iter_mut().flatten())
            .for_each(Device::forget);
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        self.settle()?;
        let minutes = self.began.elapsed().as_secs_f64() / 60.0;
        let one = self.stay[0].ask("usage", "usage")?;
        let two = self.stay[1].ask("usage", "usage")?;
        println!(
            "{minutes:6.1} min, {} calls: {} | {}",
            self.calls,
            short(&one),
            short(&two)
        );
        self.looks.push((minutes, [one, two]));
        Ok(())
    }

    /// Whether everything was flat, and how flat.
    fn verdict(&self) -> bool {
        let mut flat = true;
        let half = self.looks.len() / 2;
        println!("\n| of | first half | second half | slope in an hour | |\n|---|---|---|---|---|");
        for (field, share, least) in FLAT {
            for device in 0..2 {
                let value =
                    |look: &(f64, [Value; 2])| look.1[device][field].as_f64().unwrap_or(f64::NAN);
                let points: Vec<_> = self
                    .looks
                    .iter()
                    .map(|look| (look.0 / 60.0, value(look)))
                    .collect();
                let values = |looks: &[(f64, f64)]| {
                    mean(&looks.iter().map(|look| look.1).collect::<Vec<_>>())
                };
                let (first, second) = (values(&points[..half]), values(&points[half..]));
                let is_flat = is_flat(first, second, *share, *least);
                flat &= is_flat;
                let verdict = if is_flat { "flat" } else { "**grows**" };
                println!(
                    "| {field} of device {} | {first:.1} | {second:.1} | {:+.2} | {verdict} |",
                    device + 1,
                    slope(&points)
                );
            }
        }
        flat
    }
}

fn short(usage: &Value) -> String {
    FLAT.iter()
        .map(|(field, ..)| format!("{field} {}", usage[field]))
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_flat(first: f64, second: f64, share: f64, least: f64) -> bool {
    second <= first + (first * share).max(least)
}

fn number(usage: &Value, field: &str) -> Result<f64> {
    let number = usage[field].as_f64();
    number.ok_or_else(|| format!("the device does not say how many {field} there are").into())
}

/// What there is more of than before, but for memory: what is done for the first time takes some that is used again.
fn more(before: &Value, after: &Value) -> Result<Vec<String>> {
    let mut more = Vec::new();
    for (field, _, least) in FLAT.iter().filter(|(field, ..)| *field != MEMORY) {
        let (before, after) = (number(before, field)?, number(after, field)?);
        if after > before + least {
            more.push(format!("{field} {after}, before: {before}"));
        }
    }
    Ok(more)
}

fn difference(before: &Value, after: &Value) -> String {
    FLAT.iter()
        .map(|(field, ..)| format!("{field} {} to {}", before[field], after[field]))
        .collect::<Vec<_>>()
        .join(", ")
}
