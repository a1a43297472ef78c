//! The past of one number: what it was at the start, before and now.

use std::collections::VecDeque;

use super::trend::{Trend, median};

/// Values that make up the start of a run.
const START: usize = 16;

/// The latest values of a signal, by step.
#[derive(Debug, Default)]
pub(super) struct Series {
    points: VecDeque<(u64, f64)>,
    start: Vec<(u64, f64)>,
}

/// A comparison of two stretches of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// First step of the recent stretch.
    pub(super) since_step: u64,
    /// Median before.
    pub(super) before: f64,
    /// Median of the recent stretch.
    pub(super) now: f64,
}

impl Series {
    pub(super) fn push(&mut self, step: u64, value: f64, most: usize) {
        if self.start.len() < START {
            self.start.push((step, value));
        }
        if self.points.len() >= most {
            self.points.pop_front();
        }
        self.points.push_back((step, value));
    }

    /// Forgets what came at `step` or later.
    pub(super) fn rewind(&mut self, step: u64) {
        while self.points.back().is_some_and(|(at, _)| *at >= step) {
            self.points.pop_back();
        }
        self.start.retain(|(at, _)| *at < step);
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    pub(super) fn last(&self) -> Option<(u64, f64)> {
        self.points.back().copied()
    }

    /// Step of the `n`-th value from the end (1 is the last), or of the first one there is.
    pub(super) fn step_back(&self, n: usize) -> Option<u64> {
        let at = self.points.len().saturating_sub(n);
        self.points.get(at).map(|(step, _)| *step)
    }

    /// Values from `step` on.
    pub(super) fn since(&self, step: u64) -> Vec<(f64, f64)> {
        let first = self.points.partition_point(|(at, _)| *at < step);
        let points = self.points.range(first..);
        points.map(|(at, value)| (*at as f64, *value)).collect()
    }

    /// Medians of the last `recent` values and of the `reference` before them.
    pub(super) fn shift(&self, recent: usize, reference: usize) -> Option<Shift> {
        let first = self.points.len().checked_sub(recent + reference)?;
        let middle = first + reference;
        Some(Shift {
            since_step: self.points[middle].0,
            before: self.median(first, middle)?,
            now: self.median(middle, self.points.len())?,
        })
    }

    /// Medians of the last `recent` values and of the start of the run.
    pub(super) fn since_start(&self, recent: usize) -> Option<Shift> {
        let middle = self.points.len().checked_sub(recent)?;
        if self.start.len() < START {
            return None;
        }
        let mut start: Vec<f64> = self.start.iter().map(|(_, value)| *value).collect();
        Some(Shift {
            since_step: self.start[START - 1].0,
            before: median(&mut start)?,
            now: self.median(middle, self.points.len())?,
        })
    }

    /// Robust standard deviation of the reference around its own line.
    pub(super) fn reference_sigma(&self, recent: usize, reference: usize) -> Option<f64> {
        let first = self.points.len().checked_sub(recent + reference)?;
        let points = self.points.range(first..first + reference);
        let points: Vec<_> = points.map(|(step, value)| (*step as f64, *value)).collect();
        Trend::fit(&points, 1.0).map(|trend| trend.sigma)
    }

    fn median(&self, first: usize, end: usize) -> Option<f64> {
        let values = self.points.range(first..end);
        median(&mut values.map(|(_, value)| *value).collect::<Vec<_>>())
    }
}

/// At most `bins` points, each the mean of a stretch of neighbours.
pub(super) fn binned(points: &[(f64, f64)], bins: usize) -> Vec<(f64, f64)> {
    let per_bin = points.len().div_ceil(bins).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        let (x, y) = chunk
            .iter()
            .fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (x / n, y / n)
    };
    points.chunks(per_bin).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_compared() {
        let mut series = Series::default();
        for step in 0..20 {
            series.push(step, if step < 16 { 1.0 } else { 3.0 }, 100);
        }
        let shift = series.shift(4, 8).expect("long enough");
        assert_eq!((shift.since_step, shift.before, shift.now), (16, 1.0, 3.0));
        assert_eq!(
            series.since_start(4),
            Some(Shift {
                since_step: 15,
                ..shift
            })
        );
        assert_eq!(series.shift(4, 17), None);
        assert_eq!(series.reference_sigma(4, 8), Some(0.0));
        series.rewind(10);
        assert_eq!((series.len(), series.since_start(4)), (10, None));
        assert_eq!(series.since(8), [(8.0, 1.0), (9.0, 1.0)]);
        assert_eq!(
            (series.step_back(2), series.step_back(99)),
            (Some(8), Some(0))
        );
    }

    #[test]
    fn bins_are_means() {
        let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)];
        assert_eq!(binned(&points, 2), [(0.5, 2.0), (2.0, 5.0)]);
        assert_eq!(binned(&points, 3), points);
        assert!(binned(&[], 3).is_empty());
    }
}
