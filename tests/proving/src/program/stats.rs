//! Of many, the few that are said.

/// The value that `percent` of all do not exceed; 0 of none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// The largest; 0 of none.
pub(crate) fn most(values: &[f64]) -> f64 {
    percentile(values, 100)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// How much a value grows with each step of the other, by least squares; 0 where nothing can be said.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let (x, y): (Vec<_>, Vec<_>) = points.iter().copied().unzip();
    let (x, y) = (mean(&x), mean(&y));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let both: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    if spread > 0.0 { both / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values: Vec<_> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), 10.0);
        assert_eq!(percentile(&values, 95), 19.0);
        assert_eq!(most(&values), 20.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn a_line_has_its_slope_and_a_point_has_none() {
        let line: Vec<_> = (0..9)
            .map(|x| (f64::from(x), 3.0 - 0.5 * f64::from(x)))
            .collect();
        assert!((slope(&line) + 0.5).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 7.0)]), 0.0);
    }
}
