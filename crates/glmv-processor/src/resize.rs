//! Target size of a picture or clip: rounds to whole merge blocks inside the pixel limits. Called
//! by the picture and video processors before resampling, and by `glmv verify` for the golden kind
//! `smart_resize`.

/// Sides may differ by at most this factor (HF raises above it).
pub const MAX_ASPECT_RATIO: f64 = 200.0;

/// Arguments of [`smart_resize`]. All limits count **pixels times frames**.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizeArgs {
    /// Frames; a still picture counts as `temporal_factor` frames.
    pub num_frames: u64,
    /// Source height in pixels.
    pub height: u64,
    /// Source width in pixels.
    pub width: u64,
    /// Frames per patch in time (`temporal_patch_size`, 2).
    pub temporal_factor: u64,
    /// Sides become multiples of this: `patch_size * merge_size` (28 for the released models).
    pub factor: u64,
    /// Lower limit of frames x height x width (`size.shortest_edge`).
    pub min_pixels: u64,
    /// Upper limit of frames x height x width (`size.longest_edge`).
    pub max_pixels: u64,
}

/// Why a picture or clip has no target size.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// A side, the factor or the temporal factor is zero, or a product leaves the exact range.
    #[error("size {height}x{width} is empty or beyond what can be computed exactly")]
    OutOfRange {
        /// Height in pixels.
        height: u64,
        /// Width in pixels.
        width: u64,
    },
    /// Fewer frames than one patch needs.
    #[error("{found} frame(s), but at least {expected} are needed")]
    TooFewFrames {
        /// Frames needed.
        expected: u64,
        /// Frames given.
        found: u64,
    },
    /// One side is more than 200 times the other.
    #[error(
        "aspect ratio {ratio:.1} of {height}x{width} (height x width) exceeds {MAX_ASPECT_RATIO}"
    )]
    AspectRatio {
        /// Source height in pixels.
        height: u64,
        /// Source width in pixels.
        width: u64,
        /// Longer side over shorter side.
        ratio: f64,
    },
}

/// Target `(height, width)` in pixels of a picture or clip; both are positive multiples of
/// `args.factor`.
///
/// Source: HF `smart_resize` of `image_processing_glm4v` (float64 arithmetic, quotients rounded
/// half to even).
///
/// # Errors
/// [`ResizeError`] when there are fewer than `temporal_factor` frames, when a side is zero, or when
/// the sides (after scaling a picture smaller than `factor` up) differ by more than a factor of
/// 200.
pub fn smart_resize(args: &ResizeArgs) -> Result<(u64, u64), ResizeError> {
    let ResizeArgs {
        num_frames,
        temporal_factor,
        factor,
        ..
    } = *args;
    if num_frames < temporal_factor {
        return Err(ResizeError::TooFewFrames {
            expected: temporal_factor,
            found: num_frames,
        });
    }
    let out_of_range = ResizeError::OutOfRange {
        height: args.height,
        width: args.width,
    };
    let sides = [args.height, args.width, factor];
    if sides.iter().any(|&s| s == 0 || s > 1 << 24) || temporal_factor == 0 || num_frames > 1 << 24
    {
        return Err(out_of_range);
    }
    let f = factor as f64;
    let (mut height, mut width) = (args.height as f64, args.width as f64);
    if height < f || width < f {
        let scale = (f / height).max(f / width);
        height = (height * scale).trunc();
        width = (width * scale).trunc();
    }
    let ratio = height.max(width) / height.min(width);
    if ratio > MAX_ASPECT_RATIO {
        return Err(ResizeError::AspectRatio {
            height: args.height,
            width: args.width,
            ratio,
        });
    }
    let (h_bar, w_bar) = fitted(args, height, width);
    match (whole(h_bar), whole(w_bar)) {
        (Some(h), Some(w)) => Ok((h, w)),
        _ => Err(out_of_range),
    }
}

/// `height` and `width` rounded to whole factors, then scaled into the pixel limits where they are
/// outside.
fn fitted(args: &ResizeArgs, height: f64, width: f64) -> (f64, f64) {
    let (f, t) = (args.factor as f64, args.temporal_factor as f64);
    let (min_pixels, max_pixels) = (args.min_pixels as f64, args.max_pixels as f64);
    let volume = args.num_frames as f64 * height * width;
    let t_bar = (args.num_frames as f64 / t).round_ties_even() * t;
    let h_bar = (height / f).round_ties_even() * f;
    let w_bar = (width / f).round_ties_even() * f;
    if t_bar * h_bar * w_bar > max_pixels {
        let beta = (volume / max_pixels).sqrt();
        let shrunk = |side: f64| f.max((side / beta / f).floor() * f);
        (shrunk(height), shrunk(width))
    } else if t_bar * h_bar * w_bar < min_pixels {
        let beta = (min_pixels / volume).sqrt();
        let grown = |side: f64| (side * beta / f).ceil() * f;
        (grown(height), grown(width))
    } else {
        (h_bar, w_bar)
    }
}

/// `value` as an integer when it is a positive whole number below 2^32.
fn whole(value: f64) -> Option<u64> {
    // The range check makes the conversion exact.
    ((1.0..4_294_967_296.0).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn args(num_frames: u64, height: u64, width: u64) -> ResizeArgs {
        ResizeArgs {
            num_frames,
            height,
            width,
            temporal_factor: 2,
            factor: 28,
            min_pixels: 12_544,
            max_pixels: 9_633_792,
        }
    }

    #[test]
    fn extreme_sides_are_errors() {
        assert!(matches!(
            smart_resize(&args(2, 1, 400)),
            Err(ResizeError::AspectRatio { .. })
        ));
        assert!(matches!(
            smart_resize(&args(1, 56, 56)),
            Err(ResizeError::TooFewFrames { .. })
        ));
        assert!(matches!(
            smart_resize(&args(2, 0, 56)),
            Err(ResizeError::OutOfRange { .. })
        ));
        assert!(matches!(
            smart_resize(&args(2, u64::MAX, 56)),
            Err(ResizeError::OutOfRange { .. })
        ));
        assert_eq!(smart_resize(&args(2, 1, 1)), Ok((84, 84)));
    }

    proptest! {
        #[test]
        fn sides_are_multiples_inside_the_limits(h in 1u64..6000, w in 1u64..6000, f in 2u64..64) {
            let a = args(f, h, w);
            if let Ok((rh, rw)) = smart_resize(&a) {
                prop_assert_eq!(rh % 28, 0);
                prop_assert_eq!(rw % 28, 0);
                prop_assert!(rh >= 28 && rw >= 28);
                // A side held at one block may exceed the limit; otherwise the limit holds.
                let t_bar = (f as f64 / 2.0).round_ties_even() as u64 * 2;
                if rh > 28 && rw > 28 {
                    prop_assert!(t_bar.min(f) * rh * rw <= a.max_pixels);
                }
                prop_assert!(f.max(t_bar) * rh * rw >= a.min_pixels);
            } else {
                let ratio = h.max(w) as f64 / h.min(w) as f64;
                prop_assert!(ratio > 150.0);
            }
        }
    }
}
