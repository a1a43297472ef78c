//! How far each signal may go.

use super::series::Shift;
use super::{Signal, WatchConfig};

/// How far a signal may go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Threshold {
    /// Times its value before.
    Factor(f64),
    /// Above its value before.
    Rise(f64),
    /// Below its value before.
    Fall(f64),
    /// Below this share of its value before.
    Share(f64),
}

impl Threshold {
    pub(super) fn is_passed(self, shift: &Shift) -> bool {
        match self {
            Self::Factor(factor) => shift.before > 0.0 && shift.now >= factor * shift.before,
            Self::Rise(rise) => shift.now - shift.before >= rise,
            Self::Fall(fall) => shift.before - shift.now >= fall,
            Self::Share(share) => shift.before > 0.0 && shift.now <= share * shift.before,
        }
    }

    /// True where deviations count as a share of the value before.
    pub(super) fn is_relative(self) -> bool {
        matches!(self, Self::Factor(_) | Self::Share(_))
    }
}

/// Thresholds of a signal: for a jump, for the way from the start, and the least deviation that
/// counts as noise.
pub(super) fn thresholds(
    config: &WatchConfig,
    signal: Signal,
) -> Option<(Threshold, Threshold, f64)> {
    use Threshold::{Factor, Fall, Rise, Share};
    match signal {
        Signal::HeldOut => None, // a matter of trends
        Signal::Length => Some((
            Factor(config.length_ratio),
            Factor(config.length_limit),
            0.02,
        )),
        Signal::Repetition => Some((
            Rise(config.repetition_rise),
            Rise(config.repetition_limit),
            0.005,
        )),
        Signal::FormatRate => Some((Fall(config.format_fall), Fall(config.format_limit), 0.005)),
        Signal::Entropy | Signal::FormatEntropy => Some((
            Share(1.0 - config.entropy_fall),
            Share(config.entropy_limit),
            0.01,
        )),
    }
}
