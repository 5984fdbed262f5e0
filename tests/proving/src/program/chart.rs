//! A chart as SVG: a few lines over a few places.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 4] = ["#1b6ca8", "#c8553d", "#3a7d44", "#7b5ea7"];

/// A line of a chart.
#[derive(Debug)]
pub(crate) struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Line {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            points: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, x: f64, y: f64) {
        self.points.push((x, y));
    }
}

/// Lines over equally spaced places, upwards by powers of ten.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    pub(crate) lines: &'a [Line],
}

impl Chart<'_> {
    pub(crate) fn svg(&self) -> String {
        let places: Vec<f64> = match self.lines.first() {
            Some(line) => line.points.iter().map(|point| point.0).collect(),
            None => Vec::new(),
        };
        let values = || {
            self.lines
                .iter()
                .flat_map(|line| &line.points)
                .map(|point| point.1.max(1e-3))
        };
        let lowest = values().fold(f64::MAX, f64::min).log10().floor();
        let highest = values()
            .fold(f64::MIN, f64::max)
            .log10()
            .ceil()
            .max(lowest + 1.0);
        let across = (WIDTH - LEFT - RIGHT) / (places.len().max(2) - 1) as f64;
        let up = (HEIGHT - TOP - BOTTOM) / (highest - lowest);
        let y = |value: f64| HEIGHT - BOTTOM - (value.max(1e-3).log10() - lowest) * up;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
            self.title
        );
        let right = WIDTH - RIGHT;
        for power in lowest as i32..=highest as i32 {
            let at = y(10_f64.powi(power));
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                10_f64.powi(power)
            );
        }
        let bottom = HEIGHT - BOTTOM;
        for (index, place) in places.iter().enumerate() {
            let at = LEFT + across * index as f64;
            let _ = writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{place}</text>",
                bottom + 18.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 12.0,
            self.x,
            (TOP + bottom) / 2.0,
            self.y
        );
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let mut path = String::new();
            for (index, (_, value)) in line.points.iter().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                let (at, up) = (LEFT + across * index as f64, y(*value));
                let _ = write!(path, "{command}{at:.1} {up:.1}");
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"3\" fill=\"{colour}\"/>"
                );
            }
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            );
            if let Some((_, last)) = line.points.last() {
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                    right + 8.0,
                    y(*last) + 4.0,
                    line.name
                );
            }
        }
        svg += "</svg>\n";
        svg
    }
}
