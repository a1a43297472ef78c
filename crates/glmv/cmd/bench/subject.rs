//! What is measured: rows of a batch that are prefilled and then decoded in step. The one place
//! that knows how a model is driven.

use burn::tensor::Tensor;
use glmv_kernels::{device::read, sample};
use glmv_model::{Batch, Glm4v, KvCache, Pixels, Probe, Sequences};
use glmv_sampling::{Sampler, SamplingParams};

/// Tokens of one prefill pass over all rows together.
const PASS_TOKENS: usize = 512;

/// Sequences that run in step, each with the same prompt.
pub struct Rows<'a> {
    model: &'a Glm4v,
    cache: KvCache,
    rows: usize,
    prompt: Vec<u32>,
}

impl<'a> Rows<'a> {
    /// `rows` empty sequences with room for a prompt of `prompt` tokens and `new` more.
    pub fn new(model: &'a Glm4v, rows: usize, prompt: usize, new: usize) -> anyhow::Result<Self> {
        Ok(Rows {
            cache: model.new_cache(prompt + new)?,
            prompt: ids(model, prompt),
            model,
            rows,
        })
    }

    /// Runs the prompt through all rows and waits for the tokens behind it.
    pub fn prefill(&mut self) -> anyhow::Result<()> {
        self.cache.truncate(0);
        let chunk = (PASS_TOKENS / self.rows).max(1);
        let prompt = std::mem::take(&mut self.prompt);
        for part in prompt.chunks(chunk) {
            let last = self.pass(part)?;
            if self.cache.len() == prompt.len() {
                self.choose(&last)?;
            }
        }
        self.prompt = prompt;
        Ok(())
    }

    /// Makes one token per row, as the engine does: the chosen tokens are waited for.
    pub fn step(&mut self) -> anyhow::Result<()> {
        let at = self.cache.len() % self.prompt.len().max(1);
        let id = self.prompt.get(at).copied().unwrap_or(0);
        let logits = self.pass(&[id])?;
        self.choose(&logits)
    }

    /// The likeliest token of each row.
    fn choose(&self, logits: &Tensor<2>) -> anyhow::Result<()> {
        let greedy = Sampler::new(SamplingParams::default())?;
        let rows: Vec<_> = (0..self.rows)
            .map(|row| (row, greedy.choice(&[])))
            .collect();
        sample(logits, &rows)?;
        Ok(())
    }

    /// Forgets what was decoded.
    pub fn rewind(&mut self) {
        self.cache.truncate(self.prompt.len());
    }

    /// The same tokens in every row behind the cache; logits of each row's last one.
    fn pass(&mut self, ids: &[u32]) -> anyhow::Result<Tensor<2>> {
        let (seq, start) = (ids.len(), self.cache.len() as i64);
        let row: Vec<i64> = (start..start + seq as i64).collect();
        let sequences = Sequences {
            batch: self.rows,
            seq,
            input_ids: ids.repeat(self.rows),
            modality: vec![0; seq * self.rows],
            positions: row.repeat(3 * self.rows),
            padding: vec![0; self.rows],
        };
        let batch = Batch {
            sequences: &sequences,
            images: None,
            videos: None,
        };
        let mut off = Probe::off();
        let hidden = self
            .model
            .forward(&batch, Some(&mut self.cache), &mut off)?;
        let last: Vec<usize> = (1..=self.rows).map(|r| r * seq - 1).collect();
        Ok(self.model.logits(self.model.select_rows(hidden, &last)))
    }
}

/// Token ids spread over the vocabulary; none of them is a placeholder.
pub fn ids(model: &Glm4v, len: usize) -> Vec<u32> {
    let config = model.config();
    let special = [config.image_token_id, config.video_token_id];
    let vocab = config.text.vocab_size as u32;
    let ids = (0u32..).map(|i| i.wrapping_mul(2_654_435_761) % vocab);
    ids.filter(|id| !special.contains(id)).take(len).collect()
}

/// A square picture in patches.
pub struct Picture {
    values: Vec<f32>,
    grid: [u32; 3],
    tokens: usize,
}

impl Picture {
    /// A picture of `side` pixels, rounded to whole merged patches.
    pub fn new(model: &Glm4v, side: usize) -> Self {
        let v = &model.config().vision;
        let patches = glmv_model::plan::patches(model.config(), [side, side]) as usize;
        let rows = patches.isqrt();
        Picture {
            values: (0..patches * v.patch_len())
                .map(|i| (i % 251) as f32 / 125.5 - 1.0)
                .collect(),
            grid: [1, rows as u32, rows as u32],
            tokens: patches / (v.spatial_merge_size * v.spatial_merge_size),
        }
    }

    /// Tokens that the picture becomes.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Patches and their grid.
    pub fn into_parts(self) -> (Vec<f32>, Vec<[u32; 3]>) {
        (self.values, vec![self.grid])
    }

    /// Tower and projector, waited for.
    pub fn encode(&self, model: &Glm4v) -> anyhow::Result<()> {
        let pixels = Pixels {
            values: &self.values,
            grids: &[self.grid],
        };
        let features = model.encode(pixels, &mut Probe::off())?;
        read(features.slice([0..1, 0..1]))?;
        Ok(())
    }
}
