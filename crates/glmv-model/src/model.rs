//! The whole model. Read [`Glm4v::forward`] first: pixels → vision → projector → splice → decoder.

use crate::config::{Config, Family};
use crate::decoder::{Context, Paging, cache_format};
use crate::inputs::{Batch, Features, Sequences, sources};
use crate::paging::{Pages, Rows, ranges};
use crate::projector::Projector;
use crate::schema::LANGUAGE;
use crate::{
    AdapterConfig, Checkpoint, Decoder, Error, KvCache, KvPool, Linear, LoadOptions, Loader,
    Precision, Probe, Progress, VisionTower, WeightParam,
};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, s};
use glmv_kernels::{FEW_ROWS, KvFormat, Pairing, RopeTable, Weight, embed, splice};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// GLM-4.1V or GLM-4.5V with its weights on one device.
#[derive(Module, Debug)]
pub struct Glm4v {
    pub visual: VisionTower,
    pub projector: Projector,
    /// Row shards `[vocab_i, hidden]`.
    pub embed_tokens: Vec<WeightParam<2>>,
    pub language_model: Decoder,
    /// `None` where the embedding is also the output head.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    config: Config,
    #[module(skip)]
    precision: Precision,
    #[module(skip)]
    rope: RopeCache,
    /// Of the adapter, if there is one.
    #[module(skip)]
    pub(crate) adapter: Option<Arc<AdapterConfig>>,
}

/// The rotary tables of the longest sequence so far, plain and for a device that records gradients;
/// rebuilt when a longer one comes.
#[derive(Clone, Debug, Default)]
struct RopeCache(Arc<Mutex<[Option<RopeTable>; 2]>>);

/// What a pass runs over, checked.
struct Tokens<'a> {
    batch: usize,
    seq: usize,
    input_ids: &'a [u32],
    positions: &'a [i64],
    features: Option<(Tensor<2>, &'a [i64])>,
    /// `[batch * seq, 2]`.
    range: Vec<i64>,
}

impl Glm4v {
    /// Loads a checkpoint folder onto `device` as `options` say. Returns the model and the
    /// names of tensors that were skipped (multi-token-prediction layers).
    ///
    /// # Errors
    /// Names the file, key or tensor; see [`Error`].
    pub fn load(
        dir: &Path,
        device: &Device,
        options: impl Into<LoadOptions>,
        progress: Progress<'_>,
    ) -> Result<(Self, Vec<String>), Error> {
        let config = Config::from_dir(dir)?;
        let checkpoint = Checkpoint::open(dir)?;
        let options = options.into();
        let loader = Loader::new(&checkpoint, device, options.precision, progress);
        let first = config
            .text
            .num_layers
            .saturating_sub(options.experts_on_host);
        Self::from_loader(config, &loader.with_experts_on_host(first))
    }

    /// Loads the model of `config` through a prepared loader; see [`Glm4v::load`].
    ///
    /// # Errors
    /// As [`Glm4v::load`].
    pub fn from_loader(config: Config, loader: &Loader<'_>) -> Result<(Self, Vec<String>), Error> {
        let table = [config.text.vocab_size, config.text.hidden_size];
        let lm_head = match config.tie_word_embeddings {
            true => None,
            false => Some(Linear::load(loader, "lm_head", table, false)?),
        };
        let model = Glm4v {
            visual: VisionTower::load(loader, &config.vision)?,
            projector: Projector::load(loader, &config.vision)?,
            embed_tokens: loader.matrix(&format!("{LANGUAGE}.embed_tokens.weight"), table)?,
            language_model: Decoder::load(loader, &config)?,
            lm_head,
            rope: RopeCache::default(),
            adapter: None,
            precision: loader.precision(),
            config,
        };
        let skipped = loader.finish(&model.config)?;
        Ok((model, skipped))
    }

    /// The parsed `config.json`.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How the matrices are stored; [`Precision::float`] of it is the type of the KV cache, unless the
    /// device has no f16.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The device the weights are on.
    pub fn device(&self) -> Device {
        self.language_model.norm.val().device()
    }

    /// Format of its KV caches, unless another is asked for: f32 beside f32 weights, else f16 where
    /// the device has it.
    pub fn cache_format(&self) -> KvFormat {
        cache_format(&self.device(), self.precision)
    }

    /// An empty cache of one batch with room for `capacity` tokens per row.
    ///
    /// # Errors
    /// [`Error::KvPool`] if the cache cannot be.
    pub fn new_cache(&self, capacity: usize) -> Result<KvCache, Error> {
        let device = self.device();
        // Gives back what former caches of other sizes held.
        device.memory_cleanup();
        KvCache::new(&self.config.text, capacity, self.precision, &device)
    }

    /// Drops cached tables; the next pass makes them anew.
    pub(crate) fn forget_tables(&self) {
        let cached = self.rope.0.lock();
        *cached.unwrap_or_else(|poisoned| poisoned.into_inner()) = [None, None];
    }

    /// Runs one pass and returns the final hidden states of every position.
    ///
    /// Prefill and decode are the same call: with a cache the new tokens attend to the cached ones.
    ///
    /// # Shapes
    /// → `[batch * seq, hidden]` f32.
    ///
    /// # Errors
    /// [`Error::Input`] where ids, modalities, grids and pixel rows disagree.
    ///
    /// Source: HF `Glm4vModel.forward`, `Glm4vMoeModel.forward`.
    pub fn forward(
        &self,
        batch: &Batch<'_>,
        cache: Option<&mut KvCache>,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        let features = self.features(batch, probe)?;
        self.forward_features(batch.sequences, features, cache, probe)
    }

    /// [`Glm4v::forward`] with the visual features already computed.
    ///
    /// # Shapes
    /// → `[batch * seq, hidden]` f32.
    ///
    /// # Errors
    /// As [`Glm4v::forward`].
    pub fn forward_features(
        &self,
        sequences: &Sequences,
        features: Option<Features>,
        cache: Option<&mut KvCache>,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        sequences.check(self.config.text.vocab_size)?;
        let source = sources(sequences, features.as_ref())?;
        let past = vec![cache.as_ref().map_or(0, |c| c.len()); sequences.batch];
        let tokens = Tokens {
            batch: sequences.batch,
            seq: sequences.seq,
            input_ids: &sequences.input_ids,
            positions: &sequences.positions,
            features: features.map(|f| (f.rows, source.as_slice())),
            range: ranges(&sequences.padding, &past, sequences.seq),
        };
        let Some(cache) = cache else {
            return self.pass(tokens, None, probe);
        };
        cache.reserve(sequences.batch, sequences.seq)?;
        let (pool, tables) = cache.parts();
        let pages = Pages::new(&tables, &past, sequences.seq, pool)?;
        let hidden = self.pass(tokens, Some((pool, pages)), probe)?;
        cache.advance(sequences.seq);
        Ok(hidden)
    }

    /// Runs one pass over sequences that lie in a pool, and writes their new keys and values there.
    ///
    /// # Shapes
    /// → `[batch * seq, hidden]` f32.
    ///
    /// # Errors
    /// [`Error::Input`] where the parts of `rows` disagree or a table is too short.
    pub fn forward_rows(
        &self,
        rows: Rows<'_>,
        pool: &mut KvPool,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        rows.check(self.config.text.vocab_size)?;
        let pages = Pages::new(rows.tables, rows.past, rows.seq, pool)?;
        let tokens = Tokens {
            batch: rows.batch,
            seq: rows.seq,
            input_ids: rows.input_ids,
            positions: rows.positions,
            range: ranges(&vec![0; rows.batch], rows.past, rows.seq),
            features: rows.features,
        };
        self.pass(tokens, Some((pool, pages)), probe)
    }

    /// Embedding, splice and decoder over checked tokens.
    fn pass(
        &self,
        tokens: Tokens<'_>,
        cache: Option<(&mut KvPool, Pages)>,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        let device = self.device();
        let mut x = self.embed(tokens.input_ids);
        if let Some((rows, source)) = tokens.features {
            x = splice(x, rows, Tensor::from_data(source, &device));
        }
        probe.record(|| "inputs_embeds".into(), &x);
        let rope = self.rope_table(tokens.positions, &device);
        let n = tokens.batch * tokens.seq;
        let ints = |values: Vec<i64>, dims: [usize; 2]| -> Tensor<2, Int> {
            Tensor::from_data(TensorData::new(values, dims), &device)
        };
        let (pool, pages) = cache.unzip();
        let positions = ints(tokens.positions.to_vec(), [3, n]);
        let few = n <= FEW_ROWS && pages.is_some();
        let context = Context {
            batch: tokens.batch,
            seq: tokens.seq,
            rope: &rope,
            keys: None,
            angles: few.then(|| rope.angles(positions.clone())),
            positions,
            range: ints(tokens.range, [n, 2]),
            pairing: self.pairing(),
            paging: pages.map(|pages| Paging {
                slots: Tensor::from_data(pages.slots.as_slice(), &device),
                table: ints(pages.table, [tokens.batch, pages.max_blocks]),
            }),
        };
        self.language_model.forward(x, &context, pool, probe)
    }

    /// How the decoder pairs the values that it rotates.
    pub(crate) fn pairing(&self) -> Pairing {
        match self.config.family {
            Family::Glm4v => Pairing::Interleaved,
            Family::Glm4vMoe => Pairing::HalfSplit,
        }
    }

    /// Scores over the vocabulary.
    ///
    /// # Shapes
    /// `hidden` `[rows, hidden]` → `[rows, vocab]` f32.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => Linear {
                weight: self.embed_tokens.clone(),
                bias: None,
                adapters: Vec::new(),
            }
            .forward(hidden),
        }
    }

    /// Shards of the output head `[vocab_i, hidden]`; the embedding's where the two are one.
    pub fn head(&self) -> Vec<Weight<2>> {
        let shards = match &self.lm_head {
            Some(head) => &head.weight,
            None => &self.embed_tokens,
        };
        shards.iter().map(WeightParam::val).collect()
    }

    /// Token embeddings, f32.
    ///
    /// # Shapes
    /// `ids` n of them → `[n, hidden]`.
    pub fn embed(&self, ids: &[u32]) -> Tensor<2> {
        let device = self.device();
        let index: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
        let index = Tensor::<1, Int>::from_data(index.as_slice(), &device);
        let mut base = 0;
        let mut sum: Option<Tensor<2>> = None;
        for table in &self.embed_tokens {
            let rows = table.dims()[0];
            let part = embed(table.val(), index.clone(), base);
            sum = Some(match sum {
                Some(sum) => sum + part,
                None => part,
            });
            base += rows;
        }
        match sum {
            Some(sum) => sum,
            None => Tensor::zeros([ids.len(), self.config.text.hidden_size], &device),
        }
    }

    pub(crate) fn rope_table(&self, positions: &[i64], device: &Device) -> RopeTable {
        let text = &self.config.text;
        let needed = positions.iter().max().map_or(1, |p| *p as usize + 1);
        let mut cached = self
            .rope
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let cached = &mut cached[usize::from(device.is_autodiff())];
        if let Some(table) = cached
            && table.positions() >= needed
        {
            return table.clone();
        }
        let frequencies = RopeTable::text_frequencies(text.rope_theta, text.rotary_dims);
        let axes = RopeTable::text_axes(&text.mrope_section, text.rotary_dims / 2);
        let table = RopeTable::new(
            &frequencies,
            &axes,
            needed.next_power_of_two().max(256),
            device,
        );
        *cached = Some(table.clone());
        table
    }

    /// Rows `rows` of `hidden` (prompt ends, say).
    ///
    /// # Shapes
    /// `hidden` `[n, width]` → `[rows.len(), width]`.
    pub fn select_rows(&self, hidden: Tensor<2>, rows: &[usize]) -> Tensor<2> {
        if let [row] = rows {
            return hidden.slice(s![*row..*row + 1, ..]);
        }
        let index: Vec<i64> = rows.iter().map(|r| *r as i64).collect();
        let index = Tensor::<1, Int>::from_data(index.as_slice(), &hidden.device());
        hidden.select(0, index)
    }
}
