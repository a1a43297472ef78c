//! A robust line through noisy points.

/// Points whose drift is one number, for the autocorrelation of the noise.
const STRETCH: usize = 10;

/// Theil-Sen line with the Mann-Kendall test: the median of all slopes between two points, which up
/// to 29 % of outliers cannot move far, and the evidence that there is a trend at all. Noise that
/// carries over from point to point counts as fewer points: the variance of the test is multiplied by
/// `(1 + r) / (1 - r)` for the autocorrelation r of the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Median slope, in units of y per unit of x.
    pub slope: f64,
    /// Value of the line at x = 0: median of `y - slope · x`.
    pub intercept: f64,
    /// Distance between the first and the last x.
    pub span: f64,
    /// Mann-Kendall statistic in standard deviations, corrected for ties; positive for a rise.
    pub z: f64,
    /// Lower end of the slope's confidence interval (Sen 1968).
    pub low: f64,
    /// Upper end of the slope's confidence interval.
    pub high: f64,
    /// Robust standard deviation of the residuals: 1.4826 times their median absolute deviation.
    pub sigma: f64,
    /// Autocorrelation of the noise of neighbouring points, in 0..=[`Self::MOST_CORRELATED`].
    pub correlation: f64,
}

impl Trend {
    /// Least points a line is fitted to.
    pub const MIN_POINTS: usize = 6;
    /// Highest autocorrelation that is reckoned with.
    pub const MOST_CORRELATED: f64 = 0.9;

    /// Fits a line to points `(x, y)` of ascending x; `None` for fewer than [`Self::MIN_POINTS`] or
    /// values that are not finite. The interval reaches `confidence_z` standard deviations.
    pub fn fit(points: &[(f64, f64)], confidence_z: f64) -> Option<Self> {
        let n = points.len();
        if n < Self::MIN_POINTS
            || points
                .iter()
                .any(|(x, y)| !(x.is_finite() && y.is_finite()))
        {
            return None;
        }
        let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
        let mut sign_sum = 0.0;
        for (i, (x, y)) in points.iter().enumerate() {
            for (later_x, later_y) in &points[i + 1..] {
                if later_x > x {
                    slopes.push((later_y - y) / (later_x - x));
                    sign_sum += (later_y - y)
                        .partial_cmp(&0.0)
                        .map_or(0.0, |o| f64::from(o as i8));
                }
            }
        }
        let slope = median(&mut slopes)?; // also sorts
        let mut residuals: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
        let correlation = autocorrelation(&residuals);
        let intercept = median(&mut residuals)?;
        let inflation = (1.0 + correlation) / (1.0 - correlation);
        let deviation = (mann_kendall_variance(points) * inflation).sqrt();
        let z = match deviation > 0.0 {
            true => (sign_sum.abs() - 1.0).max(0.0) * sign_sum.signum() / deviation,
            false => 0.0,
        };
        let reach = confidence_z * deviation;
        let count = slopes.len() as f64;
        let low = slopes[rank(((count - reach) / 2.0).floor(), slopes.len())];
        let high = slopes[rank(((count + reach) / 2.0).ceil(), slopes.len())];
        let mut distances: Vec<f64> = residuals.iter().map(|r| (r - intercept).abs()).collect();
        Some(Self {
            slope,
            intercept,
            span: points[n - 1].0 - points[0].0,
            z,
            low,
            high,
            sigma: 1.4826 * median(&mut distances)?,
            correlation,
        })
    }

    /// Standard error of the slope, from the width of its interval.
    pub fn slope_error(&self, confidence_z: f64) -> f64 {
        (self.high - self.low) / (2.0 * confidence_z)
    }

    /// Change of the line over its points.
    pub fn change(&self) -> f64 {
        self.slope * self.span
    }
}

/// Lag-1 autocorrelation of the noise in `values`, from the mean squares of their differences over
/// one point and over two: `v2 / v1 - 1`, exact for noise that decays geometrically. The drift of
/// each stretch of [`STRETCH`] points is taken out first, because a bend of the curve is no noise.
fn autocorrelation(values: &[f64]) -> f64 {
    let mut sums = [0.0; 2];
    let mut counts = [0.0; 2];
    for stretch in values.chunks(STRETCH).filter(|stretch| stretch.len() >= 4) {
        let last = stretch.len() - 1;
        let drift = (stretch[last] - stretch[0]) / last as f64;
        for lag in [1, 2] {
            let pairs = stretch.iter().zip(&stretch[lag..]);
            let squares = pairs.map(|(a, b)| (b - a - drift * lag as f64).powi(2));
            sums[lag - 1] += squares.sum::<f64>();
            counts[lag - 1] += (stretch.len() - lag) as f64;
        }
    }
    if sums[0] <= 0.0 {
        return 0.0;
    }
    let ratio = (sums[1] / counts[1]) / (sums[0] / counts[0]);
    (ratio - 1.0).clamp(0.0, Trend::MOST_CORRELATED)
}

/// Variance of the Mann-Kendall sum without a trend: `(n(n-1)(2n+5) - Σ t(t-1)(2t+5)) / 18` over
/// groups of t equal values.
fn mann_kendall_variance(points: &[(f64, f64)]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut values: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
    values.sort_unstable_by(f64::total_cmp);
    let ties: f64 = values
        .chunk_by(|a, b| a == b)
        .map(|group| term(group.len() as f64))
        .sum();
    (term(points.len() as f64) - ties) / 18.0
}

/// An index below `len` from a rank that may lie outside.
fn rank(rank: f64, len: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    let rank = rank.clamp(0.0, (len - 1) as f64) as usize;
    rank
}

/// The median; sorts the values. `None` without values.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(*middle);
    }
    Some((values[values.len() / 2 - 1] + middle) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_under_outliers() {
        let mut points: Vec<(f64, f64)> = (0..20)
            .map(|i| (f64::from(i), 2.0 + 0.5 * f64::from(i)))
            .collect();
        for at in [3, 9, 15, 16] {
            points[at].1 = 100.0;
        }
        let trend = Trend::fit(&points, 2.0).expect("enough points");
        assert!((trend.slope - 0.5).abs() < 1e-9, "{trend:?}");
        assert!((trend.intercept - 2.0).abs() < 1e-9, "{trend:?}");
        assert!(
            (trend.change() - 9.5).abs() < 1e-9 && trend.z > 2.0,
            "{trend:?}"
        );
        assert!(
            trend.low <= trend.slope && trend.slope <= trend.high,
            "{trend:?}"
        );
    }

    #[test]
    fn mann_kendall_by_hand() {
        // n = 6, S = 15 (all pairs rise), variance 6·5·17/18 = 28.33, z = 14 / 5.3229.
        let points: Vec<(f64, f64)> = (0..6).map(|i| (f64::from(i), f64::from(i))).collect();
        let trend = Trend::fit(&points, 1.0).expect("enough points");
        assert!(
            (trend.z - 14.0 / (510.0_f64 / 18.0).sqrt()).abs() < 1e-12,
            "{trend:?}"
        );
        let falling: Vec<_> = points.iter().map(|(x, y)| (*x, -y)).collect();
        assert_eq!(
            Trend::fit(&falling, 1.0).expect("enough points").z,
            -trend.z
        );
    }

    #[test]
    fn no_trend_no_evidence() {
        let flat = [
            (0.0, 1.0),
            (1.0, 1.0),
            (2.0, 1.0),
            (3.0, 1.0),
            (4.0, 1.0),
            (5.0, 1.0),
        ];
        let trend = Trend::fit(&flat, 2.0).expect("enough points");
        assert_eq!(
            (trend.slope, trend.z, trend.sigma, trend.high),
            (0.0, 0.0, 0.0, 0.0)
        );
        assert_eq!(Trend::fit(&flat[1..], 2.0), None);
        assert_eq!(
            Trend::fit(&[(1.0, 2.0); 8], 2.0),
            None,
            "no two different x"
        );
        let nan = [(0.0, f64::NAN); 8];
        assert_eq!(Trend::fit(&nan, 2.0), None);
    }

    #[test]
    fn correlated_noise_counts_as_fewer_points() {
        // Blocks of four equal values: 40 points that know no more than 10.
        let block = |i: i32| f64::from((i / 4 * 7919) % 11) + 0.1 * f64::from(i);
        let points: Vec<_> = (0..40).map(|i| (f64::from(i), block(i))).collect();
        let trend = Trend::fit(&points, 3.0).expect("enough points");
        assert!(trend.correlation > 0.5, "{trend:?}");
        let shuffled: Vec<_> = (0..40)
            .map(|i| {
                (
                    f64::from(i),
                    block(i * 27 % 40) + 0.1 * f64::from(i - i * 27 % 40),
                )
            })
            .collect();
        let apart = Trend::fit(&shuffled, 3.0).expect("enough points");
        assert!(apart.correlation < 0.4, "{apart:?}");
        assert!(
            trend.slope_error(3.0) > 1.3 * apart.slope_error(3.0),
            "{trend:?} {apart:?}"
        );
    }

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
