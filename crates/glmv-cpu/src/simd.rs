//! The vector level of this machine, and loads and stores of whole vectors.

use macerator::{AutoArch, Simd, Vector, WithSimd};

/// Vectors that are decoded together: as many as there are nibbles in a word. Operands are filled
/// up with zeros to whole units.
pub(crate) const UNIT: usize = 8;

/// Most lanes of a vector, on any level.
pub(crate) const MOST_LANES: usize = 16;

/// Outputs of a tile.
pub(crate) const OUTPUTS: usize = 6;

/// Most rows of a tile, on any level.
pub(crate) const MAX_TILE_ROWS: usize = 4;

/// How operands are packed on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// f32 per vector.
    pub lanes: usize,
    /// Rows of a tile: as many as the registers hold sums for.
    pub rows: usize,
}

impl Tiling {
    #[inline(always)]
    pub(crate) fn of<S: Simd>() -> Tiling {
        let lanes = S::lanes32();
        // 4 × 6 sums need 32 registers: AVX-512 and NEON have them.
        let many_registers = lanes == 16 || cfg!(target_arch = "aarch64");
        Tiling {
            lanes,
            rows: if many_registers { MAX_TILE_ROWS } else { 2 },
        }
    }

    /// Elements of a unit.
    pub(crate) fn unit(self) -> usize {
        UNIT * self.lanes
    }

    /// Tiling of the level that [`run`] chooses.
    pub(crate) fn here() -> Tiling {
        struct Ask;
        impl WithSimd for Ask {
            type Output = Tiling;
            #[inline(always)]
            fn with_simd<S: Simd>(self) -> Tiling {
                Tiling::of::<S>()
            }
        }
        run(Ask)
    }
}

/// Runs `op` at the best level of this machine.
pub(crate) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    AutoArch::new().dispatch(op)
}

/// Bits of the vectors that products use on this machine: 512, 256 or 128; 64 where there are none.
pub fn level() -> usize {
    32 * Tiling::here().lanes
}

#[inline(always)]
pub(crate) fn load<S: Simd>(from: &[f32]) -> Vector<S, f32> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&from[..S::lanes32()]))
}

#[inline(always)]
pub(crate) fn store<S: Simd>(vector: Vector<S, f32>, to: &mut [f32]) {
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut to[..S::lanes32()]);
    bytes.copy_from_slice(bytemuck::bytes_of(&vector));
}
