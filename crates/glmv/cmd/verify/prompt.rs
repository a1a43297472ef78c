//! A batch of prompts from golden tensors, and greedy decoding of it: what the model kinds run.

use super::check::Check;
use super::fields::{Layout, compare_positions, grids, token_ids};
use anyhow::{bail, ensure};
use burn::tensor::Tensor;
use glmv_engine::sequences_of;
use glmv_kernels::device::read;
use glmv_model::{
    Batch, Glm4v, Pixels, PositionIds, Probe, Sequences, decode_positions, rope_index,
};

/// Pixel rows and grids of all images (or videos).
struct Visual {
    values: Vec<f32>,
    grids: Vec<[u32; 3]>,
}

/// Left-padded prompts with their pictures.
pub(super) struct Prompt {
    pub layout: Layout,
    input_ids: Vec<u32>,
    padding: Vec<usize>,
    images: Option<Visual>,
    videos: Option<Visual>,
    positions: PositionIds,
    merge: u32,
}

/// A greedy continuation of every row.
pub(super) struct Greedy {
    /// `[batch, steps]`.
    pub tokens: Vec<i64>,
    /// `[batch, steps, vocab]`: the logits that chose each token.
    pub logits: Vec<f32>,
}

impl Prompt {
    /// Reads the inputs of a model case, and compares the positions where the case has them.
    ///
    /// # Errors
    /// If a tensor is missing or the inputs contradict each other.
    pub(super) fn read(check: &mut Check<'_>, model: &Glm4v) -> anyhow::Result<Self> {
        let layout = Layout::read(check)?;
        let input_ids = token_ids(check, "input_ids")?;
        ensure!(
            input_ids.len() == layout.mask.len(),
            "{} ids for {} x {} tokens",
            input_ids.len(),
            layout.batch,
            layout.seq
        );
        let mut padding = Vec::with_capacity(layout.batch);
        for row in layout.mask.chunks(layout.seq) {
            let pad = row.iter().take_while(|m| !**m).count();
            ensure!(
                pad < layout.seq && row[pad..].iter().all(|m| *m),
                "attention_mask: padding must be on the left"
            );
            padding.push(pad);
        }
        let images = visual(check, "pixel_values", "image_grid_thw")?;
        let videos = visual(check, "pixel_values_videos", "video_grid_thw")?;
        let merge = u32::try_from(model.config().vision.spatial_merge_size)?;
        let mut prompt = Prompt {
            positions: PositionIds {
                values: Vec::new(),
                rope_delta: Vec::new(),
            },
            layout,
            input_ids,
            padding,
            images,
            videos,
            merge,
        };
        prompt.positions = prompt.place()?;
        if check.has("position_ids") {
            compare_positions(check, &prompt.layout, &prompt.positions)?;
        }
        Ok(prompt)
    }

    fn place(&self) -> anyhow::Result<PositionIds> {
        let grids =
            |visual: &Option<Visual>| visual.as_ref().map_or(Vec::new(), |v| v.grids.clone());
        let Layout {
            modality,
            mask,
            seq,
            ..
        } = &self.layout;
        Ok(rope_index(
            modality,
            mask,
            *seq,
            &grids(&self.images),
            &grids(&self.videos),
            self.merge,
        )?)
    }

    /// The prompt as the model takes it.
    fn sequences(&self) -> Sequences {
        Sequences {
            batch: self.layout.batch,
            seq: self.layout.seq,
            input_ids: self.input_ids.clone(),
            modality: self.layout.modality.clone(),
            positions: self.positions.values.clone(),
            padding: self.padding.clone(),
        }
    }

    fn batch<'a>(&'a self, sequences: &'a Sequences) -> Batch<'a> {
        fn pixels(visual: &Option<Visual>) -> Option<Pixels<'_>> {
            visual.as_ref().map(|v| Pixels {
                values: &v.values,
                grids: &v.grids,
            })
        }
        Batch {
            sequences,
            images: pixels(&self.images),
            videos: pixels(&self.videos),
        }
    }

    /// One pass without a cache: the final hidden states `[batch * seq, hidden]`.
    ///
    /// # Errors
    /// The model's, for inputs that contradict each other.
    pub(super) fn forward(&self, model: &Glm4v, probe: &mut Probe) -> anyhow::Result<Tensor<2>> {
        Ok(model.forward(&self.batch(&self.sequences()), None, probe)?)
    }

    /// `steps` greedy tokens per row through the KV cache, which starts with room for the prompt
    /// alone and so has to grow. Stop tokens do not stop.
    ///
    /// # Errors
    /// The model's and the device's.
    pub(super) fn greedy(&self, model: &Glm4v, steps: usize) -> anyhow::Result<Greedy> {
        let sequences = self.sequences();
        let (batch, seq) = (sequences.batch, sequences.seq);
        let mut cache = model.new_cache(seq)?;
        let hidden = model.forward(&self.batch(&sequences), Some(&mut cache), &mut Probe::off())?;
        let last: Vec<usize> = (1..=batch).map(|b| b * seq - 1).collect();
        let mut logits = read(model.logits(model.select_rows(hidden, &last)))?;
        let vocab = logits.len() / batch;
        let mut rows = vec![(Vec::new(), Vec::new()); batch];
        for step in 0..steps {
            let mut chosen = Vec::with_capacity(batch);
            for (row, logits) in rows.iter_mut().zip(logits.chunks(vocab)) {
                let token = largest(logits)?;
                row.0.push(i64::from(token));
                row.1.extend_from_slice(logits);
                chosen.push(token);
            }
            if step + 1 < steps {
                let seen: Vec<usize> = self.padding.iter().map(|p| cache.len() - p).collect();
                let positions = decode_positions(&seen, &self.positions.rope_delta);
                let next = sequences_of(chosen, positions, self.padding.clone());
                let batch = Batch {
                    sequences: &next,
                    images: None,
                    videos: None,
                };
                let hidden = model.forward(&batch, Some(&mut cache), &mut Probe::off())?;
                logits = read(model.logits(hidden))?;
            }
        }
        let (tokens, logits): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Ok(Greedy {
            tokens: tokens.concat(),
            logits: logits.concat(),
        })
    }

    /// The logits that should choose each of `tokens` `[batch, steps]`, from one pass over prompt
    /// and tokens without a cache: `[batch, steps, vocab]`.
    ///
    /// # Errors
    /// The model's and the device's.
    pub(super) fn uncached(
        &self,
        model: &Glm4v,
        tokens: &[i64],
        steps: usize,
    ) -> anyhow::Result<Vec<f32>> {
        let extra = steps.saturating_sub(1);
        let seq = self.layout.seq + extra;
        let mut whole = Prompt {
            layout: Layout {
                batch: self.layout.batch,
                seq,
                mask: Vec::new(),
                modality: Vec::new(),
            },
            input_ids: Vec::new(),
            padding: self.padding.clone(),
            images: None,
            videos: None,
            positions: self.positions.clone(),
            merge: self.merge,
        };
        for b in 0..self.layout.batch {
            let row = b * self.layout.seq..(b + 1) * self.layout.seq;
            whole.input_ids.extend(&self.input_ids[row.clone()]);
            for token in &tokens[b * steps..][..extra] {
                whole.input_ids.push(u32::try_from(*token)?);
            }
            whole.layout.mask.extend(&self.layout.mask[row.clone()]);
            whole.layout.mask.extend(std::iter::repeat_n(true, extra));
            whole.layout.modality.extend(&self.layout.modality[row]);
            whole.layout.modality.extend(std::iter::repeat_n(0, extra));
        }
        let copy = |v: &Option<Visual>| {
            v.as_ref().map(|v| Visual {
                values: v.values.clone(),
                grids: v.grids.clone(),
            })
        };
        (whole.images, whole.videos) = (copy(&self.images), copy(&self.videos));
        whole.positions = whole.place()?;
        let hidden = whole.forward(model, &mut Probe::off())?;
        let rows: Vec<usize> = (1..=self.layout.batch)
            .flat_map(|b| b * seq - steps..b * seq)
            .collect();
        Ok(read(model.logits(model.select_rows(hidden, &rows)))?)
    }
}

fn visual(check: &mut Check<'_>, values: &str, grid: &str) -> anyhow::Result<Option<Visual>> {
    match (check.has(values), check.has(grid)) {
        (false, false) => Ok(None),
        (true, true) => Ok(Some(Visual {
            values: check.f32(values)?.0,
            grids: grids(check, grid)?,
        })),
        _ => bail!("one of {values} and {grid} is missing"),
    }
}

/// The first largest of some logits.
fn largest(logits: &[f32]) -> anyhow::Result<u32> {
    let mut best = None;
    for (i, value) in logits.iter().enumerate() {
        if best.is_none_or(|(_, most)| *value > most) && !value.is_nan() {
            best = Some((i, *value));
        }
    }
    match best {
        Some((i, _)) => Ok(u32::try_from(i)?),
        None => bail!("all logits are NaN"),
    }
}
