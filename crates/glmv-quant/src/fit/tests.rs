//! The fit of q4 against the plain choice, on blocks of several distributions.

use super::*;

/// A fixed stream of values in [0, 1).
struct Stream(u64);

impl Stream {
    fn uniform(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / 16_777_216.0
    }

    /// Normal values by the sum of twelve uniform ones.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

fn squared_error(x: &[f32; BLOCK], fit: &Fit) -> f64 {
    x.iter()
        .zip(&fit.codes)
        .map(|(x, q)| (f64::from(*x) - f64::from(fit.scale * q)).powi(2))
        .sum()
}

/// Mean squared error of the search over that of absmax in both its forms, over many blocks.
fn ratios(mut draw: impl FnMut(&mut Stream) -> f32) -> [f64; 2] {
    let mut stream = Stream(7);
    let (mut searched, mut signed, mut symmetric) = (0.0, 0.0, 0.0);
    for _ in 0..4000 {
        let x: [f32; BLOCK] = std::array::from_fn(|_| draw(&mut stream));
        let error = squared_error(&x, &fit_q4(&x, &[1.0; BLOCK]));
        let plain = absmax_fits(&x).map(|fit| squared_error(&x, &fit));
        for plain in plain {
            assert!(
                error <= plain * 1.0001,
                "search {error} is worse than absmax {plain}: {x:?}"
            );
        }
        searched += error;
        signed += plain[0];
        symmetric += plain[1];
    }
    [searched / signed, searched / symmetric]
}

#[test]
fn the_search_beats_absmax() {
    let normal = ratios(|s| 0.02 * s.normal());
    let uniform = ratios(|s| s.uniform() - 0.5);
    let heavy = ratios(|s| 0.02 * s.normal().powi(3));
    println!("q4 mean squared error over absmax at -8 and at 7:");
    println!("normal {normal:.3?}, uniform {uniform:.3?}, cubed normal {heavy:.3?}");
    assert!(normal[0] < 0.90 && normal[1] < 0.70, "normal {normal:?}");
    assert!(
        uniform[0] < 0.83 && uniform[1] < 0.83,
        "uniform {uniform:?}"
    );
    assert!(heavy[0] < 0.95 && heavy[1] < 0.80, "cubed normal {heavy:?}");
}

#[test]
fn importance_moves_the_error_to_unimportant_columns() {
    let mut stream = Stream(3);
    let w: [f32; BLOCK] = std::array::from_fn(|i| if i < 4 { 100.0 } else { 1.0 });
    let (mut weighted, mut plain) = (0.0, 0.0);
    for _ in 0..500 {
        let x: [f32; BLOCK] = std::array::from_fn(|_| stream.normal());
        for (fit, total) in [
            (fit_q4(&x, &w), &mut weighted),
            (fit_q4(&x, &[1.0; BLOCK]), &mut plain),
        ] {
            *total += (0..BLOCK)
                .map(|i| f64::from(w[i]) * f64::from(x[i] - fit.scale * fit.codes[i]).powi(2))
                .sum::<f64>();
        }
    }
    assert!(weighted < 0.9 * plain, "{weighted} against {plain}");
}

#[test]
fn both_signs_of_the_scale_occur() {
    let mut x = [0.1; BLOCK];
    x[5] = 8.0;
    assert!(fit_q4(&x, &[1.0; BLOCK]).scale < 0.0);
    x[5] = -8.0;
    assert!(fit_q4(&x, &[1.0; BLOCK]).scale > 0.0);
}

#[test]
fn all_zero_importance_counts_as_equal() {
    let x: [f32; BLOCK] = std::array::from_fn(|i| i as f32);
    let (a, b) = (fit_q4(&x, &[0.0; BLOCK]), fit_q4(&x, &[1.0; BLOCK]));
    assert_eq!((a.scale, a.codes), (b.scale, b.codes));
}
