//! Runs what the scheduler planned: parts of prompts with their pictures, and rows of tokens.

use crate::Error;
use crate::blocks::Blocks;
use crate::features::FeatureCache;
use crate::scheduler::{Chunk, Row, SequenceId};
use crate::sequence::Sequence;
use crate::stats::Stats;
use burn::tensor::Tensor;
use glmv_kernels::row_invariant;
use glmv_model::{BlockId, Glm4v, KvPool, Pixels, Probe, Rows};
use glmv_sampling::Sampled;
use std::collections::BTreeMap;
use std::time::Instant;

/// The KV pool and the feature cache, which a model's passes read and fill.
#[derive(Debug)]
pub(crate) struct Runner {
    pub pool: KvPool,
    pub features: FeatureCache,
    pub invariant: bool,
}

impl Runner {
    /// Makes the pool as large as the bookkeeping has it, and copies blocks.
    ///
    /// # Errors
    /// The pool's, where it cannot grow.
    pub fn prepare(&mut self, blocks: &Blocks, copies: &[(BlockId, BlockId)]) -> Result<(), Error> {
        if blocks.count() > self.pool.blocks() {
            self.pool.grow(blocks.count() - self.pool.blocks())?;
        }
        self.pool.copy_blocks(copies);
        Ok(())
    }

    /// Runs a part of a prompt; returns the logits `[1, vocab]` behind the prompt if it ends there.
    ///
    /// # Errors
    /// The model's and the device's.
    pub fn chunk(
        &mut self,
        model: &Glm4v,
        sequence: &mut Sequence,
        chunk: Chunk,
        stats: &mut Stats,
    ) -> Result<Option<Tensor<2>>, Error> {
        let features = self.visuals(model, sequence, chunk, stats)?;
        let start = Instant::now();
        let launches = glmv_kernels::launches();
        let n = chunk.to - chunk.from;
        let places = || chunk.from..chunk.to;
        let positions: Vec<i64> = (0..3)
            .flat_map(|axis| places().map(move |at| (axis, at)))
            .map(|(axis, at)| sequence.prompt.position(at)[axis])
            .collect();
        let rows = Rows {
            batch: 1,
            seq: n,
            input_ids: &sequence.tokens[places()],
            positions: &positions,
            tables: &[&sequence.table],
            past: &[chunk.from],
            features: features.as_ref().map(|(t, s)| (t.clone(), s.as_slice())),
        };
        let hidden = model.forward_rows(rows, &mut self.pool, &mut Probe::off())?;
        let logits = match chunk.to == sequence.prompt_len() {
            true => Some(model.logits(model.select_rows(hidden, &[n - 1]))),
            false => None,
        };
        stats.prefill_passes += 1;
        stats.prefill_tokens += n;
        stats.dispatches += glmv_kernels::launches().wrapping_sub(launches);
        stats.prefill_s += start.elapsed().as_secs_f64();
        Ok(logits)
    }

    /// Features of the visuals in a chunk, and for every token its row in them or -1; `None` without
    /// visual tokens.
    fn visuals(
        &mut self,
        model: &Glm4v,
        sequence: &mut Sequence,
        chunk: Chunk,
        stats: &mut Stats,
    ) -> Result<Option<(Tensor<2>, Vec<i64>)>, Error> {
        let prompt = sequence.prompt.clone();
        let mut first_row = BTreeMap::new();
        let (mut parts, mut count) = (Vec::new(), 0);
        let mut source = Vec::with_capacity(chunk.to - chunk.from);
        for at in chunk.from..chunk.to {
            let Some((visual, row)) = prompt.source(at) else {
                source.push(-1);
                continue;
            };
            let first = match first_row.get(&visual) {
                Some(first) => *first,
                None => {
                    let rows = self.encode(model, sequence, visual, stats)?;
                    let first = count;
                    first_row.insert(visual, first);
                    count += rows.dims()[0] as i64;
                    parts.push(rows);
                    first
                }
            };
            source.push(first + i64::from(row));
        }
        Ok(match parts.len() {
            0 => None,
            1 => parts.pop().map(|rows| (rows, source)),
            _ => Some((Tensor::cat(parts, 0), source)),
        })
    }

    /// Features `[tokens, hidden]` of one visual, which are encoded alone so that they do not depend
    /// on the others.
    fn encode(
        &mut self,
        model: &Glm4v,
        sequence: &mut Sequence,
        visual: usize,
        stats: &mut Stats,
    ) -> Result<Tensor<2>, Error> {
        if let Some(rows) = sequence.features.get(&visual) {
            return Ok(rows.clone());
        }
        let prompt = sequence.prompt.clone();
        let Some(shown) = prompt.visuals.get(visual) else {
            let reason = format!("visual token without picture {visual}");
            return Err(glmv_model::Error::Input { reason }.into());
        };
        let rows = match self.features.get(&shown.digest) {
            Some(rows) => {
                stats.feature_hits += 1;
                rows
            }
            None => {
                let start = Instant::now();
                let pixels = Pixels {
                    values: prompt.pixels(shown),
                    grids: &[shown.grid],
                };
                let rows = model.encode(pixels, &mut Probe::off())?;
                wait(model)?;
                stats.vision_s += start.elapsed().as_secs_f64();
                stats.features_encoded += 1;
                self.features.insert(shown.digest, rows.clone());
                rows
            }
        };
        sequence.features.insert(visual, rows.clone());
        Ok(rows)
    }

    /// Runs one token per row; returns the tokens that follow those that want one.
    ///
    /// # Errors
    /// The model's and the device's.
    pub fn rows(
        &mut self,
        model: &Glm4v,
        sequences: &BTreeMap<SequenceId, Sequence>,
        rows: &[Row],
        stats: &mut Stats,
    ) -> Result<Vec<Sampled>, Error> {
        let start = Instant::now();
        let launches = glmv_kernels::launches();
        let of_row: Vec<(&Sequence, usize)> = rows
            .iter()
            .filter_map(|row| sequences.get(&row.id).map(|s| (s, row.at)))
            .collect();
        let input_ids: Vec<u32> = of_row.iter().map(|(s, at)| s.tokens[*at]).collect();
        let places: Vec<[i64; 3]> = of_row
            .iter()
            .map(|(s, at)| s.prompt.position(*at))
            .collect();
        let axes = [0, 1, 2].map(|axis| places.iter().map(|p| p[axis]).collect::<Vec<i64>>());
        let tables: Vec<&[BlockId]> = of_row.iter().map(|(s, _)| s.table.as_slice()).collect();
        let past: Vec<usize> = of_row.iter().map(|(_, at)| *at).collect();
        let pass = Rows {
            batch: rows.len(),
            seq: 1,
            input_ids: &input_ids,
            positions: &axes.concat(),
            tables: &tables,
            past: &past,
            features: None,
        };
        let wanted: Vec<usize> = (0..rows.len()).filter(|i| rows[*i].last).collect();
        let run = || -> Result<Option<Tensor<2>>, Error> {
            let hidden = model.forward_rows(pass, &mut self.pool, &mut Probe::off())?;
            Ok(match wanted.len() {
                0 => None,
                all if all == rows.len() => Some(model.logits(hidden)),
                _ => Some(model.logits(model.select_rows(hidden, &wanted))),
            })
        };
        let logits = match self.invariant {
            true => row_invariant(run)?,
            false => run()?,
        };
        let choice = |i: &usize| of_row.get(*i).map(|(s, _)| s.choice());
        let choices: Vec<_> = wanted.iter().filter_map(choice).enumerate().collect();
        let sampled = match logits {
            Some(logits) => glmv_kernels::sample(&logits, &choices)?,
            None => Vec::new(),
        };
        stats.decode_passes += 1;
        stats.decode_rows += rows.len();
        stats.replayed_rows += rows.len() - wanted.len();
        stats.dispatches += glmv_kernels::launches().wrapping_sub(launches);
        stats.decode_s += start.elapsed().as_secs_f64();
        Ok(sampled)
    }
}

/// Chooses a token for each of `rows`, which name their row of `logits`; `clock` takes the seconds.
///
/// # Errors
/// The device's, and those of the sampling.
pub(crate) fn sample(
    logits: &Tensor<2>,
    rows: &[(usize, &Sequence)],
    stats: &mut Stats,
    clock: impl FnOnce(&mut Stats, f64),
) -> Result<Vec<Sampled>, Error> {
    let start = Instant::now();
    let launches = glmv_kernels::launches();
    let choices: Vec<_> = rows.iter().map(|(row, s)| (*row, s.choice())).collect();
    let sampled = glmv_kernels::sample(logits, &choices)?;
    stats.dispatches += glmv_kernels::launches().wrapping_sub(launches);
    clock(stats, start.elapsed().as_secs_f64());
    Ok(sampled)
}

fn wait(model: &Glm4v) -> Result<(), Error> {
    let result = model.device().sync();
    result.map_err(|e| glmv_kernels::device::Error::Read {
        reason: format!("{e:?}"),
    })?;
    Ok(glmv_kernels::device::check()?)
}
