//! What the engine makes of a sequence on its way, for checks against another way to run it.

use crate::prompt::Prompt;
use crate::{Engine, Error};
use burn::tensor::Tensor;
use glmv_kernels::row_invariant;
use glmv_model::{BlockId, KvPool, Pixels, PoolConfig, Probe, Rows};
use glmv_processor::ModelInputs;
use std::collections::BTreeMap;

impl Engine {
    /// Runs a prompt and then `tokens` as a rollout does: the prompt in chunks, each token as a row
    /// of its own. `probe` sees the last pass; the row of it that shows the last token is returned.
    /// Requests and caches of the engine are not touched.
    ///
    /// # Errors
    /// As [`Engine::add`] and [`Engine::step`].
    pub fn trace(
        &self,
        inputs: ModelInputs,
        tokens: &[u32],
        probe: &mut Probe,
    ) -> Result<usize, Error> {
        let merge = self.model.config().vision.spatial_merge_size as u32;
        let prompt = Prompt::new(inputs, merge)?;
        let (size, n) = (self.config.block_size, prompt.len());
        let blocks = (n + tokens.len()).div_ceil(size);
        let pool = PoolConfig {
            blocks,
            block_size: size,
            format: self.config.kv_format.unwrap_or(self.model.cache_format()),
        };
        let mut pool = KvPool::new(&self.model.config().text, pool, &self.model.device())?;
        let table: Vec<BlockId> = (0..blocks as u32).map(BlockId).collect();
        let ids = [prompt.inputs.input_ids.as_slice(), tokens].concat();
        let chunk = self.config.chunk.next_multiple_of(size);
        let mut cuts: Vec<usize> = (0..n).step_by(chunk).skip(1).collect();
        cuts.extend(n..=n + tokens.len());
        let mut from = 0;
        for to in cuts {
            let mut off = Probe::off();
            let is_last = to == ids.len();
            let places = from..to;
            let positions: Vec<i64> = (0..3)
                .flat_map(|axis| places.clone().map(move |at| (axis, at)))
                .map(|(axis, at)| prompt.position(at)[axis])
                .collect();
            let features = self.features_of(&prompt, from, to.min(n))?;
            let rows = Rows {
                batch: 1,
                seq: to - from,
                input_ids: &ids[places],
                positions: &positions,
                tables: &[&table],
                past: &[from],
                features: features.as_ref().map(|(t, s)| (t.clone(), s.as_slice())),
            };
            let probe = if is_last { &mut *probe } else { &mut off };
            let decodes = self.config.invariant && from >= n;
            match decodes {
                true => row_invariant(|| self.model.forward_rows(rows, &mut pool, probe))?,
                false => self.model.forward_rows(rows, &mut pool, probe)?,
            };
            if is_last {
                return Ok(to - from - 1);
            }
            from = to;
        }
        unreachable!("the last cut is the end of the sequence")
    }

    /// Features of the visuals shown from token `from` to `to`, each encoded alone, and the row of
    /// them that every token shows, or -1.
    fn features_of(
        &self,
        prompt: &Prompt,
        from: usize,
        to: usize,
    ) -> Result<Option<(Tensor<2>, Vec<i64>)>, Error> {
        let (mut first, mut parts, mut count) = (BTreeMap::new(), Vec::new(), 0);
        let mut source = Vec::new();
        for at in from..to.max(from) {
            let Some((visual, row)) = prompt.source(at) else {
                source.push(-1);
                continue;
            };
            if let std::collections::btree_map::Entry::Vacant(place) = first.entry(visual) {
                let shown = &prompt.visuals[visual];
                let pixels = Pixels {
                    values: prompt.pixels(shown),
                    grids: &[shown.grid],
                };
                let rows = self.model.encode(pixels, &mut Probe::off())?;
                place.insert(count);
                count += rows.dims()[0] as i64;
                parts.push(rows);
            }
            source.push(first[&visual] + i64::from(row));
        }
        Ok((!parts.is_empty()).then(|| (Tensor::cat(parts, 0), source)))
    }
}
