//! Matrix products for the CPU device: slices in, slices out. `glmv-kernels` calls them for linear
//! layers and experts; weights are f32, f16, q8 or q4, activations and every sum are f32.
//!
//! Everything is one product, `x [m, k] · w [n, k]ᵀ`, made of dot products along `k`, both operands
//! packed in panels, six outputs by up to four rows at a time in registers. Weights are read once per
//! call (per two megabytes of rows) and turned into f32 in the first-level cache. The processor's
//! best vector level is found at run time; older ones run the same code with shorter vectors.
//!
//! **What the numbers are.** Each output is summed in one fixed order: the elements of `k` are dealt
//! to the lanes of a vector, each lane adds up its own in turn, then the lanes are added. Neither the
//! number of rows, nor threads, nor where a row or an output lies changes that order, so on one
//! machine a row's result has the same bits in a call with any other rows, one or thousands
//! ([`linear`], [`experts`]). f16 and q8 weights give the bits of the f32 product with the
//! dequantised weights; q4 deals the elements by the nibbles of its words, and equals that product up
//! to the order of summation.
//!
//! ```
//! use glmv_cpu::{Matrix, linear};
//!
//! let w = [1.0, 2.0, 3.0, 0.0, -1.0, 0.5]; // [2, 3]
//! let x = [1.0, 1.0, 2.0]; // [1, 3]
//! let mut out = [0.0; 2];
//! linear(&x, 1, Matrix::f32(&w, [2, 3])?, Some(&[0.0, 1.0]), &mut out)?;
//! assert_eq!(out, [9.0, 1.0]);
//! # Ok::<(), glmv_cpu::Error>(())
//! ```

mod decode;
mod error;
mod experts;
mod grad;
mod linear;
mod matrix;
mod panel;
mod product;
mod rows;
mod simd;
mod swiglu;
mod tile;

pub use error::Error;
pub use experts::{Experts, Routing, experts};
pub use grad::{input_grad, weight_grad};
pub use linear::linear;
pub use matrix::{Matrix, Weights};
pub use simd::level;
