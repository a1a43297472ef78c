//! Which frames of a video the model sees. Called by the video processor, and by `glmv verify` for
//! the golden kind `video_sampling`.

/// Arguments of [`sample_frames`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingArgs {
    /// Frames of the video.
    pub total_num_frames: usize,
    /// Frames per second of the video.
    pub fps: f64,
    /// Length in seconds; computed from the frames when missing or 0.
    pub duration_secs: Option<f64>,
    /// Frames per second wanted (2 for the released models).
    pub target_fps: f64,
    /// Longest video sampled at `target_fps`, in seconds (300); longer ones get as many frames
    /// spread evenly.
    pub max_duration_secs: f64,
}

/// Why a video cannot be sampled.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// There is no frame.
    #[error("the video has no frames")]
    NoFrames,
    /// A rate or length is not a usable number.
    #[error("{name}: expected {expected}, found {found}")]
    Number {
        /// Which argument.
        name: &'static str,
        /// What would have been accepted.
        expected: &'static str,
        /// What was given.
        found: f64,
    },
}

/// Most frames that are ever sampled: far above the 600 of the released settings.
const MAX_SAMPLES: f64 = 65_536.0;

/// Indices of the frames to show, ascending, an even number of them (the last is repeated if need
/// be).
///
/// Source: HF `Glm4vVideoProcessor.sample_frames`.
///
/// # Errors
/// [`SamplingError`] for a video without frames, or a rate or length that is not a positive finite
/// number.
pub fn sample_frames(args: &SamplingArgs) -> Result<Vec<usize>, SamplingError> {
    let Some(last) = args.total_num_frames.checked_sub(1) else {
        return Err(SamplingError::NoFrames);
    };
    let &SamplingArgs {
        total_num_frames,
        fps,
        target_fps,
        max_duration_secs,
        ..
    } = args;
    let duration = checked_duration(args, last)?;
    // The check bounds every float below, and `as` truncates as Python's `int` does.
    let at = |frame: f64| (frame.ceil() as usize).min(last);
    let mut indices: Vec<usize> = if duration <= max_duration_secs {
        let count = ((duration * target_fps).floor() as usize).max(1);
        (0..count)
            .map(|i| at(i as f64 * fps / target_fps))
            .collect()
    } else {
        let count = (max_duration_secs * target_fps) as usize;
        if count >= total_num_frames {
            (0..total_num_frames).collect()
        } else {
            linspace(duration, count).map(|t| at(t * fps)).collect()
        }
    };
    // The indices never decrease, so equal ones are neighbours.
    indices.dedup();
    if indices.len() % 2 == 1 {
        indices.extend(indices.last().copied());
    }
    Ok(indices)
}

/// Checks the rates and lengths; gives the duration in seconds, computed from the frames when it is
/// missing or 0.
fn checked_duration(args: &SamplingArgs, last: usize) -> Result<f64, SamplingError> {
    let wrong = |name, expected, found| {
        Err(SamplingError::Number {
            name,
            expected,
            found,
        })
    };
    for (name, value) in [
        ("fps", args.fps),
        ("target fps", args.target_fps),
        ("max duration", args.max_duration_secs),
    ] {
        if !(value > 0.0 && value.is_finite()) {
            return wrong(name, "a positive number", value);
        }
    }
    let most = args.max_duration_secs * args.target_fps;
    if most > MAX_SAMPLES {
        return wrong("sampled frames", "at most 65536", most);
    }
    match args.duration_secs {
        Some(d) if d < 0.0 || !d.is_finite() => wrong("duration", "a number of seconds", d),
        Some(d) if d > 0.0 => Ok(d),
        _ => Ok((last as f64 / args.fps).round_ties_even() + 1.0),
    }
}

/// `count` points from 0 to `end` inclusive, as numpy's `linspace` computes them.
fn linspace(end: f64, count: usize) -> impl Iterator<Item = f64> {
    let gaps = count.saturating_sub(1);
    let step = end / gaps.max(1) as f64;
    (0..count).map(move |i| {
        if i > 0 && i == gaps {
            end
        } else {
            i as f64 * step
        }
    })
}

/// Whole seconds written after every frame pair: `int(index / fps)` of its first frame, where pairs
/// are two consecutive entries of `indices`.
///
/// Source: HF `Glm4vProcessor` (timestamps at even positions).
#[must_use]
pub fn pair_seconds(indices: &[usize], fps: f64) -> Vec<u64> {
    // A frame index over a positive rate is finite and not negative; `as` truncates as Python's
    // `int` does.
    indices
        .iter()
        .step_by(2)
        .map(|&i| (i as f64 / fps) as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn args(total: usize, fps: f64, duration_secs: Option<f64>) -> SamplingArgs {
        SamplingArgs {
            total_num_frames: total,
            fps,
            duration_secs,
            target_fps: 2.0,
            max_duration_secs: 300.0,
        }
    }

    #[test]
    fn unusable_numbers_are_errors() {
        assert_eq!(
            sample_frames(&args(0, 5.0, None)),
            Err(SamplingError::NoFrames)
        );
        for fps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(sample_frames(&args(3, fps, None)).is_err(), "{fps}");
        }
        assert!(sample_frames(&args(3, 5.0, Some(-1.0))).is_err());
        assert!(sample_frames(&args(3, 5.0, Some(f64::NAN))).is_err());
    }

    proptest! {
        #[test]
        fn indices_are_even_in_number_and_inside(
            total in 1_usize..5000,
            fps in 0.01_f64..240.0,
            duration in proptest::option::of(0.0_f64..2000.0),
        ) {
            let indices = sample_frames(&args(total, fps, duration)).expect("valid arguments");
            prop_assert!(!indices.is_empty() && indices.len().is_multiple_of(2) && indices.len() <= 602);
            prop_assert!(indices.is_sorted());
            prop_assert!(indices.iter().all(|&i| i < total));
            prop_assert_eq!(pair_seconds(&indices, fps).len() * 2, indices.len());
        }
    }
}
