//! Keys and values of all sequences in blocks of tokens: the tensors. Which block belongs to whom is
//! the caller's bookkeeping (`KvCache` for one batch, the engine for many requests).

use crate::Error;
use crate::config::TextConfig;
use burn::tensor::{Device, Int, Tensor};
use glmv_kernels::{KvFormat, KvStore, kv_copy, kv_write};

/// Index of a block of a [`KvPool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// Size and format of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Blocks at the start.
    pub blocks: usize,
    /// Tokens of a block, a multiple of 4.
    pub block_size: usize,
    pub format: KvFormat,
}

/// The KV cache of every layer, as rows of blocks.
#[derive(Debug)]
pub struct KvPool {
    /// Allocated by the first write.
    layers: Vec<Option<KvStore>>,
    blocks: usize,
    block_size: usize,
    format: KvFormat,
    kv_heads: usize,
    head_dim: usize,
    device: Device,
}

impl KvPool {
    /// A pool for the decoder of `config`; its memory is taken by the first pass.
    ///
    /// # Errors
    /// [`Error::KvPool`] where the blocks exceed what one buffer of the device holds, the block
    /// size is no multiple of 4, or the format does not take the head width.
    pub fn new(config: &TextConfig, pool: PoolConfig, device: &Device) -> Result<Self, Error> {
        let refuse = |reason: String| Err(Error::KvPool { reason });
        if pool.block_size == 0 || !pool.block_size.is_multiple_of(4) {
            let size = pool.block_size;
            return refuse(format!(
                "blocks of {size} tokens, a multiple of 4 is needed"
            ));
        }
        if pool.format == KvFormat::Q8 && !config.head_dim.is_multiple_of(4) {
            let width = config.head_dim;
            return refuse(format!(
                "an 8-bit cache needs heads of a multiple of 4, not {width}"
            ));
        }
        let mut empty = KvPool {
            layers: (0..config.num_layers).map(|_| None).collect(),
            blocks: 0,
            block_size: pool.block_size,
            format: pool.format,
            kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
            device: device.clone(),
        };
        empty.grow(pool.blocks)?;
        Ok(empty)
    }

    /// Blocks held.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Tokens per block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Blocks that fit into one buffer of the device.
    pub fn most_blocks(&self) -> usize {
        let row = self.format.tensor_row_bytes(self.kv_heads, self.head_dim);
        let bytes = glmv_kernels::device::max_tensor_bytes(&self.device);
        let rows = bytes / (row.max(1) as u64);
        usize::try_from(rows).unwrap_or(usize::MAX) / self.block_size
    }

    /// Bytes of one block over all layers.
    pub fn block_bytes(&self) -> usize {
        let row = self.format.row_bytes(self.kv_heads, self.head_dim);
        self.layers.len() * self.block_size * row
    }

    /// Bytes on the device so far.
    pub fn bytes(&self) -> usize {
        let row = self.format.row_bytes(self.kv_heads, self.head_dim);
        let rows = self.layers.iter().flatten().map(KvStore::rows);
        rows.sum::<usize>() * row
    }

    /// Adds `more` blocks of zeros behind the others; copies what is held.
    ///
    /// # Errors
    /// [`Error::KvPool`] with the figures where one buffer cannot hold them.
    pub fn grow(&mut self, more: usize) -> Result<(), Error> {
        if more == 0 {
            return Ok(());
        }
        let (blocks, most) = (self.blocks + more, self.most_blocks());
        if blocks > most {
            let size = self.block_size;
            let reason = format!(
                "{blocks} blocks of {size} tokens are more than the {most} whose keys fit into one \
                 buffer of this device: use fewer or a smaller cache format"
            );
            return Err(Error::KvPool { reason });
        }
        for layer in &mut self.layers {
            *layer = layer
                .take()
                .map(|store| store.grown(more * self.block_size));
        }
        self.blocks = blocks;
        Ok(())
    }

    /// Copies whole blocks in every layer. No block may be both read and written.
    pub fn copy_blocks(&mut self, pairs: &[(BlockId, BlockId)]) {
        let rows = |pick: fn(&(BlockId, BlockId)) -> BlockId| {
            let blocks = pairs.iter().map(pick);
            let rows: Vec<i64> = blocks
                .flat_map(|b| (0..self.block_size).map(move |i| (b.0, i)))
                .map(|(b, i)| i64::from(b) * self.block_size as i64 + i as i64)
                .collect();
            Tensor::<1, Int>::from_data(rows.as_slice(), &self.device)
        };
        if pairs.is_empty() {
            return;
        }
        let (from, to) = (rows(|p| p.0), rows(|p| p.1));
        for layer in &mut self.layers {
            let store = layer.take();
            *layer = store.map(|store| kv_copy(store, from.clone(), to.clone()));
        }
    }

    /// Writes the keys and values `[tokens, kv_heads, head_dim]` of one layer at `slots` and lends
    /// the layer's store.
    pub(crate) fn write(
        &mut self,
        layer: usize,
        k: Tensor<3>,
        v: Tensor<3>,
        slots: Tensor<1, Int>,
    ) -> &KvStore {
        self.update(layer, |store| (kv_write(store, k, v, slots), ()));
        self.store(layer)
    }

    /// One layer's keys and values.
    ///
    /// # Panics
    /// Before anything was written.
    pub(crate) fn store(&self, layer: usize) -> &KvStore {
        match &self.layers[layer] {
            Some(store) => store,
            None => unreachable!("layer {layer} is written before it is read"),
        }
    }

    /// Replaces one layer's store by what `change` makes of it.
    pub(crate) fn update<T>(
        &mut self,
        layer: usize,
        change: impl FnOnce(KvStore) -> (KvStore, T),
    ) -> T {
        let shape = [self.blocks * self.block_size, self.kv_heads, self.head_dim];
        // Taken out, so that the only handle is ours and a write happens in place.
        let store = self.layers[layer].take();
        let store = store.unwrap_or_else(|| {
            // It outlives every pass: on the pages of the activations it would take most of a page.
            self.device.memory_persistent_allocations(shape, |shape| {
                KvStore::zeros(self.format, shape, &self.device)
            })
        });
        let (store, result) = change(store);
        self.layers[layer] = Some(store);
        result
    }

    /// How keys and values are stored.
    pub fn format(&self) -> KvFormat {
        self.format
    }
}
