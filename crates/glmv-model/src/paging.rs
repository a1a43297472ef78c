//! From block tables to what the kernels take: rows to write, ranges and tables to read.

use crate::decoder::BlockId;
use crate::{Error, KvPool};
use burn::tensor::Tensor;

/// Tokens of one pass over sequences that lie in a [`KvPool`]: `seq` further tokens of each of
/// `batch` sequences. Two rows may be of the same sequence at different places, since all keys are
/// written before any is read.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    pub batch: usize,
    pub seq: usize,
    /// `[batch, seq]`.
    pub input_ids: &'a [u32],
    /// `[3, batch, seq]`.
    pub positions: &'a [i64],
    /// Blocks of each sequence, enough for its past and the new tokens.
    pub tables: &'a [&'a [BlockId]],
    /// Tokens of each sequence that are in the pool already.
    pub past: &'a [usize],
    /// Feature rows `[n, hidden]` and, for every token, which of them it shows, or -1 for text.
    pub features: Option<(Tensor<2>, &'a [i64])>,
}

/// Host side of the paging tensors.
#[derive(Debug)]
pub(crate) struct Pages {
    /// `[batch, max_blocks]`.
    pub table: Vec<i64>,
    pub max_blocks: usize,
    /// `[batch * seq]`.
    pub slots: Vec<i64>,
}

impl Pages {
    /// Physical rows of `seq` tokens behind `past` of each sequence.
    ///
    /// # Errors
    /// [`Error::Input`] where a table is too short or names a block outside of the pool.
    pub fn new(
        tables: &[&[BlockId]],
        past: &[usize],
        seq: usize,
        pool: &KvPool,
    ) -> Result<Self, Error> {
        let size = pool.block_size();
        let mut slots = Vec::with_capacity(tables.len() * seq);
        for (b, (table, past)) in tables.iter().zip(past).enumerate() {
            for at in *past..past + seq {
                let block = table
                    .get(at / size)
                    .filter(|b| (b.0 as usize) < pool.blocks());
                let block = block.ok_or_else(|| Error::Input {
                    reason: format!("row {b}: no block for token {at}"),
                })?;
                slots.push(i64::from(block.0) * size as i64 + (at % size) as i64);
            }
        }
        // Blocks behind the last key are not needed: a narrow table is less to upload.
        let used = |past: &usize| (past + seq).div_ceil(size);
        let max_blocks = past.iter().map(used).max().unwrap_or(0);
        let table = tables.iter().flat_map(|table| {
            let blocks = table.iter().map(|b| i64::from(b.0));
            blocks.chain(std::iter::repeat(0)).take(max_blocks)
        });
        Ok(Pages {
            table: table.collect(),
            max_blocks,
            slots,
        })
    }
}

impl Rows<'_> {
    /// Fails unless all parts have their lengths and every id lies below `vocab`.
    pub(crate) fn check(&self, vocab: usize) -> Result<(), Error> {
        let n = self.batch * self.seq;
        let tokens = [self.input_ids.len(), self.positions.len() / 3];
        let rows = [self.tables.len(), self.past.len()];
        let source = self.features.as_ref().is_none_or(|(_, s)| s.len() == n);
        if n == 0 || tokens != [n; 2] || rows != [self.batch; 2] || !source {
            let reason = format!(
                "{} x {} tokens with {tokens:?} values, {rows:?} tables",
                self.batch, self.seq
            );
            return Err(Error::Input { reason });
        }
        match self.input_ids.iter().find(|id| **id as usize >= vocab) {
            Some(id) => {
                let reason = format!("token id {id} is outside the vocabulary of {vocab}");
                Err(Error::Input { reason })
            }
            None => Ok(()),
        }
    }
}

/// Key range of every query: from the row's padding to the query itself.
///
/// # Shapes
/// → `[batch * seq, 2]`.
pub(crate) fn ranges(padding: &[usize], past: &[usize], seq: usize) -> Vec<i64> {
    let rows = padding.iter().zip(past);
    let of_row = |(padding, past): (&usize, &usize)| {
        let (padding, past) = (*padding as i64, *past as i64);
        (0..seq as i64).flat_map(move |i| [padding, past + i + 1])
    };
    rows.flat_map(of_row).collect()
}
