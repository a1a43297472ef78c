//! Packing and unpacking through the public interface: bounds, awkward shapes, bad input.

use glmv_quant::{
    BLOCK, Damage, Error, Format, MIN_SCALE, Packed, View, quantise, quantise_weighted,
};
use proptest::prelude::*;

/// Half a step of the block of `x`, plus what rounding the scale to f16 can add.
fn bound(format: Format, block: &[f32]) -> f32 {
    let largest = block.iter().fold(0f32, |m, v| m.max(v.abs()));
    let top = match format {
        Format::Q8 => 127.0,
        Format::Q4 => 8.0,
    };
    (largest / top).max(MIN_SCALE) * 0.5 + largest * 1e-3
}

fn matrix() -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
    (0usize..5, 0usize..100, -20i32..16).prop_flat_map(|(rows, cols, exponent)| {
        let unit = 2f32.powi(exponent);
        let value = (-1f32..1f32).prop_map(move |v| v * unit);
        proptest::collection::vec(value, rows * cols).prop_map(move |v| (rows, cols, v))
    })
}

proptest! {
    #[test]
    fn q8_is_within_half_a_step((rows, cols, values) in matrix()) {
        let packed = quantise(Format::Q8, &values, rows, cols).unwrap();
        let back = packed.view().dequantise();
        prop_assert_eq!(back.len(), values.len());
        for (row, back) in values.chunks(cols.max(1)).zip(back.chunks(cols.max(1))) {
            for (block, back) in row.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                let bound = bound(Format::Q8, block);
                for (x, y) in block.iter().zip(back) {
                    prop_assert!((x - y).abs() <= bound, "{} became {}, bound {}", x, y, bound);
                }
            }
        }
    }

    #[test]
    fn q4_error_is_within_the_plain_choice((rows, cols, values) in matrix()) {
        let packed = quantise(Format::Q4, &values, rows, cols).unwrap();
        let back = packed.view().dequantise();
        for (row, back) in values.chunks(cols.max(1)).zip(back.chunks(cols.max(1))) {
            for (block, back) in row.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                // Symmetric absmax, codes of at most 7, keeps every error within half a step.
                let largest = block.iter().fold(0f32, |m, v| m.max(v.abs()));
                let step = (largest / 7.0).max(MIN_SCALE);
                let limit = block.len() as f64 * f64::from(0.5 * step + 1e-3 * largest).powi(2);
                let error: f64 =
                    block.iter().zip(back).map(|(x, y)| f64::from(x - y).powi(2)).sum();
                prop_assert!(error <= limit, "{} over {}", error, limit);
            }
        }
    }

    #[test]
    fn packing_packed_values_again_changes_nothing_in_q8((rows, cols, values) in matrix()) {
        let once = quantise(Format::Q8, &values, rows, cols).unwrap().view().dequantise();
        let twice = quantise(Format::Q8, &once, rows, cols).unwrap().view().dequantise();
        for (a, b) in once.iter().zip(&twice) {
            prop_assert!((a - b).abs() <= 2e-3 * a.abs(), "{} then {}", a, b);
        }
    }

    #[test]
    fn scales_are_zero_or_normal((rows, cols, values) in matrix()) {
        for format in Format::ALL {
            let packed = quantise(format, &values, rows, cols).unwrap();
            for word in packed.scales() {
                for half in [word & 0xffff, word >> 16] {
                    let exponent = half >> 10 & 31;
                    prop_assert!(half == 0 || (1..31).contains(&exponent), "{:#06x}", half);
                }
            }
        }
    }

    #[test]
    fn rows_in_pieces_equal_rows_at_once((rows, cols, values) in matrix(), cut in 0usize..5) {
        let cut = cut.min(rows);
        for format in Format::ALL {
            let whole = quantise(format, &values, rows, cols).unwrap();
            let mut pieces = Packed::zeros(format, rows, cols).unwrap();
            pieces.set_rows(cut, &values[cut * cols..], None).unwrap();
            pieces.set_rows(0, &values[..cut * cols], None).unwrap();
            prop_assert_eq!(&whole, &pieces);
            let back = whole.view().dequantise();
            let tail = whole.view().slice(cut..rows).unwrap();
            prop_assert_eq!(tail.dequantise(), &back[cut * cols..]);
        }
    }
}

#[test]
fn the_words_are_laid_out_as_documented() {
    // Columns 0..40: one full block and one of 8.
    let values: Vec<f32> = (0..40).map(|i| i as f32 - 20.0).collect();
    let q8 = quantise(Format::Q8, &values, 1, 40).unwrap();
    let scale = half::f16::from_bits(q8.scales()[0] as u16).to_f32();
    let second = half::f16::from_bits((q8.scales()[0] >> 16) as u16).to_f32();
    assert!((scale - 20.0 / 127.0).abs() < 1e-3 && (second - 19.0 / 127.0).abs() < 1e-3);
    for (i, value) in values.iter().enumerate() {
        let byte = (q8.codes()[i / 4] >> (8 * (i % 4))) as u8 as i8;
        let scale = if i < 32 { scale } else { second };
        assert!((f32::from(byte) * scale - value).abs() < 0.1, "{i}");
    }
    assert!(q8.codes()[10..].iter().all(|w| *w == 0), "padding of q8");

    let q4 = quantise(Format::Q4, &values, 1, 40).unwrap();
    let scale = half::f16::from_bits(q4.scales()[0] as u16).to_f32();
    for (i, value) in values.iter().enumerate().take(32) {
        let nibble = (q4.codes()[i / 8] >> (4 * (i % 8)) & 15) as f32;
        assert!(((nibble - 8.0) * scale - value).abs() < 1.6, "{i}");
    }
    assert!(
        q4.codes()[5..].iter().all(|w| *w == 0x8888_8888),
        "padding of q4"
    );
}

#[test]
fn constant_and_zero_rows() {
    for format in Format::ALL {
        let values = [vec![0.0; 70], vec![3.25; 70], vec![-0.013; 70]].concat();
        let packed = quantise(format, &values, 3, 70).unwrap();
        for (x, y) in values.iter().zip(packed.view().dequantise()) {
            assert!((x - y).abs() <= 1e-3 * x.abs(), "{format}: {x} became {y}");
        }
        assert!(
            packed
                .view()
                .slice(0..1)
                .unwrap()
                .scales()
                .iter()
                .all(|w| *w == 0)
        );
        assert_eq!(packed.coarse_blocks(), 0);
    }
}

#[test]
fn small_blocks_are_counted_and_stay_within_the_smallest_step() {
    for format in Format::ALL {
        for size in [1e-4f32, 1e-5, 1e-20, 1e-44] {
            let values: Vec<f32> = (0..64).map(|i| size * (i as f32 / 32.0 - 1.0)).collect();
            let packed = quantise(format, &values, 1, 64).unwrap();
            assert_eq!(packed.coarse_blocks(), 2, "{format} {size}");
            for (x, y) in values.iter().zip(packed.view().dequantise()) {
                assert!((x - y).abs() <= 0.5 * MIN_SCALE, "{format}: {x} became {y}");
            }
        }
    }
}

#[test]
fn the_largest_weights_fit_and_larger_ones_are_refused() {
    for format in Format::ALL {
        for sign in [1.0, -1.0] {
            let mut values = vec![1.0; 96];
            values[40] = sign * format.limit();
            let back = quantise(format, &values, 1, 96)
                .unwrap()
                .view()
                .dequantise();
            assert!(
                (back[40] / values[40] - 1.0).abs() < 0.13,
                "{format}: {}",
                back[40]
            );
            values[40] *= 1.001;
            let error = quantise(format, &values, 1, 96).unwrap_err();
            let Error::ScaleOverflow {
                row, col, limit, ..
            } = error
            else {
                panic!("{error}");
            };
            assert_eq!((row, col, limit), (0, 40, format.limit()));
        }
    }
}

#[test]
fn bad_values_are_named() {
    for (format, bad) in [(Format::Q8, f32::NAN), (Format::Q4, f32::NEG_INFINITY)] {
        let mut values = vec![1.0; 3 * 50];
        values[2 * 50 + 33] = bad;
        let error = quantise(format, &values, 3, 50).unwrap_err();
        assert!(error.to_string().contains("row 2, column 33"), "{error}");
        assert!(matches!(
            error,
            Error::NonFinite {
                row: 2,
                col: 33,
                ..
            }
        ));
    }
}

#[test]
fn bad_shapes_are_errors() {
    let values = vec![1.0; 64];
    assert!(matches!(
        quantise(Format::Q8, &values, 2, 31),
        Err(Error::Length { .. })
    ));
    assert!(matches!(
        quantise(Format::Q4, &values, usize::MAX, 2),
        Err(Error::TooLarge { .. })
    ));
    let packed = quantise(Format::Q4, &values, 2, 32).unwrap();
    let view = packed.view();
    assert!(matches!(view.slice(1..3), Err(Error::Rows { .. })));
    assert!(matches!(
        view.dequantise_row(2, &mut [0.0; 32]),
        Err(Error::Rows { .. })
    ));
    assert!(matches!(
        view.dequantise_row(0, &mut [0.0; 31]),
        Err(Error::Length { .. })
    ));
    assert!(matches!(
        View::new(Format::Q8, [2, 32], packed.codes(), packed.scales()),
        Err(Error::Length { what: "codes", .. })
    ));
    let mut part = [0.0; 8];
    assert!(view.dequantise_part(1, 0, &mut part).is_ok());
    assert!(matches!(
        view.dequantise_part(1, 1, &mut part),
        Err(Error::Length { .. })
    ));
    assert!(matches!(
        view.dequantise_part(1, usize::MAX, &mut part),
        Err(Error::Length { .. })
    ));
    let mut packed = packed.clone();
    assert!(matches!(
        packed.set_rows(2, &values[..32], None),
        Err(Error::Rows { .. })
    ));
    assert!(matches!(
        packed.set_rows(0, &values[..33], None),
        Err(Error::Length { .. })
    ));
    assert!(matches!(
        Damage::measure(&values[1..], packed.view()),
        Err(Error::Length { .. })
    ));
    for bad in [-1.0, f32::NAN] {
        let mut importance = vec![1.0; 32];
        importance[9] = bad;
        let error = quantise_weighted(Format::Q4, &values, [2, 32], &importance).unwrap_err();
        assert!(matches!(error, Error::Importance { col: 9, .. }), "{error}");
    }
}

#[test]
fn damage_adds_up() {
    let values: Vec<f32> = (0..4 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
    let fine = Damage::measure(
        &values,
        quantise(Format::Q8, &values, 4, 64).unwrap().view(),
    );
    let rough = Damage::measure(
        &values,
        quantise(Format::Q4, &values, 4, 64).unwrap().view(),
    );
    let (fine, rough) = (fine.unwrap(), rough.unwrap());
    assert!(fine.relative_rms() < 0.01, "{fine:?}");
    assert!(
        rough.relative_rms() > 5.0 * fine.relative_rms(),
        "{rough:?}"
    );
    let both = fine.merge(rough);
    assert_eq!(both.count, 2 * values.len());
    assert!(
        both.relative_rms() > fine.relative_rms() && both.relative_rms() < rough.relative_rms()
    );
}

#[test]
fn a_part_of_a_row_equals_the_row() {
    let values: Vec<f32> = (0..2 * 100).map(|i| (i as f32 * 0.7).sin()).collect();
    for format in Format::ALL {
        let packed = quantise(format, &values, 2, 100).unwrap();
        let all = packed.view().dequantise();
        for (first, len) in [(0, 100), (1, 40), (3, 4), (2, 0), (3, 1)] {
            let mut part = vec![f32::NAN; len];
            packed.view().dequantise_part(1, first, &mut part).unwrap();
            assert_eq!(
                part,
                &all[100 + first * BLOCK..][..len],
                "{format} block {first}"
            );
        }
    }
}
