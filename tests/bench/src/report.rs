//! What comes out: JSON lines on standard output, tables for people on standard error.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Result;
use serde::Serialize;

use crate::{
    contestant::NAMES,
    plan::Cell,
    targets::{self, TARGETS},
    workload::Workload,
};

/// The figure that a workload is about, and whether more of it is better.
pub(crate) const fn headline(workload: Workload) -> (&'static str, bool) {
    match workload {
        Workload::W1 => ("p50_us", false),
        Workload::W2 | Workload::W2b | Workload::W3 | Workload::Loss1 | Workload::Loss3 => {
            ("calls_s", true)
        }
        Workload::W4 | Workload::W4s => ("mb_s", true),
        Workload::W5 => ("msgs_s", true),
        Workload::W6 => ("connect_ms", false),
        Workload::W7 => ("rss_kib_per_peer", false),
        Workload::Mixed => ("p99_us", false),
    }
}

/// Median, smallest and largest of a figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) n: usize,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[half - 1], values[half])
        } else {
            values[half]
        };
        Some(Self {
            median,
            min,
            max,
            n: values.len(),
        })
    }
}

type Key = (Workload, usize, String);

/// All cells, by what they are.
pub(crate) struct Summary {
    /// By workload, place of the contestant and metric: the figure of each round.
    figures: BTreeMap<Key, BTreeMap<usize, f64>>,
}

#[derive(Serialize)]
struct Line<'a> {
    workload: String,
    contestant: &'a str,
    metric: &'a str,
    median: f64,
    min: f64,
    max: f64,
    n: usize,
}

impl Summary {
    pub(crate) fn new(cells: &[Cell]) -> Self {
        let mut figures: BTreeMap<Key, BTreeMap<_, _>> = BTreeMap::new();
        for cell in cells {
            for (metric, value) in &cell.figures.0 {
                let key = (cell.workload, place(&cell.contestant), metric.clone());
                figures.entry(key).or_default().insert(cell.round, *value);
            }
        }
        Self { figures }
    }

    /// A figure of each round.
    pub(crate) fn rounds(
        &self,
        workload: Workload,
        contestant: &str,
        metric: &str,
    ) -> Option<&BTreeMap<usize, f64>> {
        let key = (workload, place(contestant), metric.to_owned());
        self.figures.get(&key)
    }

    pub(crate) fn spread(
        &self,
        workload: Workload,
        contestant: &str,
        metric: &str,
    ) -> Option<Spread> {
        let rounds = self.rounds(workload, contestant, metric)?;
        Spread::of(rounds.values().copied().collect())
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        for ((workload, place, metric), rounds) in &self.figures {
            let names = std::iter::once(workload.to_string());
            // W8 is the CPU time of W2.
            let again = *workload == Workload::W2 && metric == "cpu_100k";
            for workload in names.chain(again.then(|| "W8".to_owned())) {
                let Some(spread) = Spread::of(rounds.values().copied().collect()) else {
                    continue;
                };
                let line = Line {
                    workload,
                    contestant: NAMES.get(*place).unwrap_or(&"?"),
                    metric,
                    median: rounded(spread.median),
                    min: rounded(spread.min),
                    max: rounded(spread.max),
                    n: spread.n,
                };
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            }
        }
        let mut err = std::io::stderr().lock();
        self.medians(&mut err)?;
        self.targets(&mut err)?;
        Ok(())
    }

    fn medians(&self, out: &mut impl Write) -> Result<()> {
        for workload in Workload::ALL {
            let (metric, _) = headline(workload);
            let measured = |name: &&&str| self.spread(workload, name, metric).is_some();
            let names: Vec<_> = NAMES.iter().filter(measured).collect();
            if names.is_empty() {
                continue;
            }
            writeln!(out, "\n{workload}: {}", workload.title())?;
            let all = ["p99_us", "cpu_100k", "cpu_s_gb"];
            let also = all.iter().filter(|other| {
                let has = |name: &&str| self.spread(workload, name, other).is_some();
                **other != metric && names.iter().any(|name| has(name))
            });
            let also: Vec<_> = also.collect();
            write!(out, "  {:20} {metric:>12} {:>23}", "", "min..max")?;
            for other in &also {
                write!(out, " {other:>10}")?;
            }
            writeln!(out, "  ours-typed / it")?;
            for name in names {
                let Some(spread) = self.spread(workload, name, metric) else {
                    continue;
                };
                let range = format!("{}..{}", figure(spread.min), figure(spread.max));
                write!(out, "  {name:20} {:>12} {range:>23}", figure(spread.median))?;
                for other in &also {
                    let other = self.spread(workload, name, other);
                    let other = other.map(|other| figure(other.median));
                    write!(out, " {:>10}", other.unwrap_or_default())?;
                }
                match targets::ratio(self, workload, "ours-typed", &[name], metric, true) {
                    Some(ratio) => writeln!(out, "  {}", ratios(ratio))?,
                    None => writeln!(out)?,
                }
            }
        }
        Ok(())
    }

    fn targets(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "\nTargets")?;
        for target in TARGETS {
            if let Some(found) = target.look(self) {
                let word = if target.met(found) { "met" } else { "NOT MET" };
                writeln!(
                    out,
                    "  {:74} {:24} {word}",
                    target.to_string(),
                    ratios(found)
                )?;
            }
        }
        Ok(())
    }
}

/// Every cell as it came.
pub(crate) fn write_cells(path: &Path, cells: &[Cell]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for cell in cells {
        writeln!(file, "{}", serde_json::to_string(cell)?)?;
    }
    Ok(file.flush()?)
}

fn place(contestant: &str) -> usize {
    let place = NAMES.iter().position(|name| *name == contestant);
    place.unwrap_or(NAMES.len())
}

fn ratios(spread: Spread) -> String {
    let Spread {
        median, min, max, ..
    } = spread;
    format!("{median:.2} ({min:.2}-{max:.2})")
}

/// Four figures are more than enough.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// For people.
pub(crate) fn figure(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}
