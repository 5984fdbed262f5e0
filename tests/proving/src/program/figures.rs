//! What was measured, as lines of a table.

use std::{fs, path::Path};

use crate::program::{
    By, Result,
    stats::{most, percentile},
};

/// Where the tables stand in a document.
const fn begin(by: By) -> &'static str {
    match by {
        By::All => "<!-- figures: written by `proving measure --write` -->",
        By::Quic => "<!-- figures by QUIC: written by `proving measure --write` -->",
        By::Tcp => "<!-- figures by TCP: written by `proving measure --write` -->",
    }
}
const END: &str = "<!-- end of figures -->";

/// One line: what, what is promised of it, and what was found.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) target: String,
    pub(crate) found: String,
    /// Whether the target was met; nothing where there is none.
    pub(crate) met: Option<bool>,
}

#[derive(Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        target: impl Into<String>,
        found: impl Into<String>,
        met: Option<bool>,
    ) {
        let figure = Figure {
            what: what.into(),
            target: target.into(),
            found: found.into(),
            met,
        };
        println!("{}", line(&figure));
        self.0.push(figure);
    }

    pub(crate) fn all_met(&self) -> bool {
        self.0.iter().all(|figure| figure.met != Some(false))
    }

    fn table(&self, about: &str) -> String {
        let mut text = format!("{about}\n\n| what | promised | found | |\n|---|---|---|---|\n");
        for figure in &self.0 {
            text += &line(figure);
            text.push('\n');
        }
        text
    }

    /// Puts the table between its marks in a document.
    pub(crate) fn write(&self, into: &Path, by: By, about: &str) -> Result<()> {
        let text = fs::read_to_string(into)?;
        let (before, rest) = text
            .split_once(begin(by))
            .ok_or("the document has no place for figures")?;
        let (_, after) = rest
            .split_once(END)
            .ok_or("the place for figures has no end")?;
        let table = self.table(about);
        let begin = begin(by);
        fs::write(into, format!("{before}{begin}\n\n{table}\n{END}{after}"))?;
        Ok(())
    }
}

fn line(figure: &Figure) -> String {
    let verdict = match figure.met {
        Some(true) => "met",
        Some(false) => "**not met**",
        None => "",
    };
    let Figure {
        what,
        target,
        found,
        ..
    } = figure;
    format!("| {what} | {target} | {found} | {verdict} |")
}

/// Milliseconds for people: seconds from one on.
pub(crate) fn time(ms: f64) -> String {
    match ms {
        ms if ms >= 1000.0 => format!("{:.2} s", ms / 1000.0),
        ms if ms >= 10.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

/// A line of times with a target that the longest has to meet.
pub(crate) fn put(figures: &mut Figures, what: &str, target: f64, took: &[f64]) {
    figures.add(
        format!("{what}, p50 / most"),
        format!("≤ {}", time(target)),
        format!("{} / {}", time(percentile(took, 50)), time(most(took))),
        Some(most(took) <= target),
    );
}
