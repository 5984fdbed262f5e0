//! Medians over the rounds, and ratios within them.

use std::collections::BTreeMap;

use crate::{contestant::NAMES, results::Measured, workload::Workload};

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
    /// By point, in the order they came, and metric.
    growth: Vec<(String, BTreeMap<String, Vec<f64>>)>,
}

impl Summary {
    pub(crate) fn new(measured: &Measured) -> Self {
        let mut figures: BTreeMap<Key, BTreeMap<_, _>> = BTreeMap::new();
        for cell in &measured.cells {
            for (metric, value) in &cell.figures.0 {
                let key = (cell.workload, place(&cell.contestant), metric.clone());
                figures.entry(key).or_default().insert(cell.round, *value);
            }
        }
        let mut growth: Vec<(String, BTreeMap<String, Vec<f64>>)> = Vec::new();
        for point in &measured.points {
            let known = growth.iter().position(|(name, _)| *name == point.point);
            let known = known.unwrap_or_else(|| {
                growth.push((point.point.clone(), BTreeMap::new()));
                growth.len() - 1
            });
            for (metric, value) in &point.figures.0 {
                let values = growth[known].1.entry(metric.clone());
                values.or_default().push(*value);
            }
        }
        Self { figures, growth }
    }

    /// A figure of each round.
    fn rounds(
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

    /// Every figure there is.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Workload, &str, &str, Spread)> {
        self.figures
            .iter()
            .filter_map(|((workload, place, metric), rounds)| {
                let spread = Spread::of(rounds.values().copied().collect())?;
                Some((*workload, *NAMES.get(*place)?, metric.as_str(), spread))
            })
    }

    /// Who was measured under a workload.
    pub(crate) fn contestants(&self, workload: Workload) -> Vec<&'static str> {
        let (metric, _) = workload.headline();
        let names = NAMES.into_iter();
        names
            .filter(|name| self.rounds(workload, name, metric).is_some())
            .collect()
    }

    /// Every figure of growth.
    pub(crate) fn growth(&self) -> impl Iterator<Item = (&str, &str, Spread)> {
        self.growth.iter().flat_map(|(point, metrics)| {
            metrics.iter().filter_map(|(metric, values)| {
                let spread = Spread::of(values.clone())?;
                Some((point.as_str(), metric.as_str(), spread))
            })
        })
    }

    /// One figure of growth.
    pub(crate) fn grown(&self, point: &str, metric: &str) -> Option<Spread> {
        let mut found = self.growth();
        found
            .find(|(name, of, _)| *name == point && *of == metric)
            .map(|(_, _, spread)| spread)
    }

    /// Ours by the best of these peers, or less it, formed in each round.
    pub(crate) fn ratio(
        &self,
        workload: Workload,
        ours: &str,
        peers: &[&str],
        metric: &str,
        quotient: bool,
    ) -> Option<Spread> {
        let more_is_better = workload.headline() == (metric, true);
        let ours = self.rounds(workload, ours, metric)?;
        let peers: Vec<_> = peers
            .iter()
            .map(|peer| self.rounds(workload, peer, metric))
            .collect::<Option<_>>()?;
        let ratios = ours.iter().filter_map(|(round, ours)| {
            let theirs = peers.iter().filter_map(|peer| peer.get(round).copied());
            let best = if more_is_better {
                theirs.reduce(f64::max)
            } else {
                theirs.reduce(f64::min)
            };
            best.map(|best| if quotient { ours / best } else { ours - best })
        });
        Spread::of(ratios.collect())
    }
}

fn place(contestant: &str) -> usize {
    let place = NAMES.iter().position(|name| *name == contestant);
    place.unwrap_or(NAMES.len())
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

/// A ratio and its range.
pub(crate) fn ratios(spread: Spread) -> String {
    let Spread {
        median, min, max, ..
    } = spread;
    format!("{median:.2} ({min:.2}..{max:.2})")
}
