//! Dropout of an adapter's input. What is dropped follows from a seed alone, so that a pass that runs
//! twice, as recomputed layers do, drops the same values both times, on every device.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

/// A module's dropout; off without a seed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noise {
    /// In [0, 1).
    pub(crate) rate: f64,
    /// Of one pass, mixed with the module's name.
    pub(crate) seed: Option<u64>,
}

impl Noise {
    /// `x` with each value kept with probability `1 - rate` and divided by it, or `x` itself.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self.seed {
            Some(seed) if self.rate > 0.0 => {
                let dims = x.dims();
                let factors = factors(dims.iter().product(), self.rate, seed);
                let factors = Tensor::from_data(TensorData::new(factors, dims), &x.device());
                x * factors
            }
            _ => x,
        }
    }
}

/// Values whose four draws come from one number.
const DRAWS: usize = 4;

/// 0 with probability `rate`, else `1 / (1 - rate)`, `n` times.
fn factors(n: usize, rate: f64, seed: u64) -> Vec<f32> {
    let keep = (1.0 / (1.0 - rate)) as f32;
    let below = (rate * f64::from(1u32 << 16)).round() as u64;
    let mut out = vec![0f32; n];
    let chunks = out.par_chunks_mut(DRAWS).enumerate().with_min_len(1 << 12);
    chunks.for_each(|(i, chunk)| {
        let bits = mix(seed ^ mix(i as u64));
        for (j, value) in chunk.iter_mut().enumerate() {
            if (bits >> (16 * j)) & 0xffff >= below {
                *value = keep;
            }
        }
    });
    out
}

/// SplitMix64's output function of the state after `value` (Steele and others, 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number for a name and a seed.
pub(crate) fn of_name(seed: u64, name: &str) -> u64 {
    name.bytes()
        .fold(mix(seed), |at, byte| mix(at ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_dropped_at_their_rate_and_by_their_seed() {
        let all = factors(100_003, 0.25, 7);
        let dropped = all.iter().filter(|v| **v == 0.0).count();
        assert!((24_000..26_000).contains(&dropped), "{dropped}");
        assert!(
            all.iter()
                .all(|v| *v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6)
        );
        assert_eq!(all, factors(100_003, 0.25, 7));
        assert_ne!(all, factors(100_003, 0.25, 8));
        assert_ne!(of_name(1, "a"), of_name(1, "b"));
        assert_ne!(of_name(1, "a"), of_name(2, "a"));
    }

    #[test]
    fn nothing_is_dropped_without_a_seed() {
        let device = burn::tensor::Device::flex();
        let x = Tensor::<2>::ones([3, 5], &device);
        let run = |seed| {
            let y = Noise { rate: 0.5, seed }.apply(x.clone());
            glmv_kernels::device::read(y).expect("host memory")
        };
        assert_eq!(run(None), vec![1.0; 15]);
        assert_ne!(run(Some(1)), vec![1.0; 15]);
    }
}
