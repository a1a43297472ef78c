//! Which sequences run now, and in which blocks: admission in order of arrival, prompts in chunks,
//! decoding of everything that is ready, and preemption of the latest when blocks run out.
//! Bookkeeping only: the engine runs what is planned here.

use crate::blocks::{Blocks, Key};
use crate::config::EngineConfig;
use crate::prompt::Prompt;
use crate::sequence::Sequence;
use crate::stats::Stats;
use burn::tensor::Tensor;
use glmv_model::BlockId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

mod admission;
#[cfg(test)]
mod tests;

/// Names a sequence of a scheduler.
pub(crate) type SequenceId = u64;

/// A part of a prompt to run: tokens `from..to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub id: SequenceId,
    pub from: usize,
    pub to: usize,
}

/// A token to run through the decoding kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub id: SequenceId,
    /// Place of the token.
    pub at: usize,
    /// True if a token is sampled behind it.
    pub last: bool,
}

/// Rows with the block copies that have to come first.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub rows: Vec<Row>,
    pub copies: Vec<(BlockId, BlockId)>,
}

/// Sequences by state. Every block of a table is referred to by that table.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub sequences: BTreeMap<SequenceId, Sequence>,
    /// In the order of their turn; followers may hold the blocks of their prompt.
    waiting: VecDeque<SequenceId>,
    /// In order of admission.
    running: Vec<SequenceId>,
    pub blocks: Blocks,
    size: usize,
    chunk: usize,
    max_running: usize,
    invariant: bool,
    reuse: bool,
    next: SequenceId,
}

impl Scheduler {
    /// Nothing to do, over at most `limit` blocks.
    pub fn new(config: &EngineConfig, limit: usize) -> Self {
        let start = config.kv_blocks.unwrap_or(0);
        let size = config.block_size;
        Scheduler {
            sequences: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            blocks: Blocks::new(start, limit),
            size,
            chunk: config.chunk.max(1).next_multiple_of(size),
            max_running: config.max_running.max(1),
            invariant: config.invariant,
            reuse: config.reuse_prefixes,
            next: 0,
        }
    }

    /// True if sequences wait and none runs, after [`Scheduler::admit`]: the blocks were miscounted.
    pub fn is_stuck(&self) -> bool {
        self.running.is_empty() && !self.waiting.is_empty()
    }

    /// True if nothing waits or runs.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Tokens one sequence may have at most.
    pub fn most_tokens(&self) -> usize {
        self.blocks.limit().saturating_mul(self.size)
    }

    /// Digests by which the blocks of a prompt are known. What an invariant engine computes for a
    /// block follows from the whole chunk.
    pub fn keys(&self, prompt: &Prompt) -> Vec<Key> {
        let unit = if self.invariant {
            self.chunk
        } else {
            self.size
        };
        prompt.keys(&prompt.inputs.input_ids, self.size, unit)
    }

    /// Appends to the queue.
    pub fn push(&mut self, sequence: Sequence) {
        let id = self.insert(sequence);
        self.waiting.push_back(id);
    }

    fn insert(&mut self, sequence: Sequence) -> SequenceId {
        self.next += 1;
        self.sequences.insert(self.next, sequence);
        self.next
    }

    /// Running followers whose first token can be sampled, with the logits to sample it from.
    pub fn pending(&mut self) -> Vec<(SequenceId, Arc<Tensor<2>>)> {
        let mut found = Vec::new();
        for id in &self.running {
            if let Some(sequence) = self.sequences.get_mut(id)
                && let Some(logits) = sequence.pending.take()
            {
                found.push((*id, logits));
            }
        }
        found
    }

    /// The next part of a prompt, of the earliest that has one: up to the next multiple of the chunk
    /// size. `budget` is what the step still allows, `None` at its first chunk.
    pub fn chunk(&self, budget: Option<usize>) -> Option<Chunk> {
        let sequence = |id: &SequenceId| self.sequences.get(id).map(|s| (*id, s));
        let (id, sequence) = self
            .running
            .iter()
            .filter_map(sequence)
            .find(|(_, s)| s.in_prompt())?;
        let from = sequence.computed;
        let to = (from / self.chunk + 1) * self.chunk;
        let to = to.min(sequence.prompt_len());
        match budget {
            Some(budget) if to - from > budget => None,
            _ => Some(Chunk { id, from, to }),
        }
    }

    /// Tokens of prompts that one step runs.
    pub fn budget(&self) -> usize {
        self.chunk
    }

    /// Notes that a chunk is in the pool; true if the prompt is complete.
    pub fn prefilled(&mut self, chunk: Chunk) -> bool {
        let Some(sequence) = self.sequences.get_mut(&chunk.id) else {
            return false;
        };
        sequence.computed = chunk.to;
        if !sequence.in_prompt() {
            sequence.features.clear();
        }
        // Of the invariant engine only whole chunks are what every prompt would compute.
        let known = match self.invariant {
            true => chunk.to / self.chunk * self.chunk,
            false => chunk.to,
        };
        if self.reuse {
            let full = (known / self.size).min(sequence.keys.len());
            for i in sequence.registered..full {
                self.blocks.register(sequence.table[i], sequence.keys[i]);
            }
            sequence.registered = sequence.registered.max(full);
        }
        !sequence.in_prompt()
    }

    /// Puts the followers of a prefilled sequence at the head of the queue, sharing its blocks.
    pub fn fork(&mut self, id: SequenceId, followers: Vec<Sequence>, logits: &Arc<Tensor<2>>) {
        let Some(leader) = self.sequences.get_mut(&id) else {
            return;
        };
        leader.followers = 0;
        let (table, computed, registered) =
            (leader.table.clone(), leader.computed, leader.registered);
        for mut follower in followers.into_iter().rev() {
            table.iter().for_each(|block| self.blocks.retain(*block));
            follower.table.clone_from(&table);
            (follower.computed, follower.registered) = (computed, registered);
            follower.pending = Some(logits.clone());
            let id = self.insert(follower);
            self.waiting.push_front(id);
        }
    }

    /// Every token that can be decoded now, at most one per sequence and, up to `most` rows in all,
    /// more of sequences that catch up after a preemption. Takes the blocks for them.
    pub fn rows(&mut self, most: usize, stats: &mut Stats) -> Rows {
        let ready = |id: &SequenceId| {
            let sequence = self.sequences.get(id);
            sequence.is_some_and(|s| !s.in_prompt() && s.lacking() > 0)
        };
        let ready: Vec<SequenceId> = self.running.iter().copied().filter(ready).collect();
        let mut plan = Rows::default();
        let mut held = Vec::new();
        for id in &ready {
            // May have lost its blocks to an earlier one of this loop.
            if self.running.contains(id) && !self.reserve(*id, &mut plan, &mut held, stats) {
                self.preempt(*id, stats);
            }
        }
        let running = |id: &SequenceId| self.running.contains(id);
        let ready: Vec<SequenceId> = ready.into_iter().filter(running).collect();
        let mut spare = most.saturating_sub(ready.len());
        for id in ready {
            let Some(sequence) = self.sequences.get(&id) else {
                continue;
            };
            let count = sequence.lacking().min(1 + spare);
            spare -= count - 1;
            let end = sequence.computed + count;
            plan.rows.extend((sequence.computed..end).map(|at| Row {
                id,
                at,
                last: at + 1 == sequence.tokens.len(),
            }));
        }
        // A copy from a block that its last owner gave up meanwhile is harmless: nothing was written
        // to it, because the reference is given up only now.
        held.into_iter()
            .for_each(|block| self.blocks.release(block));
        stats.most_blocks = stats.most_blocks.max(self.blocks.in_use());
        plan
    }

    /// Makes the block of a sequence's next token its own; earlier owners of a shared one go on
    /// `held`. False if no block is left for it.
    fn reserve(
        &mut self,
        id: SequenceId,
        plan: &mut Rows,
        held: &mut Vec<BlockId>,
        stats: &mut Stats,
    ) -> bool {
        let Some(sequence) = self.sequences.get(&id) else {
            return false;
        };
        let index = sequence.computed / self.size;
        let old = sequence.table.get(index).copied();
        if old.is_some_and(|block| !self.blocks.shared(block)) {
            return true;
        }
        let Some(block) = self.take(id, plan, stats) else {
            return false;
        };
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return false;
        };
        match old {
            Some(old) => {
                plan.copies.push((old, block));
                held.push(old);
                sequence.table[index] = block;
            }
            None => sequence.table.push(block),
        }
        true
    }

    /// Notes that a row is in the pool.
    pub fn decoded(&mut self, row: Row) {
        if let Some(sequence) = self.sequences.get_mut(&row.id) {
            sequence.computed = sequence.computed.max(row.at + 1);
        }
    }

    /// Takes a sequence out and gives its blocks back; what they hold may serve a longer prompt.
    pub fn remove(&mut self, id: SequenceId) -> Option<Sequence> {
        let mut sequence = self.sequences.remove(&id)?;
        self.running.retain(|other| *other != id);
        self.waiting.retain(|other| *other != id);
        if self.reuse && !self.invariant && !sequence.in_prompt() {
            let keys =
                sequence
                    .prompt
                    .keys(&sequence.tokens[..sequence.computed], self.size, self.size);
            let rest = keys.iter().zip(&sequence.table).skip(sequence.registered);
            for (key, block) in rest {
                self.blocks.register(*block, *key);
            }
        }
        // The end first, so that a prefix outlives what follows it.
        for block in std::mem::take(&mut sequence.table).into_iter().rev() {
            self.blocks.release(block);
        }
        Some(sequence)
    }

    /// Sequences of a request, in order of their samples.
    pub fn of_request(&self, request: crate::RequestId) -> Vec<SequenceId> {
        let of_request = self.sequences.iter().filter(|(_, s)| s.request == request);
        let mut found: Vec<_> = of_request.map(|(id, s)| (s.sample, *id)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }
}
