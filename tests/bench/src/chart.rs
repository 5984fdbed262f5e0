//! The chart that README shows: a panel for each workload, a bar for each contestant.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    summary::{Spread, Summary, figure},
    workload::Workload,
};

/// What it shows: a reader wants to know who is fast at what, not all there is to know.
const SHOWN: [Workload; 8] = [
    Workload::W1,
    Workload::W2,
    Workload::W2b,
    Workload::W3,
    Workload::W4,
    Workload::W5,
    Workload::W6,
    Workload::Loss1,
];
const BARS: [&str; 11] = [
    "ours-typed",
    "quinn-mux",
    "quinn-stream",
    "tls-mux",
    "tonic",
    "tarpc",
    "capnp",
    "ours-local",
    "uds-mux",
    "uds",
    "zbus",
];

const PANEL: (u32, u32) = (460, 250);
const COLUMNS: u32 = 2;
const TITLE: i32 = 28;
const ROW: i32 = 20;
const LABEL: i32 = 140;
const VALUE: i32 = 70;
const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(0x1b, 0x6e, 0xc2);
const THEIRS: RGBColor = RGBColor(0xa9, 0xb4, 0xc0);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws what was measured.
pub(crate) fn write(path: &Path, summary: &Summary) -> Result<()> {
    let panels: Vec<_> = SHOWN
        .into_iter()
        .map(|workload| (workload, bars(summary, workload)))
        .filter(|(_, bars)| bars.len() > 1)
        .collect();
    let rows = (panels.len() as u32).div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS, PANEL.1 * rows.max(1));
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let areas = root.split_evenly((rows.max(1) as usize, COLUMNS as usize));
    for ((workload, bars), area) in panels.iter().zip(&areas) {
        panel(area, *workload, bars)?;
    }
    root.present().map_err(failed)
}

fn bars(summary: &Summary, workload: Workload) -> Vec<(&'static str, Spread)> {
    let (metric, more) = workload.headline();
    let mut bars: Vec<_> = BARS
        .into_iter()
        .filter_map(|name| Some((name, summary.spread(workload, name, metric)?)))
        .collect();
    bars.sort_by(|(_, a), (_, b)| {
        let order = a.median.total_cmp(&b.median);
        if more { order.reverse() } else { order }
    });
    bars
}

fn panel(area: &Area<'_>, workload: Workload, bars: &[(&str, Spread)]) -> Result<()> {
    let (metric, more) = workload.headline();
    let (width, _) = area.dim_in_pixel();
    let better = if more { "more" } else { "less" };
    let title = format!("{workload}  {}", workload.title());
    area.draw(&Text::new(
        title,
        (10, 6),
        (FONT, 14).into_font().color(&INK),
    ))
    .map_err(failed)?;
    let unit = format!("{metric}, {better} is better");
    let place = Pos::new(HPos::Right, VPos::Top);
    let small = (FONT, 11).into_font().color(&INK);
    area.draw(&Text::new(unit, (width as i32 - 10, 8), small.pos(place)))
        .map_err(failed)?;
    let room = width as i32 - LABEL - VALUE;
    let largest = bars.iter().map(|(_, bar)| bar.median).fold(1e-9, f64::max);
    for (row, (name, bar)) in bars.iter().enumerate() {
        let top = TITLE + row as i32 * ROW;
        let length = (bar.median / largest * f64::from(room)).max(1.0) as i32;
        let colour = if name.starts_with("ours") {
            OURS
        } else {
            THEIRS
        };
        let corners = [(LABEL, top + 3), (LABEL + length, top + ROW - 3)];
        area.draw(&Rectangle::new(corners, colour.filled()))
            .map_err(failed)?;
        let middle = top + ROW / 2;
        let left = Pos::new(HPos::Left, VPos::Center);
        let right = Pos::new(HPos::Right, VPos::Center);
        let style = |pos| (FONT, 12).into_font().color(&INK).pos(pos);
        area.draw(&Text::new(*name, (LABEL - 6, middle), style(right)))
            .map_err(failed)?;
        let value = figure(bar.median);
        area.draw(&Text::new(value, (LABEL + length + 5, middle), style(left)))
            .map_err(failed)?;
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the chart: {error}")
}
