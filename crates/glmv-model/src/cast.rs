//! Stored bytes to f32, and f32 to f16, with every value checked to be finite.

use crate::Error;
use crate::checkpoint::Stored;
use half::f16;
use rayon::prelude::*;
use safetensors::tensor::Dtype;

/// Elements `range` of `stored` as f32, checked to be finite.
pub(crate) fn decode(
    stored: &Stored<'_>,
    range: std::ops::Range<usize>,
    name: &str,
) -> Result<Vec<f32>, Error> {
    let width = match stored.dtype {
        Dtype::F32 => 4,
        _ => 2,
    };
    let bytes = &stored.bytes[range.start * width..range.end * width];
    let mut values = vec![0f32; range.len()];
    // One loop per type, so that each vectorises.
    match stored.dtype {
        Dtype::F32 => convert(&mut values, bytes, |b: [u8; 4]| f32::from_le_bytes(b)),
        Dtype::F16 => convert(&mut values, bytes, |b: [u8; 2]| {
            f16::from_le_bytes(b).to_f32()
        }),
        _ => convert(&mut values, bytes, |b: [u8; 2]| {
            // bfloat16 is the upper half of a float32.
            f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
        }),
    }
    match first_non_finite(&values, |v| v.is_finite()) {
        Some(i) => Err(Error::NotFinite {
            name: name.to_string(),
            index: range.start + i,
            value: values[i],
        }),
        None => Ok(values),
    }
}

fn convert<const W: usize>(
    values: &mut [f32],
    bytes: &[u8],
    to_f32: impl Fn([u8; W]) -> f32 + Sync,
) {
    const CHUNK: usize = 1 << 16;
    let (elements, _) = bytes.as_chunks::<W>();
    values
        .par_chunks_mut(CHUNK)
        .zip(elements.par_chunks(CHUNK))
        .for_each(|(out, elements)| {
            for (o, b) in out.iter_mut().zip(elements) {
                *o = to_f32(*b);
            }
        });
}

/// Index of the first value that is NaN or infinite; looks at whole chunks before single values.
fn first_non_finite<T: Sync>(values: &[T], finite: impl Fn(&T) -> bool + Sync) -> Option<usize> {
    const CHUNK: usize = 1 << 16;
    values
        .par_chunks(CHUNK)
        .enumerate()
        .find_map_first(|(i, chunk)| {
            let all = chunk.iter().fold(true, |all, v| all & finite(v));
            let first = if all {
                None
            } else {
                chunk.iter().position(|v| !finite(v))
            };
            first.map(|at| i * CHUNK + at)
        })
}

/// `values` as f16.
///
/// # Errors
/// [`Error::NotFinite`] if one overflows.
pub(crate) fn to_half(values: &[f32], name: &str) -> Result<Vec<f16>, Error> {
    let halves: Vec<f16> = values.par_iter().map(|v| f16::from_f32(*v)).collect();
    match first_non_finite(&halves, |v| v.is_finite()) {
        Some(index) => Err(Error::NotFinite {
            name: format!("{name} (as f16)"),
            index,
            value: values[index],
        }),
        None => Ok(halves),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_finite_values_are_named() {
        let bytes: Vec<u8> = [1.0f32, f32::NAN]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let stored = Stored {
            dtype: Dtype::F32,
            shape: &[2],
            bytes: &bytes,
        };
        let error = decode(&stored, 0..2, "w").unwrap_err().to_string();
        assert!(error.contains("tensor w holds NaN at element 1"), "{error}");
        assert!(
            to_half(&[1.0, 70_000.0], "w")
                .unwrap_err()
                .to_string()
                .contains("as f16")
        );
    }
}
