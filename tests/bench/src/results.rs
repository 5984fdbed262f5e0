//! What was measured, and how it is kept: `cells.jsonl` has every cell as it came, `results.jsonl` the medians.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    driver::Figures,
    machine::Machine,
    summary::{Spread, Summary},
    workload::Workload,
};

const CELLS: &str = "cells.jsonl";
const RESULTS: &str = "results.jsonl";

/// One contestant under one workload in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) round: usize,
    pub(crate) workload: Workload,
    pub(crate) contestant: String,
    pub(crate) figures: Figures,
}

/// One point of growth in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    /// As a workload: `objects-100`.
    pub(crate) point: String,
    pub(crate) figures: Figures,
}

/// What was not measured, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub(crate) gap: String,
    pub(crate) reason: String,
}

/// All of it, in the order it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) cells: Vec<Cell>,
    pub(crate) points: Vec<Point>,
    pub(crate) gaps: Vec<Gap>,
    /// Contestants and what they raised.
    pub(crate) raised: Vec<Gap>,
}

impl Measured {
    /// There is no figure of something, and why.
    pub(crate) fn gap(&mut self, gap: String, reason: String) {
        if !self.gaps.iter().any(|known| known.gap == gap) {
            self.gaps.push(Gap { gap, reason });
        }
    }
}

/// A finished run.
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) measured: Measured,
    pub(crate) summary: Summary,
}

/// What other programs read.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) workload: String,
    pub(crate) contestant: String,
    pub(crate) metric: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) n: usize,
}

/// A line of `cells.jsonl`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Record {
    Cell(Cell),
    Point(Point),
    Gap(Gap),
    Machine(Machine),
    Raised { raised: Vec<Gap> },
}

impl Results {
    pub(crate) fn new(machine: Machine, measured: Measured) -> Self {
        Self {
            summary: Summary::new(&measured),
            machine,
            measured,
        }
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        let Measured {
            cells,
            points,
            gaps,
            raised,
        } = self.measured.clone();
        let records = std::iter::once(Record::Machine(self.machine.clone()))
            .chain(cells.into_iter().map(Record::Cell))
            .chain(points.into_iter().map(Record::Point))
            .chain(gaps.into_iter().map(Record::Gap))
            .chain(std::iter::once(Record::Raised { raised }));
        write_lines(&directory.join(CELLS), records)?;
        write_lines(&directory.join(RESULTS), self.lines())
    }

    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(CELLS);
        let file = File::open(&path).with_context(|| format!("no results: {}", path.display()))?;
        let (mut machine, mut measured) = (Machine::default(), Measured::default());
        for line in BufReader::new(file).lines() {
            match serde_json::from_str(&line?)? {
                Record::Cell(cell) => measured.cells.push(cell),
                Record::Point(point) => measured.points.push(point),
                Record::Gap(gap) => measured.gaps.push(gap),
                Record::Machine(found) => machine = found,
                Record::Raised { raised } => measured.raised = raised,
            }
        }
        Ok(Self::new(machine, measured))
    }

    /// A line for each figure.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (workload, contestant, metric, spread) in self.summary.all() {
            lines.push(line(workload.to_string(), contestant, metric, spread));
            // W8 is the CPU time of W2.
            if workload == Workload::W2 && metric == "cpu_100k" {
                lines.push(line("W8".to_owned(), contestant, metric, spread));
            }
        }
        for (point, metric, spread) in self.summary.growth() {
            lines.push(line(point.to_owned(), "ours", metric, spread));
        }
        lines
    }
}

fn line(workload: String, contestant: &str, metric: &str, spread: Spread) -> Line {
    Line {
        workload,
        contestant: contestant.to_owned(),
        metric: metric.to_owned(),
        median: rounded(spread.median),
        min: rounded(spread.min),
        max: rounded(spread.max),
        n: spread.n,
    }
}

/// Four figures are more than enough.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

fn write_lines(path: &Path, lines: impl IntoIterator<Item = impl Serialize>) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::new(file);
    for line in lines {
        writeln!(file, "{}", serde_json::to_string(&line)?)?;
    }
    Ok(file.flush()?)
}
