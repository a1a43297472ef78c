//! Who gets blocks: waiting sequences in order of arrival, running ones before those that came later.

use super::{Rows, Scheduler, SequenceId};
use crate::stats::Stats;
use glmv_model::BlockId;

impl Scheduler {
    /// Starts waiting sequences in order, while there is room for their tokens.
    pub fn admit(&mut self, stats: &mut Stats) {
        while self.running.len() < self.max_running
            && let Some(id) = self.waiting.front().copied()
        {
            if !self.place(id, stats) {
                if !self.running.is_empty() {
                    return;
                }
                if self.drop_parked(Some(id), stats) {
                    continue;
                }
                // Nobody else holds blocks: what it has is enough, since every request fits alone.
                if self.sequences.get(&id).is_none_or(|s| s.table.is_empty()) {
                    return;
                }
            }
            self.waiting.pop_front();
            self.running.push(id);
        }
    }

    /// Gives a waiting sequence its blocks, known ones first; false if there are too few.
    fn place(&mut self, id: SequenceId, stats: &mut Stats) -> bool {
        // Every running sequence will soon want a block more.
        let reserve = self.running.len();
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return true;
        };
        if !sequence.table.is_empty() {
            return self.blocks.available() > reserve;
        }
        // At least one token is run, for its logits.
        let most = (sequence.prompt_len() - 1) / self.size;
        let most = match self.invariant {
            true => most * self.size / self.chunk * self.chunk / self.size,
            false => most,
        };
        let mut hits = self
            .blocks
            .known(&sequence.keys[..most.min(sequence.keys.len())]);
        if self.invariant {
            hits.truncate(hits.len() * self.size / self.chunk * self.chunk / self.size);
        }
        // Taken before the others are counted, so that none of them is given away.
        hits.iter().for_each(|block| self.blocks.retain(*block));
        let needed = sequence.tokens.len().div_ceil(self.size) - hits.len();
        if needed + reserve > self.blocks.available() {
            hits.iter().for_each(|block| self.blocks.release(*block));
            return false;
        }
        sequence.computed = hits.len() * self.size;
        sequence.registered = hits.len();
        stats.prefix_hits += sequence.computed;
        sequence.table = hits;
        for _ in 0..needed {
            sequence.table.extend(self.blocks.allocate());
        }
        true
    }

    /// Takes the blocks of waiting followers other than `id`, the last first; false if none has any.
    fn drop_parked(&mut self, id: Option<SequenceId>, stats: &mut Stats) -> bool {
        let parked = |other: &&SequenceId| {
            let held = self
                .sequences
                .get(other)
                .is_some_and(|s| !s.table.is_empty());
            Some(**other) != id && held
        };
        let Some(found) = self.waiting.iter().rev().find(parked).copied() else {
            return false;
        };
        self.strip(found, stats);
        true
    }

    /// Takes a sequence's blocks; what was computed will be computed again.
    fn strip(&mut self, id: SequenceId, stats: &mut Stats) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            stats.preemptions += 1;
            (sequence.computed, sequence.registered) = (0, 0);
            sequence.pending = None;
            for block in std::mem::take(&mut sequence.table) {
                self.blocks.release(block);
            }
        }
    }

    /// Sends a running sequence back to the head of the queue.
    pub(super) fn preempt(&mut self, id: SequenceId, stats: &mut Stats) {
        self.strip(id, stats);
        self.running.retain(|other| *other != id);
        self.waiting.push_front(id);
    }

    /// A block for a running sequence, at the cost of those that came after it.
    pub(super) fn take(
        &mut self,
        id: SequenceId,
        plan: &mut Rows,
        stats: &mut Stats,
    ) -> Option<BlockId> {
        loop {
            if let Some(block) = self.blocks.allocate() {
                return Some(block);
            }
            if self.drop_parked(None, stats) {
                continue;
            }
            let latest = self
                .running
                .last()
                .copied()
                .filter(|latest| *latest != id)?;
            // Its blocks may be given away again before the copies are made.
            let lost = self.sequences.get(&latest).map_or(&[][..], |s| &s.table);
            plan.copies.retain(|(_, to)| !lost.contains(to));
            self.preempt(latest, stats);
        }
    }
}
