//! How fast a matrix is packed and unpacked, and what it costs in accuracy.
//! `cargo run --release -p glmv-quant --example quantise_speed`

use glmv_quant::{Damage, Error, Format, quantise};
use std::time::Instant;

fn main() -> Result<(), Error> {
    let (rows, cols) = (4096, 4096);
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    let values: Vec<f32> = (0..rows * cols)
        .map(|_| 0.02 * (0..4).map(|_| uniform()).sum::<f32>())
        .collect();
    println!("| format | packed, million weights/s | unpacked | relative rms error |");
    println!("|---|---|---|---|");
    for format in Format::ALL {
        let start = Instant::now();
        let packed = quantise(format, &values, rows, cols)?;
        let packing = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let back = packed.view().dequantise();
        let unpacking = start.elapsed().as_secs_f64();
        let error = Damage::measure(&values, packed.view())?.relative_rms();
        let millions = back.len() as f64 / 1e6;
        println!(
            "| {format} | {:.0} | {:.0} | {error:.5} |",
            millions / packing,
            millions / unpacking
        );
    }
    Ok(())
}
