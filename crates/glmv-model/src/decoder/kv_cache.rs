//! The cache of one batch whose rows grow together: a pool with a block table per row. The engine
//! keeps its own tables; this is for one batch alone.

use super::kv_pool::{BlockId, KvPool, PoolConfig};
use crate::config::TextConfig;
use crate::loader::float_on;
use crate::{Error, Precision};
use burn::tensor::Device;
use glmv_kernels::KvFormat;

/// Tokens per block of a [`KvCache`].
const BLOCK: usize = 16;

/// KV cache of one batch; allocated at the first pass and grown by doubling.
#[derive(Debug)]
pub struct KvCache {
    pool: KvPool,
    /// Blocks of each row, in order.
    tables: Vec<Vec<BlockId>>,
    /// Tokens held per row, padding included.
    len: usize,
    /// Tokens per row to make room for.
    capacity: usize,
}

/// Format of a cache beside weights of `precision`, unless another is asked for.
pub(crate) fn cache_format(device: &Device, precision: Precision) -> KvFormat {
    match float_on(device, precision) {
        Precision::F32 => KvFormat::F32,
        Precision::F16 | Precision::Q8 | Precision::Q4 => KvFormat::F16,
    }
}

impl KvCache {
    /// An empty cache with room for `capacity` tokens per row.
    ///
    /// # Errors
    /// [`Error::KvPool`] if the format does not take the model's heads.
    pub fn new(
        config: &TextConfig,
        capacity: usize,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, Error> {
        let pool = PoolConfig {
            blocks: 0,
            block_size: BLOCK,
            format: cache_format(device, precision),
        };
        Ok(KvCache {
            pool: KvPool::new(config, pool, device)?,
            tables: Vec::new(),
            len: 0,
            capacity: capacity.max(1),
        })
    }

    /// Tokens held per row, left padding included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True before the first forward pass.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the tokens behind the first `len`, in every row; their memory stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Bytes of all keys and values on the device.
    pub fn bytes(&self) -> usize {
        self.pool.bytes()
    }

    /// Makes room for `seq` more tokens in each of `batch` rows.
    pub(crate) fn reserve(&mut self, batch: usize, seq: usize) -> Result<(), Error> {
        if self.tables.is_empty() {
            self.tables = vec![Vec::new(); batch];
        }
        if self.tables.len() != batch {
            let reason = format!("{batch} rows for a cache of {}", self.tables.len());
            return Err(Error::Input { reason });
        }
        let needed = self.len + seq;
        if needed > self.capacity {
            self.capacity = needed.max(self.capacity * 2);
        }
        let more = self.capacity.div_ceil(BLOCK) - self.tables.first().map_or(0, Vec::len);
        let mut next = self.pool.blocks() as u32;
        self.pool.grow(more * batch)?;
        for table in &mut self.tables {
            table.extend((next..next + more as u32).map(BlockId));
            next += more as u32;
        }
        Ok(())
    }

    /// The pool and the rows' tables.
    pub(crate) fn parts(&mut self) -> (&mut KvPool, Vec<&[BlockId]>) {
        let tables = self.tables.iter().map(Vec::as_slice).collect();
        (&mut self.pool, tables)
    }

    /// Counts `seq` tokens as held, once all layers wrote them.
    pub(crate) fn advance(&mut self, seq: usize) {
        self.len += seq;
    }
}
