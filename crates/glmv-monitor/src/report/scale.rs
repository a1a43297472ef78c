//! From numbers to places on a chart.

use super::text::trim;

/// A range of numbers along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Scale {
    /// The range of the finite numbers, none of length 0; `None` without one.
    pub(super) fn of(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let mut scale: Option<Self> = None;
        for number in numbers.filter(|number| number.is_finite()) {
            let Self { low, high } = scale.unwrap_or(Self {
                low: number,
                high: number,
            });
            scale = Some(Self {
                low: low.min(number),
                high: high.max(number),
            });
        }
        let scale = scale?;
        let size = scale.low.abs().max(scale.high.abs());
        // Closer together than this, rounding would be drawn.
        if scale.high / 2.0 - scale.low / 2.0 > size * 1e-9 {
            return Some(scale);
        }
        let pad = if size == 0.0 { 1.0 } else { size * 0.1 };
        Some(Self {
            low: (scale.low - pad).max(f64::MIN),
            high: (scale.high + pad).min(f64::MAX),
        })
    }

    /// A little more on both sides, so that lines do not run along the edge.
    pub(super) fn padded(self) -> Self {
        let pad = (self.high / 2.0 - self.low / 2.0) * 0.08;
        Self {
            low: (self.low - pad).max(f64::MIN),
            high: (self.high + pad).min(f64::MAX),
        }
    }

    /// Where a number is, 0 at the low end and 1 at the high one.
    pub(super) fn share(self, number: f64) -> f64 {
        (number / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }

    /// Round numbers within the range, about `count` of them, with their texts.
    pub(super) fn ticks(self, count: usize) -> Vec<(f64, String)> {
        let rough = (self.high / 2.0 - self.low / 2.0) / count.max(1) as f64 * 2.0;
        let power = 10_f64.powf(rough.log10().floor());
        let factors = [1.0, 2.0, 5.0, 10.0];
        let factor = factors
            .into_iter()
            .find(|factor| factor * power >= rough * 0.7);
        let step = factor.unwrap_or(10.0) * power;
        if !step.is_finite() || step <= 0.0 {
            return vec![
                (self.low, label(self.low, 0.0)),
                (self.high, label(self.high, 0.0)),
            ];
        }
        let first = (self.low / step - 1e-9).ceil();
        let ticks = (0..=2 * count).map(|index| (first + index as f64) * step);
        let ticks = ticks.take_while(|tick| *tick <= self.high + step * 1e-9);
        ticks.map(|tick| (tick, label(tick, step))).collect()
    }
}

/// A number's text; `step` is the distance to the next one.
fn label(number: f64, step: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    match number.abs() {
        size if !(1e-4..1e7).contains(&size) => format!("{number:.1e}"),
        size if size >= 1e4 => format!("{}k", trim(&format!("{:.3}", number / 1e3))),
        _ => {
            let digits = if step > 0.0 {
                -step.log10().floor()
            } else {
                3.0
            };
            format!("{number:.*}", digits.clamp(0.0, 7.0) as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64) -> Vec<String> {
        let ticks = Scale { low, high }.ticks(4);
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(0.13, 0.94), ["0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(-3.0, 100.0), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(12_000.0, 15_000.0), ["12k", "13k", "14k", "15k"]);
        assert_eq!(
            labels(1e-6, 3e-6),
            ["1.0e-6", "1.5e-6", "2.0e-6", "2.5e-6", "3.0e-6"]
        );
        assert!(labels(f64::MIN, f64::MAX).len() > 1);
    }

    #[test]
    fn a_range_has_a_length() {
        let of = |numbers: &[f64]| Scale::of(numbers.iter().copied());
        assert_eq!(of(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(
            of(&[2.0, f64::NAN, 1.0]),
            Some(Scale {
                low: 1.0,
                high: 2.0
            })
        );
        assert_eq!(
            of(&[0.0]),
            Some(Scale {
                low: -1.0,
                high: 1.0
            })
        );
        let wide = of(&[f64::MIN, f64::MAX]).expect("finite");
        assert_eq!((wide.share(f64::MIN), wide.share(f64::MAX)), (0.0, 1.0));
    }
}
