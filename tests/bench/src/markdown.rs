//! The tables of `docs/performance.md`, written where its markers are, and the chart beside it.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    chart, growth,
    results::{Gap, Results},
    summary::{Summary, figure, ratios},
    tables::compared_with,
    targets::TARGETS,
    workload::Workload,
};

const BEGIN: &str = "<!-- figures: written by the bench, not by hand -->";
const END: &str = "<!-- end of figures -->";

/// Rewrites page and chart.
pub(crate) fn publish(results: &Results) -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = docs.join("performance.md");
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let (head, rest) = text.split_once(BEGIN).context("no marker of the figures")?;
    let (_, tail) = rest.split_once(END).context("no marker of their end")?;
    ensure!(!results.measured.cells.is_empty(), "there are no figures");
    let figures = figures(results)?;
    fs::write(&page, format!("{head}{BEGIN}\n\n{figures}\n{END}{tail}"))?;
    chart::write(&docs.join("performance.svg"), &results.summary)?;
    eprintln!("wrote docs/performance.md and docs/performance.svg");
    Ok(())
}

fn figures(results: &Results) -> Result<String> {
    let mut out = String::new();
    let machine = &results.machine;
    writeln!(
        out,
        "Measured on {} at commit {}: {}, {} cores, Linux {}, {}; {} rounds, {} s a cell, load at the beginning {}.\n",
        machine.date,
        machine.commit,
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.compiler,
        machine.rounds,
        machine.seconds,
        machine.load
    )?;
    if machine.is_busy() {
        writeln!(
            out,
            "**The machine was busy with other things: only ratios and CPU time mean something here.**\n"
        )?;
    }
    targets(&mut out, results)?;
    for workload in Workload::ALL {
        table(&mut out, &results.summary, workload)?;
    }
    let rows = growth::rows(&results.summary);
    if !rows.is_empty() {
        writeln!(
            out,
            "\n### Growth\n\n| what | median (min..max) |\n|---|---|"
        )?;
        for (what, value) in rows {
            writeln!(out, "| {what} | {value} |")?;
        }
    }
    list(&mut out, "Raised limits", &results.measured.raised)?;
    list(&mut out, "Not measured", &results.measured.gaps)?;
    Ok(out)
}

fn targets(out: &mut String, results: &Results) -> Result<()> {
    writeln!(out, "### Targets\n\n| target | found | |\n|---|---|---|")?;
    for target in TARGETS {
        match target.look(&results.summary) {
            Some(found) => {
                let word = if target.met(found) {
                    "met"
                } else {
                    "**not met**"
                };
                writeln!(out, "| {target} | {} | {word} |", ratios(found))?;
            }
            None => writeln!(out, "| {target} | | not measured |")?,
        }
    }
    for (target, found, met) in growth::verdicts(&results.summary) {
        let word = if met { "met" } else { "**not met**" };
        writeln!(out, "| {target} | {found} | {word} |")?;
    }
    Ok(())
}

fn table(out: &mut String, summary: &Summary, workload: Workload) -> Result<()> {
    let names = summary.contestants(workload);
    if names.is_empty() {
        return Ok(());
    }
    let (metric, more) = workload.headline();
    let better = if more { "more" } else { "less" };
    writeln!(
        out,
        "\n### {workload}: {}\n\n`{metric}`: {better} is better.\n",
        workload.title()
    )?;
    write!(out, "| | {metric} | min..max |")?;
    for other in workload.beside() {
        write!(out, " {other} |")?;
    }
    writeln!(out, " ours / it |")?;
    let columns = 4 + workload.beside().len();
    writeln!(out, "|---|{}", "---:|".repeat(columns - 1))?;
    for name in names {
        let Some(spread) = summary.spread(workload, name, metric) else {
            continue;
        };
        write!(
            out,
            "| {name} | {} | {}..{} |",
            figure(spread.median),
            figure(spread.min),
            figure(spread.max)
        )?;
        for other in workload.beside() {
            let other = summary.spread(workload, name, other);
            let other = other.map(|other| figure(other.median));
            write!(out, " {} |", other.unwrap_or_default())?;
        }
        let ours = compared_with(name);
        let ratio = summary.ratio(workload, ours, &[name], metric, true);
        let ratio = ratio.filter(|_| ours != name).map(ratios);
        writeln!(out, " {} |", ratio.unwrap_or_default())?;
    }
    Ok(())
}

fn list(out: &mut String, title: &str, gaps: &[Gap]) -> Result<()> {
    if gaps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### {title}\n")?;
    for Gap { gap, reason } in gaps {
        writeln!(out, "- {gap}: {reason}")?;
    }
    Ok(())
}
