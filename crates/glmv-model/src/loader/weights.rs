//! Weights of the loader: matrices and stacks put together from pieces of stored tensors, as floats
//! or as codes, in as many shards as the device's buffer limit needs.

use super::Loader;
use crate::cast::decode;
use crate::codes::{CHUNK, Words};
use crate::piece::{Piece, within};
use crate::{Error, WeightParam};
use glmv_kernels::{Quantised, Weight};

impl Loader<'_> {
    /// A matrix `[rows, cols]` in the storage of its part of the model, split by rows into as many shards as the
    /// device's buffer limit needs.
    ///
    /// # Errors
    /// As [`Loader::f32`], and [`Error::TooLarge`] if one row exceeds the limit.
    pub fn matrix(
        &self,
        name: &str,
        [rows, cols]: [usize; 2],
    ) -> Result<Vec<WeightParam<2>>, Error> {
        self.joined(&[Piece::whole(name.to_string(), [rows, cols])])
    }

    /// A matrix of the rows of `pieces`, one below the other, as [`Loader::matrix`].
    ///
    /// # Errors
    /// As [`Loader::matrix`].
    pub fn joined(&self, pieces: &[Piece]) -> Result<Vec<WeightParam<2>>, Error> {
        let rows = pieces.iter().map(|p| p.rows.len()).sum();
        let (name, cols) = pieces.first().map_or(("", 0), |p| (&p.name, p.cols.len()));
        let row_bytes = self.storage(name).row_bytes(cols);
        let mut shards = Vec::new();
        for (start, count) in self.split(name, rows, row_bytes)? {
            let run: Vec<Piece> = within(pieces, start..start + count).collect();
            shards.push(self.weight(name, &run, [count, cols])?.into());
        }
        Ok(shards)
    }

    /// A stack `[experts, rows, cols]` of which expert e has the rows of `pieces(e)`. Split by
    /// experts so that one expert of every matrix of shape `widest` fits the buffer limit; stacks of
    /// one layer share `widest` and so their split.
    ///
    /// # Errors
    /// As [`Loader::matrix`].
    pub fn stack(
        &self,
        name: &str,
        pieces: &dyn Fn(usize) -> Vec<Piece>,
        [experts, rows, cols]: [usize; 3],
        widest: &[[usize; 2]],
    ) -> Result<Vec<WeightParam<3>>, Error> {
        let storage = self.storage(name);
        let bytes = widest.iter().map(|[r, c]| r * storage.row_bytes(*c));
        let most = bytes.max().unwrap_or(0).max(rows * storage.row_bytes(cols));
        let mut shards = Vec::new();
        for (start, count) in self.split(name, experts, most)? {
            let run: Vec<Piece> = (start..start + count).flat_map(pieces).collect();
            shards.push(self.weight(name, &run, [count, rows, cols])?.into());
        }
        Ok(shards)
    }

    /// The rows of `pieces` as one weight of shape `dims`, stored as the part of `name` is.
    fn weight<const D: usize>(
        &self,
        name: &str,
        pieces: &[Piece],
        dims: [usize; D],
    ) -> Result<Weight<D>, Error> {
        let storage = self.storage(name);
        let Some(format) = storage.format() else {
            let mut values = Vec::with_capacity(dims.iter().product());
            for piece in pieces {
                self.take(piece, &mut values)?;
            }
            let tensor = self.upload(values, dims, storage, name)?;
            return Ok(Weight::Float(tensor));
        };
        let (rows, cols) = (dims[..D - 1].iter().product(), dims[D - 1]);
        let mut words = Words::with_capacity(format, rows, cols);
        for piece in pieces {
            self.take_codes(piece, &mut words)?;
        }
        let (codes, scales) = words.into_parts();
        let bytes = 4 * (codes.len() + scales.len());
        let device = self.device;
        let weight = device.memory_persistent_allocations((codes, scales), |words| {
            Quantised::from_words(words, dims, format, device)
        });
        self.settle(bytes as u64, name)?;
        Ok(Weight::Quantised(weight))
    }

    /// Appends the codes of `piece`: those of the file, or those of its floats.
    fn take_codes(&self, piece: &Piece, words: &mut Words) -> Result<(), Error> {
        let cols = piece.cols.len();
        if let Some(packed) = self.checkpoint.codes(&piece.name, &piece.shape)? {
            packed.append(&piece.name, piece.rows.clone(), piece.cols.clone(), words)?;
            self.mark_codes(&piece.name);
            self.read(words.format().bytes(piece.rows.len(), cols) as u64);
            return Ok(());
        }
        let step = (CHUNK / cols.max(1)).max(1);
        for start in piece.rows.clone().step_by(step) {
            let run = piece
                .clone()
                .rows(start..(start + step).min(piece.rows.end));
            let mut values = Vec::with_capacity(run.rows.len() * cols);
            self.take(&run, &mut values)?;
            words.quantise(&piece.name, &values)?;
        }
        Ok(())
    }

    fn mark_codes(&self, name: &str) {
        let mut used = self.used.borrow_mut();
        used.extend(["codes", "scales"].map(|part| format!("{name}.{part}")));
    }

    /// Appends the values of `piece` row by row.
    fn take(&self, piece: &Piece, values: &mut Vec<f32>) -> Result<(), Error> {
        if let Some(packed) = self.checkpoint.codes(&piece.name, &piece.shape)? {
            packed.dequantise(&piece.name, piece.rows.clone(), piece.cols.clone(), values)?;
            self.mark_codes(&piece.name);
            let (rows, cols) = (piece.rows.len(), piece.cols.len());
            self.read(packed.format.bytes(rows, cols) as u64);
            return Ok(());
        }
        let stored = self.stored(&piece.name, &piece.shape)?;
        let width = piece.shape.last().copied().unwrap_or(0);
        if piece.cols.len() == width {
            let range = piece.rows.start * width..piece.rows.end * width;
            values.extend(decode(&stored, range, &piece.name)?);
        } else {
            for row in piece.rows.clone() {
                let range = row * width + piece.cols.start..row * width + piece.cols.end;
                values.extend(decode(&stored, range, &piece.name)?);
            }
        }
        let elements: usize = piece.shape.iter().product();
        let taken = piece.rows.len() * piece.cols.len();
        self.read((taken * (stored.bytes.len() / elements)) as u64);
        Ok(())
    }

    /// Runs (start, count) of `rows` rows of `row_bytes` bytes that fit one buffer each.
    fn split(
        &self,
        name: &str,
        rows: usize,
        row_bytes: usize,
    ) -> Result<Vec<(usize, usize)>, Error> {
        let row_bytes = row_bytes.max(1) as u64;
        if row_bytes > self.limit {
            let (needed, limit) = (row_bytes, self.limit);
            return Err(Error::TooLarge {
                name: name.to_string(),
                needed,
                limit,
            });
        }
        let most = usize::try_from(self.limit / row_bytes)
            .unwrap_or(rows)
            .min(rows)
            .max(1);
        let shards = rows.div_ceil(most);
        let each = rows.div_ceil(shards);
        Ok((0..shards)
            .map(|s| (s * each, each.min(rows - s * each)))
            .collect())
    }
}
