//! The products against references in f64, and against themselves: the same bits for any rows,
//! threads and weight types.

mod experts;
mod grad;
mod linear;

use glmv_cpu::Matrix;
use glmv_quant::{Format, Packed, quantise};
use half::f16;

/// Fixed values in -1..1.
pub fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Owner of a matrix in one of the four types.
pub enum Stored {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Packed(Packed),
}

/// The same weights in each type, and what each type makes of them in f32.
pub fn stored(w: &[f32], [rows, cols]: [usize; 2]) -> Vec<(&'static str, Stored, Vec<f32>)> {
    let half: Vec<f16> = w.iter().map(|v| f16::from_f32(*v)).collect();
    let widened = half.iter().map(|v| v.to_f32()).collect();
    let mut all = vec![
        ("f32", Stored::F32(w.to_vec()), w.to_vec()),
        ("f16", Stored::F16(half), widened),
    ];
    for format in Format::ALL {
        let packed = quantise(format, w, rows, cols).unwrap();
        let back = packed.view().dequantise();
        all.push((format.name(), Stored::Packed(packed), back));
    }
    all
}

impl Stored {
    pub fn matrix(&self, shape: [usize; 2]) -> Matrix<'_> {
        match self {
            Stored::F32(values) => Matrix::f32(values, shape).unwrap(),
            Stored::F16(values) => Matrix::f16(values, shape).unwrap(),
            Stored::Packed(packed) => Matrix::packed(packed.view()),
        }
    }
}

/// `a[m, k] · b`, element (p, j) of `b` at `p * row + j * col`, in f64, with the bound on what
/// summing in f32 may change.
pub fn reference(
    a: &[f32],
    b: &[f32],
    [m, n, k]: [usize; 3],
    [row, col]: [usize; 2],
) -> Vec<(f64, f64)> {
    (0..m * n)
        .map(|ij| {
            let (i, j) = (ij / n, ij % n);
            let terms = (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * row + j * col]));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, t), v| (s + v, t + v.abs()));
            // Lanes of at least two: k / 2 additions and a few for the lanes.
            (sum, 6e-8 * size * (k as f64).sqrt().max(4.0) + 1e-12)
        })
        .collect()
}

/// Whether every value is within its bound; a NaN is not.
pub fn all_within(found: &[f32], expected: &[(f64, f64)]) -> Result<(), String> {
    assert_eq!(found.len(), expected.len(), "lengths");
    for (i, (found, (value, bound))) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - value).abs();
        if error.is_nan() || error > *bound {
            return Err(format!(
                "element {i} is {found}, expected {value} ± {bound:e}"
            ));
        }
    }
    Ok(())
}

/// First element whose bits differ; the length of the shorter one if only the lengths do.
pub fn difference(a: &[f32], b: &[f32]) -> Option<usize> {
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    let first = a.iter().zip(b).position(differs);
    first.or_else(|| (a.len() != b.len()).then_some(a.len().min(b.len())))
}

/// Runs `f` on a pool of its own.
pub fn with_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
        .install(f)
}

#[test]
fn the_comparison_can_fail() {
    let (a, b) = (values(1, 40), values(2, 40));
    let expected = reference(&a, &b, [1, 1, 40], [1, 40]);
    let sum = expected[0].0 as f32;
    all_within(&[sum], &expected).unwrap();
    assert!(all_within(&[sum * 1.01], &expected).is_err());
    assert!(all_within(&[f32::NAN], &expected).is_err());
    assert_eq!(difference(&a, &a), None);
    assert_eq!(difference(&[1.0, 0.0], &[1.0, -0.0]), Some(1));
    assert_eq!(difference(&a[1..], &a), Some(0));
    assert_eq!(difference(&a[..39], &a), Some(39));
}

#[test]
fn this_machine_has_a_level() {
    let bits = glmv_cpu::level();
    println!("{bits}-bit vectors");
    assert!([64, 128, 256, 512].contains(&bits), "{bits}");
}
