//! The plan without a model: every sequence samples token 1 from logits made up here.

use super::*;
use crate::completion::{Completion, FinishReason, Usage};
use crate::prompt::Prompt;
use crate::request::RequestId;
use glmv_processor::{Modality, ModelInputs};
use glmv_sampling::{PromptThink, SamplingParams, ThinkBudget, ThinkIds};

fn config(blocks: usize) -> EngineConfig {
    EngineConfig {
        block_size: 4,
        kv_blocks: Some(blocks),
        chunk: 8,
        max_running: 3,
        ..EngineConfig::default()
    }
}

/// A sequence over `ids` that generates `new` tokens, in `samples` samples.
fn sequence(request: u64, ids: &[u32], new: usize, samples: usize) -> Sequence {
    keyed(4, request, ids, new, samples)
}

/// [`sequence`] whose blocks are known by units of `unit` tokens.
fn keyed(unit: usize, request: u64, ids: &[u32], new: usize, samples: usize) -> Sequence {
    let inputs = ModelInputs {
        prompt: String::new(),
        input_ids: ids.to_vec(),
        modality: vec![Modality::Text; ids.len()],
        images: None,
        videos: None,
    };
    let prompt = Arc::new(Prompt::new(inputs, 2).unwrap());
    let keys = Arc::new(prompt.keys(ids, 4, unit));
    let budget = ThinkBudget::new(ThinkIds::default(), PromptThink::Closed, None).unwrap();
    let out = Completion {
        token_ids: vec![],
        logprobs: vec![],
        forced: vec![],
        finish_reason: FinishReason::Length,
        usage: Usage::default(),
    };
    let params = (SamplingParams::default(), 0);
    let id = RequestId(request);
    let mut new = Sequence::new(id, prompt, keys, params, budget, new, out).unwrap();
    new.followers = samples - 1;
    new
}

/// Holds the token of every pool row, as the pool would hold its key.
struct Model {
    held: Vec<Option<(u32, usize)>>,
    finished: Vec<(u64, usize, usize)>,
    stats: Stats,
}

impl Model {
    fn new(blocks: usize) -> Self {
        Model {
            held: vec![None; blocks * 4],
            finished: vec![],
            stats: Stats::default(),
        }
    }

    fn write(&mut self, sequence: &Sequence, at: usize) {
        let row = sequence.table[at / 4].0 as usize * 4 + at % 4;
        self.held[row] = Some((sequence.tokens[at], at));
    }

    /// Every token before `end` is where the table says.
    fn check(&self, sequence: &Sequence, end: usize) {
        for at in 0..end {
            let row = sequence.table[at / 4].0 as usize * 4 + at % 4;
            assert_eq!(
                self.held[row],
                Some((sequence.tokens[at], at)),
                "token {at}"
            );
        }
    }

    fn sample(&mut self, scheduler: &mut Scheduler, id: SequenceId) {
        let sequence = scheduler.sequences.get_mut(&id).unwrap();
        let sampled = glmv_sampling::choose(&[0.0, 1.0], &sequence.choice()).unwrap();
        let (_, last) = sequence.advance(sampled);
        if last {
            let done = scheduler.remove(id).unwrap();
            self.finished
                .push((done.request.0, done.sample, done.out.token_ids.len()));
        }
    }

    fn step(&mut self, scheduler: &mut Scheduler) {
        scheduler.admit(&mut self.stats);
        assert!(!scheduler.is_stuck(), "{scheduler:?}");
        for (id, _) in scheduler.pending() {
            self.sample(scheduler, id);
        }
        let plan = scheduler.rows(6, &mut self.stats);
        let mut copied: Vec<_> = plan.copies.iter().map(|(_, to)| *to).collect();
        copied.sort_unstable();
        copied.dedup();
        assert_eq!(copied.len(), plan.copies.len(), "two copies into one block");
        assert!(plan.copies.iter().all(|(from, _)| !copied.contains(from)));
        for (from, to) in plan.copies {
            for i in 0..4 {
                self.held[to.0 as usize * 4 + i] = self.held[from.0 as usize * 4 + i];
            }
        }
        for row in &plan.rows {
            let sequence = &scheduler.sequences[&row.id];
            assert!(
                !scheduler.blocks.shared(sequence.table[row.at / 4]),
                "writes into a shared block"
            );
            self.write(sequence, row.at);
        }
        for row in plan.rows {
            self.check(&scheduler.sequences[&row.id], row.at + 1);
            scheduler.decoded(row);
            if row.last {
                self.sample(scheduler, row.id);
            }
        }
        while let Some(chunk) = scheduler.chunk(None) {
            assert!(chunk.to % 8 == 0 || chunk.to == scheduler.sequences[&chunk.id].prompt_len());
            let sequence = &scheduler.sequences[&chunk.id];
            (chunk.from..chunk.to).for_each(|at| self.write(sequence, at));
            self.check(sequence, chunk.to);
            if scheduler.prefilled(chunk) && scheduler.sequences[&chunk.id].out.token_ids.is_empty()
            {
                let sequence = &scheduler.sequences[&chunk.id];
                let followers = 1..=sequence.followers;
                let followers = followers.map(|s| sequence.follower(s).unwrap()).collect();
                let logits = Tensor::from_data([[0.0, 1.0]], &burn::tensor::Device::flex());
                scheduler.fork(chunk.id, followers, &Arc::new(logits));
                self.sample(scheduler, chunk.id);
            }
        }
    }

    fn run(&mut self, scheduler: &mut Scheduler) {
        for _ in 0..2000 {
            if scheduler.is_idle() {
                assert_eq!(scheduler.blocks.in_use(), 0, "blocks leaked");
                return;
            }
            self.step(scheduler);
        }
        panic!("no end: {scheduler:?}");
    }
}

fn ids(first: u32, len: u32) -> Vec<u32> {
    (0..len).map(|i| first + i).collect()
}

#[test]
fn everything_finishes_and_nothing_leaks() {
    let mut scheduler = Scheduler::new(&config(40), 40);
    for request in 0..7 {
        let len = 1 + 5 * request as u32;
        scheduler.push(sequence(
            request,
            &ids(100 * len, len),
            3 + request as usize,
            1,
        ));
    }
    let mut model = Model::new(40);
    model.run(&mut scheduler);
    model.finished.sort_unstable();
    let want: Vec<_> = (0..7).map(|r| (r, 0, 3 + r as usize)).collect();
    assert_eq!((model.finished, model.stats.preemptions), (want, 0));
}

#[test]
fn too_few_blocks_queue_and_preempt() {
    // 9 tokens of prompt and 20 more each: 8 blocks for one, 9 in all.
    let mut scheduler = Scheduler::new(&config(9), 9);
    for request in 0..3 {
        scheduler.push(sequence(
            request,
            &ids(100 * (1 + request as u32), 9),
            20,
            1,
        ));
    }
    let mut model = Model::new(9);
    model.run(&mut scheduler);
    assert_eq!(
        model.finished.iter().map(|f| f.2).collect::<Vec<_>>(),
        [20; 3]
    );
    assert!(model.stats.preemptions > 0, "three at once do not fit");
}

#[test]
fn samples_share_their_prompt_and_part_at_the_first_token() {
    for blocks in [6, 9, 40] {
        let mut scheduler = Scheduler::new(&config(blocks), blocks);
        scheduler.push(sequence(0, &ids(5, 10), 8, 5));
        scheduler.push(sequence(1, &ids(90, 3), 6, 1));
        let mut model = Model::new(blocks);
        model.run(&mut scheduler);
        model.finished.sort_unstable();
        let want: Vec<_> = (0..5).map(|s| (0, s, 8)).chain([(1, 0, 6)]).collect();
        assert_eq!(model.finished, want, "{blocks} blocks");
        if blocks == 40 {
            assert_eq!(model.stats.preemptions, 0);
        }
    }
}

#[test]
fn a_prefix_is_found_again_and_only_whole_chunks_when_invariant() {
    for (invariant, want) in [(false, 16), (true, 16)] {
        let unit = if invariant { 8 } else { 4 };
        let config = EngineConfig {
            invariant,
            ..config(40)
        };
        let mut scheduler = Scheduler::new(&config, 40);
        let mut model = Model::new(40);
        scheduler.push(keyed(unit, 0, &ids(1, 19), 2, 1));
        model.run(&mut scheduler);
        let longer = [ids(1, 18), ids(500, 5)].concat();
        scheduler.push(keyed(unit, 1, &longer, 2, 1));
        model.run(&mut scheduler);
        assert_eq!(model.stats.prefix_hits, want, "invariant {invariant}");
        // 12 tokens alike: three blocks, of which one chunk of two is whole.
        let other = [ids(1, 12), ids(900, 9)].concat();
        scheduler.push(keyed(unit, 2, &other, 2, 1));
        model.run(&mut scheduler);
        let more = if invariant { 8 } else { 12 };
        assert_eq!(
            model.stats.prefix_hits,
            want + more,
            "invariant {invariant}"
        );
    }
}

#[test]
fn a_cancelled_sequence_gives_its_blocks_back() {
    let mut scheduler = Scheduler::new(&config(40), 40);
    let mut model = Model::new(40);
    scheduler.push(sequence(0, &ids(5, 10), 50, 3));
    scheduler.push(sequence(1, &ids(70, 4), 4, 1));
    (0..4).for_each(|_| model.step(&mut scheduler));
    let found = scheduler.of_request(RequestId(0));
    assert_eq!(found.len(), 3);
    found.into_iter().for_each(|id| _ = scheduler.remove(id));
    model.run(&mut scheduler);
    assert_eq!(model.finished, [(1, 0, 4)]);
}

#[test]
fn random_loads_end_without_leaks() {
    let mut state = 7u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..60 {
        let blocks = 10 + random(20) as usize;
        let unit = if round % 2 == 0 { 8 } else { 4 };
        let config = EngineConfig {
            invariant: round % 2 == 0,
            ..config(blocks)
        };
        let mut scheduler = Scheduler::new(&config, blocks);
        let mut model = Model::new(blocks);
        let mut expected = 0;
        for request in 0..12 {
            let len = 1 + random(20) as u32;
            let (new, samples) = (1 + random(18) as usize, 1 + random(4) as usize);
            // Few beginnings, so that prefixes meet.
            scheduler.push(keyed(
                unit,
                request,
                &ids(100 * random(3) as u32 + 1, len),
                new,
                samples,
            ));
            expected += samples;
            (0..random(6)).for_each(|_| model.step(&mut scheduler));
        }
        model.run(&mut scheduler);
        assert_eq!(model.finished.len(), expected, "round {round}");
    }
}
