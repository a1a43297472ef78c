//! Six rows of a weight matrix at a time, ready to be decoded: one panel for each weight type.

use crate::decode::{Bytes, Floats, Halves, Nibbles, Source};
use crate::simd::{MOST_LANES, OUTPUTS, UNIT};
use bytemuck::cast_slice;
use glmv_quant::{BLOCK, View};
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use std::ops::Range;

/// Where the rows of a panel come from.
pub(crate) trait Panel {
    /// One row of the panel.
    type Row<'a>: Source
    where
        Self: 'a;

    /// The columns `from` of the rows at `places`; a range starts at a multiple of [`CHUNK`].
    fn rows(&mut self, places: [usize; OUTPUTS], from: Range<usize>) -> [Self::Row<'_>; OUTPUTS];
}

/// Elements of `k` that are handled before the next: what is decoded of six rows should stay in the
/// first cache levels, and the sums be stored seldom. No result depends on it.
pub(crate) const CHUNK: usize = 4096;
const _: () = assert!(CHUNK.is_multiple_of(UNIT * MOST_LANES));

macro_rules! float_panel {
    ($(#[$doc: meta])* $name: ident, $row: ident, $element: ty) => {
        $(#[$doc])*
        pub(crate) struct $name<'w> {
            values: &'w [$element],
            k: usize,
        }

        impl<'w> $name<'w> {
            pub(crate) fn new(values: &'w [$element], k: usize) -> Self {
                $name { values, k }
            }
        }

        impl Panel for $name<'_> {
            type Row<'a>
                = $row<'a>
            where
                Self: 'a;

            #[inline(always)]
            fn rows(&mut self, places: [usize; OUTPUTS], from: Range<usize>) -> [$row<'_>; OUTPUTS] {
                let mut rows = [$row(&[]); OUTPUTS];
                for (j, row) in rows.iter_mut().enumerate() {
                    let values = &self.values[places[j] * self.k..][..self.k];
                    *row = $row(&values[from.clone()]);
                }
                rows
            }
        }
    };
}

float_panel!(
    /// f32.
    FloatPanel,
    Floats,
    f32
);
float_panel!(
    /// f16.
    HalfPanel,
    Halves,
    f16
);

/// Scales of six rows as f32, zeros behind them to whole units.
struct Scales {
    rows: [[f32; CHUNK / BLOCK]; OUTPUTS],
    /// Blocks that are filled.
    used: usize,
}

/// Blocks of the longest unit.
const UNIT_BLOCKS: usize = UNIT * MOST_LANES / BLOCK;

impl Scales {
    fn new() -> Self {
        Scales {
            rows: [[0.0; CHUNK / BLOCK]; OUTPUTS],
            used: 0,
        }
    }

    fn read(&mut self, view: &View<'_>, places: [usize; OUTPUTS], from: &Range<usize>) {
        let per_row = view.format().scale_words(view.cols());
        let blocks = from.len().div_ceil(BLOCK);
        self.used = blocks.next_multiple_of(UNIT_BLOCKS);
        for (j, scales) in self.rows.iter_mut().enumerate() {
            let row = places[j];
            let words = &view.scales()[row * per_row..][..per_row];
            let halves: &[f16] = cast_slice::<u32, u16>(words).reinterpret_cast();
            let halves = &halves[from.start / BLOCK..][..blocks];
            halves.convert_to_f32_slice(&mut scales[..blocks]);
            scales[blocks..self.used].fill(0.0);
        }
    }
}

/// [`Scales`], each as often as a block has words of nibbles.
struct WordScales([[[f32; 4]; CHUNK / BLOCK]; OUTPUTS]);

impl WordScales {
    fn read(&mut self, scales: &Scales) {
        for (to, from) in self.0.iter_mut().zip(&scales.rows) {
            for (to, from) in to.iter_mut().zip(&from[..scales.used]) {
                let two = u64::from(from.to_bits()) * 0x1_0000_0001;
                *to = bytemuck::cast([two; 2]);
            }
        }
    }
}

/// Code words of the columns `from` of six rows.
#[inline(always)]
fn words<'w>(
    view: &View<'w>,
    places: [usize; OUTPUTS],
    from: &Range<usize>,
) -> [&'w [u32]; OUTPUTS] {
    let (format, per_row) = (view.format(), view.format().code_words(view.cols()));
    let start = from.start / BLOCK * format.block_words();
    let end = from.end.div_ceil(BLOCK) * format.block_words();
    let mut words: [&[u32]; OUTPUTS] = [&[]; OUTPUTS];
    for (j, words) in words.iter_mut().enumerate() {
        let row = &view.codes()[places[j] * per_row..][..per_row];
        *words = &row[start..end];
    }
    words
}

/// q8.
pub(crate) struct BytePanel<'w> {
    view: View<'w>,
    scales: Scales,
}

impl<'w> BytePanel<'w> {
    pub(crate) fn new(view: View<'w>) -> Self {
        let scales = Scales::new();
        BytePanel { view, scales }
    }
}

impl Panel for BytePanel<'_> {
    type Row<'a>
        = Bytes<'a>
    where
        Self: 'a;

    #[inline(always)]
    fn rows(&mut self, places: [usize; OUTPUTS], from: Range<usize>) -> [Bytes<'_>; OUTPUTS] {
        self.scales.read(&self.view, places, &from);
        let words = words(&self.view, places, &from);
        let mut rows = [Bytes::default(); OUTPUTS];
        for ((row, words), scales) in rows.iter_mut().zip(words).zip(&self.scales.rows) {
            *row = Bytes { words, scales };
        }
        rows
    }
}

/// q4.
pub(crate) struct NibblePanel<'w> {
    view: View<'w>,
    scales: Scales,
    word_scales: WordScales,
}

impl<'w> NibblePanel<'w> {
    pub(crate) fn new(view: View<'w>) -> Self {
        NibblePanel {
            view,
            scales: Scales::new(),
            word_scales: WordScales([[[0.0; 4]; CHUNK / BLOCK]; OUTPUTS]),
        }
    }
}

impl Panel for NibblePanel<'_> {
    type Row<'a>
        = Nibbles<'a>
    where
        Self: 'a;

    #[inline(always)]
    fn rows(&mut self, places: [usize; OUTPUTS], from: Range<usize>) -> [Nibbles<'_>; OUTPUTS] {
        self.scales.read(&self.view, places, &from);
        self.word_scales.read(&self.scales);
        let words = words(&self.view, places, &from);
        let mut rows = [Nibbles::default(); OUTPUTS];
        for ((row, words), scales) in rows.iter_mut().zip(words).zip(&self.word_scales.0) {
            let scales = scales.as_flattened();
            *row = Nibbles { words, scales };
        }
        rows
    }
}
