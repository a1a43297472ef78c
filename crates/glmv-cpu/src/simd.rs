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
    #[cfg(all(test, target_arch = "x86_64"))]
    if let Some(level) = lower::level() {
        return lower::dispatch(level, op);
    }
    AutoArch::new().dispatch(op)
}

/// Lower levels than the best one, for tests of the thread that asks for it.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) mod lower {
    use macerator::{Arch, WithSimd};
    use std::cell::Cell;

    thread_local! {
        static LEVEL: Cell<Option<Arch>> = const { Cell::new(None) };
    }

    pub(crate) fn level() -> Option<Arch> {
        LEVEL.get()
    }

    #[expect(
        unsafe_code,
        reason = "tests of levels that the machine has, but would not choose"
    )]
    pub(crate) fn dispatch<Op: WithSimd>(level: Arch, op: Op) -> Op::Output {
        let best = Arch::detect() as u8;
        assert!(level as u8 <= best, "this machine lacks {level:?}");
        // SAFETY: levels contain each other, and this one is not above the detected one (asserted).
        unsafe { level.dispatch(op) }
    }

    /// Runs `f` at each of the lower levels.
    pub(crate) fn each(f: impl Fn(Arch)) {
        for level in [Arch::Scalar, Arch::V2, Arch::V3] {
            LEVEL.set(Some(level));
            f(level);
            LEVEL.set(None);
        }
    }
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
