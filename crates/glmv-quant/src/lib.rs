//! Weights in 8 or 4 bits: a matrix of f32 in, codes and scales in u32 words out, and back. Plain
//! Rust on slices; the loader quantises with it, the CPU device and the shaders read its words.
//!
//! A matrix `[rows, cols]` is cut along its columns into blocks of [`BLOCK`] values; the last block
//! of a row may be short and is filled up with the code of zero. With `blocks = ceil(cols / 32)`:
//!
//! | | q8 | q4 |
//! |---|---|---|
//! | value | `code · scale`, code in -127..=127 | `(nibble − 8) · scale`, scale of either sign |
//! | codes, u32 | `[rows, 8 · blocks]`, byte `i` of word `w` is element `4w + i` (two's complement) | `[rows, 4 · blocks]`, bits `4i..4i+4` of word `w` are element `8w + i` |
//! | scales, u32 | `[rows, ceil(blocks / 2)]`, two f16, the even block in the low half | the same |
//!
//! A stored scale is zero or a normal f16 number, never subnormal (a device may read those as
//! zero) and never infinite. A stack of experts `[experts, rows, cols]` is the matrix
//! `[experts · rows, cols]`.
//!
//! The principal type is [`Packed`], and [`View`] is what everything reads:
//!
//! ```
//! use glmv_quant::{Damage, Format, quantise};
//!
//! let weights: Vec<f32> = (0..3 * 40).map(|i| (i as f32 * 0.7).sin()).collect(); // [3, 40]
//! let packed = quantise(Format::Q4, &weights, 3, 40)?;
//! assert_eq!(packed.codes().len(), 3 * Format::Q4.code_words(40));
//! assert_eq!(packed.view().dequantise().len(), weights.len());
//! let damage = Damage::measure(&weights, packed.view())?;
//! assert!(damage.relative_rms() < 0.1);
//! # Ok::<(), glmv_quant::Error>(())
//! ```

mod damage;
mod error;
mod fit;
mod format;
mod packed;
mod quantise;
mod view;

pub use damage::Damage;
pub use error::Error;
pub use format::{BLOCK, Format, MIN_SCALE};
pub use packed::Packed;
pub use quantise::{quantise, quantise_weighted};
pub use view::View;
