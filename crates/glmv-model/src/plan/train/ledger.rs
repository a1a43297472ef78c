//! The allocator's model with what each live tensor is for, the graph's kept tensors, and the sums of
//! gradients.

use crate::plan::BufferRules;
use crate::plan::arena::{Arena, Block};
use std::collections::BTreeMap;

/// Width of activations, gradients and device integers.
const WORD: u64 = 4;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gradient,
    /// Kept from the forward pass for the backward pass.
    Saved,
    Working,
}

/// Names one parameter's gradient: layer (or block), name, shard.
pub(super) type Key = (usize, &'static str, usize);

/// Allocations of a step.
#[derive(Debug)]
pub(super) struct Ledger {
    arena: Arena,
    limit: u64,
    /// By the number of a block.
    kinds: Vec<(Kind, u64)>,
    live: [u64; 3],
    at_peak: [u64; 3],
    /// Gradients added up so far.
    held: BTreeMap<Key, Block>,
    /// Gradients of the backward pass under way.
    found: BTreeMap<Key, Block>,
    /// Gradients of rows of joined weights: what they belong to, and its rows and width.
    slices: Vec<((usize, &'static str), Block, [u64; 2])>,
    /// What the graph under way keeps, oldest first; `None` outside of a graph.
    tape: Option<Vec<Option<Block>>>,
}

impl Ledger {
    pub(super) fn new(buffers: BufferRules) -> Self {
        Ledger {
            arena: Arena::new(buffers.limit, buffers.alignment),
            limit: buffers.limit,
            kinds: Vec::new(),
            live: [0; 3],
            at_peak: [0; 3],
            held: BTreeMap::new(),
            found: BTreeMap::new(),
            slices: Vec::new(),
            tape: None,
        }
    }

    /// The allocator.
    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Bytes of a kind when most were live.
    pub(super) fn at_peak(&self, kind: Kind) -> u64 {
        self.at_peak[kind as usize]
    }

    pub(super) fn take(&mut self, kind: Kind, what: &'static str, elements: u64) -> Block {
        let (before, peak) = (self.arena.live(), self.arena.peak_live());
        let block = self.arena.take(what, elements * WORD);
        let bytes = self.arena.live() - before;
        self.kinds.push((kind, bytes));
        self.live[kind as usize] += bytes;
        if self.arena.peak_live() > peak {
            self.at_peak = self.live;
        }
        block
    }

    pub(super) fn free(&mut self, block: Block) {
        let (kind, bytes) = self.kinds[block.number()];
        self.live[kind as usize] -= bytes;
        self.arena.free(block);
    }

    pub(super) fn free_all<const N: usize>(&mut self, blocks: [Block; N]) {
        blocks.into_iter().for_each(|block| self.free(block));
    }

    /// Counts a live block as another kind from now on.
    pub(super) fn turn(&mut self, block: Block, kind: Kind) {
        let (old, bytes) = self.kinds[block.number()];
        self.live[old as usize] -= bytes;
        self.live[kind as usize] += bytes;
        self.kinds[block.number()].0 = kind;
    }

    /// A short-lived tensor.
    pub(super) fn touch(&mut self, what: &'static str, elements: u64) {
        let block = self.take(Kind::Working, what, elements);
        self.free(block);
    }

    /// Starts recording a graph.
    pub(super) fn record(&mut self) {
        self.tape = Some(Vec::new());
    }

    /// Ends it; what is still kept goes.
    pub(super) fn stop(&mut self) {
        let rest = self.tape.take().unwrap_or_default();
        rest.into_iter()
            .flatten()
            .for_each(|block| self.free(block));
    }

    /// A tensor that is done with, unless a graph keeps it.
    pub(super) fn keep(&mut self, block: Block) {
        self.keep_if(true, block);
    }

    /// Several of them, in order.
    pub(super) fn keep_all<const N: usize>(&mut self, blocks: [Block; N]) {
        blocks.into_iter().for_each(|block| self.keep(block));
    }

    /// A tensor that is done with, unless a graph keeps it, which it does if `wanted`. Inside of a
    /// graph every call is undone by one of [`Ledger::back`].
    pub(super) fn keep_if(&mut self, wanted: bool, block: Block) {
        match &mut self.tape {
            Some(tape) if wanted => tape.push(Some(block)),
            Some(tape) => {
                tape.push(None);
                self.free(block);
            }
            None => self.free(block),
        }
    }

    /// A tensor that somebody else frees, unless a graph keeps it.
    pub(super) fn hold(&mut self, block: Block) {
        if let Some(tape) = &mut self.tape {
            tape.push(Some(block));
        }
    }

    /// As [`Ledger::hold`], if `wanted`; a graph that does not want it lets go of it at once.
    pub(super) fn hold_if(&mut self, wanted: bool, block: Block) {
        if self.tape.is_some() {
            self.keep_if(wanted, block);
        }
    }

    /// Leaves the graph for what it does not record.
    pub(super) fn pause(&mut self) -> Option<Vec<Option<Block>>> {
        self.tape.take()
    }

    /// Goes on with a graph that was left.
    pub(super) fn resume(&mut self, tape: Option<Vec<Option<Block>>>) {
        self.tape = tape;
    }

    /// Frees a tensor that no graph holds.
    pub(super) fn drop_outside(&mut self, block: Block) {
        if self.tape.is_none() {
            self.free(block);
        }
    }

    /// The step that kept the latest `count` tensors has gone back.
    pub(super) fn back(&mut self, count: usize) {
        for _ in 0..count {
            let last = self.tape.as_mut().and_then(Vec::pop).flatten();
            if let Some(block) = last {
                self.free(block);
            }
        }
    }

    /// The gradient of a parameter of `units` units of `unit` values, split as its weight is.
    pub(super) fn gradient(&mut self, key: (usize, &'static str), units: u64, unit: u64) {
        self.gradient_split(key, units, unit, unit);
    }

    /// The same, split as if a unit had `widest` values.
    pub(super) fn gradient_split(
        &mut self,
        (layer, name): (usize, &'static str),
        units: u64,
        unit: u64,
        widest: u64,
    ) {
        let shards = shards(units, widest * WORD, self.limit);
        for (shard, units) in shards.into_iter().enumerate() {
            let block = self.take(Kind::Gradient, name, units * unit);
            // A second one of the same parameter is added to the first.
            match self.found.contains_key(&(layer, name, shard)) {
                true => self.free(block),
                false => {
                    self.found.insert((layer, name, shard), block);
                }
            }
        }
    }

    /// The gradient of `rows` of the `all` rows of a joined weight: as such first, and as one of the
    /// whole when the graph's leaves are reached.
    pub(super) fn slice_gradient(
        &mut self,
        key: (usize, &'static str),
        [rows, all, width]: [u64; 3],
    ) {
        let part = self.take(Kind::Gradient, key.1, rows * width);
        self.slices.push((key, part, [all, width]));
    }

    /// Widens the gradients of rows to those of their weights.
    fn leaves(&mut self) {
        for (key, part, [all, width]) in std::mem::take(&mut self.slices) {
            self.gradient(key, all, width);
            self.free(part);
        }
    }

    /// The gradient of a norm's weight or of a bias, with the sums of runs of rows before it.
    pub(super) fn vector(&mut self, key: (usize, &'static str), rows: u64, width: u64) {
        let parts = self.take(
            Kind::Working,
            "sums of a norm's gradient",
            rows.div_ceil(64) * width,
        );
        self.gradient(key, 1, width);
        self.free(parts);
    }

    /// Adds the gradients of a backward pass to the sums.
    pub(super) fn collect(&mut self) {
        self.leaves();
        for (key, block) in std::mem::take(&mut self.found) {
            match self.held.contains_key(&key) {
                true => self.free(block),
                false => {
                    self.held.insert(key, block);
                }
            }
        }
    }

    /// Squares of every gradient for their norms, one after the other.
    pub(super) fn norms(&mut self) {
        let sizes: Vec<u64> = self
            .held
            .values()
            .map(|b| self.kinds[b.number()].1)
            .collect();
        for bytes in sizes {
            self.touch("squares of a gradient", bytes / WORD);
        }
    }

    /// Lets go of all gradients.
    pub(super) fn clear(&mut self) {
        for block in std::mem::take(&mut self.held).into_values() {
            self.free(block);
        }
    }
}

/// Units of each shard of a tensor, as the loader splits it.
pub(super) fn shards(units: u64, unit_bytes: u64, limit: u64) -> Vec<u64> {
    let most = (limit / unit_bytes.max(1)).clamp(1, units.max(1));
    let count = units.div_ceil(most).max(1);
    let each = units.div_ceil(count);
    (0..count).map(|s| each.min(units - s * each)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_even_and_whole() {
        assert_eq!(shards(10, 4, 1000), [10]);
        assert_eq!(shards(10, 4, 16), [4, 4, 2]);
        assert_eq!(shards(7, 100, 10), [1; 7], "a unit above the limit");
    }

    #[test]
    fn kinds_are_counted_at_the_peak() {
        let mut ledger = Ledger::new(BufferRules::host());
        let saved = ledger.take(Kind::Saved, "a", 100);
        ledger.gradient((0, "w"), 1, 50);
        ledger.touch("b", 25);
        ledger.free(saved);
        ledger.gradient((0, "w"), 1, 50);
        ledger.collect();
        let kinds = [Kind::Gradient, Kind::Saved, Kind::Working];
        assert_eq!(kinds.map(|k| ledger.at_peak(k)), [200, 400, 100]);
        ledger.norms();
        ledger.clear();
        assert_eq!(ledger.arena().live(), 0);
        assert_eq!(ledger.arena().peak_live(), 700);
    }
}
