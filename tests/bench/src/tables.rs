//! Tables for people.

use std::io::Write;

use anyhow::Result;

use crate::{
    growth,
    results::{Gap, Results},
    summary::{figure, ratios},
    targets::TARGETS,
    workload::Workload,
};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// What was measured, as a person reads it.
pub(crate) struct Tables<'a> {
    pub(crate) results: &'a Results,
    /// Whether it goes to a terminal.
    pub(crate) colours: bool,
}

/// Which row of ours a peer is compared with.
pub(crate) fn compared_with(name: &str) -> &'static str {
    match name {
        "ours-local" | "uds" | "uds-mux" | "zbus" => "ours-local",
        name if name.ends_with("-mt") => "ours-typed-mt",
        _ => "ours-typed",
    }
}

impl Tables<'_> {
    pub(crate) fn print(&self, out: &mut impl Write) -> Result<()> {
        for workload in Workload::ALL {
            self.workload(out, workload)?;
        }
        self.growth(out)?;
        self.targets(out)?;
        let gaps = &self.results.measured.gaps;
        if !gaps.is_empty() {
            writeln!(out, "\nNot measured")?;
        }
        for Gap { gap, reason } in gaps {
            writeln!(out, "  {gap:24} {reason}")?;
        }
        Ok(())
    }

    fn workload(&self, out: &mut impl Write, workload: Workload) -> Result<()> {
        let summary = &self.results.summary;
        let names = summary.contestants(workload);
        let (metric, _) = workload.headline();
        if names.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{workload}: {}", workload.title())?;
        write!(out, "  {:20} {metric:>16} {:>19}", "", "min..max")?;
        for other in workload.beside() {
            write!(out, " {other:>14}")?;
        }
        writeln!(out, "  ours / it")?;
        for name in names {
            let Some(spread) = summary.spread(workload, name, metric) else {
                continue;
            };
            let range = format!("{}..{}", figure(spread.min), figure(spread.max));
            write!(out, "  {name:20} {:>16} {range:>19}", figure(spread.median))?;
            for other in workload.beside() {
                let other = summary.spread(workload, name, other);
                let other = other.map(|other| figure(other.median));
                write!(out, " {:>14}", other.unwrap_or_default())?;
            }
            let ours = compared_with(name);
            match summary.ratio(workload, ours, &[name], metric, true) {
                Some(_) if ours == name => writeln!(out)?,
                Some(ratio) => writeln!(out, "  {}", ratios(ratio))?,
                None => writeln!(out)?,
            }
        }
        Ok(())
    }

    fn growth(&self, out: &mut impl Write) -> Result<()> {
        let rows = growth::rows(&self.results.summary);
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nGrowth")?;
        for (what, value) in rows {
            writeln!(out, "  {what:62} {value}")?;
        }
        Ok(())
    }

    fn targets(&self, out: &mut impl Write) -> Result<()> {
        let summary = &self.results.summary;
        let found = TARGETS.iter().map(|target| (target, target.look(summary)));
        let verdicts = found.filter_map(|(target, found)| {
            let found = found?;
            Some((target.to_string(), ratios(found), target.met(found)))
        });
        let verdicts: Vec<_> = verdicts.chain(growth::verdicts(summary)).collect();
        let met = verdicts.iter().filter(|(_, _, met)| *met).count();
        writeln!(
            out,
            "\nTargets: {met} of {} met, {} not measured",
            verdicts.len(),
            TARGETS.len() + growth::TARGETS - verdicts.len()
        )?;
        for (target, found, met) in verdicts {
            let (colour, word) = if met {
                (GREEN, "met")
            } else {
                (RED, "NOT MET")
            };
            let (colour, plain) = if self.colours {
                (colour, PLAIN)
            } else {
                ("", "")
            };
            writeln!(out, "  {target:74} {found:26} {colour}{word}{plain}")?;
        }
        Ok(())
    }
}
