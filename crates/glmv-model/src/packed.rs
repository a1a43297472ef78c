//! Several samples in one row, as the trainers run them: no token sees another sample, positions
//! start anew with each. What samples begin with alike, as the completions of one prompt do, is there
//! once: only keys and values are repeated, so that each token still sees one range of them. A pass
//! goes layer by layer, so that a trainer may keep the inputs of the layers only and run each again for
//! its gradients.

use crate::decoder::Context;
use crate::inputs::{Features, sources};
use crate::{Error, Glm4v, Probe, Sequences, rope_index};
use burn::tensor::{Int, Tensor, TensorData};
use glmv_kernels::{RopeTable, rms_norm, splice};

/// Token ids of some samples, one behind the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    /// `[tokens]`.
    pub input_ids: Vec<u32>,
    /// 0 text, 1 image, 2 video, `[tokens]`.
    pub modality: Vec<u8>,
    /// Along time, height and width, `[tokens]` each.
    positions: [Vec<i64>; 3],
    /// The tokens whose keys and values are seen, sample after sample; a shared one comes with every
    /// sample it belongs to.
    keys: Vec<i64>,
    /// First and one past the last of those keys that each token sees, `[tokens, 2]`.
    ranges: Vec<i64>,
    /// First key of each sample.
    starts: Vec<usize>,
    /// Tokens that each sample adds.
    lengths: Vec<usize>,
}

/// What the layers of one pass share; see [`Glm4v::packed_pass`].
pub struct PackedPass {
    tokens: usize,
    rope: RopeTable,
    positions: Tensor<2, Int>,
    ranges: Tensor<2, Int>,
    keys: Option<Tensor<1, Int>>,
}

impl Packed {
    /// Appends a sample. Its images and videos must also be appended to the pixels of the pass,
    /// images of all samples before videos of all samples.
    ///
    /// # Errors
    /// [`Error::Input`] if modalities do not match the ids or the grids, (frames, height, width) in
    /// patches; `merge` is their `spatial_merge_size`.
    pub fn push(
        &mut self,
        input_ids: &[u32],
        modality: &[u8],
        image_grids: &[[u32; 3]],
        video_grids: &[[u32; 3]],
        merge: u32,
    ) -> Result<(), Error> {
        self.push_behind(
            (0, 0),
            input_ids,
            modality,
            [image_grids, video_grids],
            merge,
        )
    }

    /// Appends a sample whose first `shared` tokens, its images and videos among them, are those of the
    /// sample `with`: they are not computed again, and their pixels are not appended again. Ids and
    /// modalities, `[tokens]`, and grids are those of the whole sample.
    ///
    /// # Errors
    /// As [`Packed::push`]; [`Error::Input`] if there is no such sample, it begins otherwise, or no token
    /// is left. That the pictures are the same is not checked.
    pub fn push_behind(
        &mut self,
        (with, shared): (usize, usize),
        input_ids: &[u32],
        modality: &[u8],
        [image_grids, video_grids]: [&[[u32; 3]]; 2],
        merge: u32,
    ) -> Result<(), Error> {
        let n = input_ids.len();
        if n == 0 || modality.len() != n {
            let reason = format!("a sample of {n} ids and {} modalities", modality.len());
            return Err(Error::Input { reason });
        }
        let common = match shared {
            0 => Vec::new(),
            _ => self.common((with, shared), input_ids, modality)?,
        };
        let mask = vec![true; n];
        let positions = rope_index(modality, &mask, n, image_grids, video_grids, merge)?.values;
        let (start, token) = (self.keys.len(), self.tokens());
        self.input_ids.extend(&input_ids[shared..]);
        self.modality.extend(&modality[shared..]);
        for (all, own) in self.positions.iter_mut().zip(positions.chunks_exact(n)) {
            all.extend(&own[shared..]);
        }
        self.keys.extend(common);
        self.keys.extend((token..self.tokens()).map(|i| i as i64));
        let own = (shared..n).flat_map(|i| [start as i64, (start + i + 1) as i64]);
        self.ranges.extend(own);
        self.starts.push(start);
        self.lengths.push(n - shared);
        Ok(())
    }

    /// The first tokens of a sample, if another begins with them and goes on in text.
    fn common(
        &self,
        (with, shared): (usize, usize),
        input_ids: &[u32],
        modality: &[u8],
    ) -> Result<Vec<i64>, Error> {
        let start = self.starts.get(with).copied();
        let end = self
            .starts
            .get(with + 1)
            .copied()
            .unwrap_or(self.keys.len());
        let keys = start.and_then(|start| self.keys[start..end].get(..shared));
        let alike = |(i, key): (usize, &i64)| {
            let at = *key as usize;
            self.input_ids[at] == input_ids[i] && self.modality[at] == modality[i]
        };
        let keys = keys.filter(|keys| {
            shared < input_ids.len()
                && keys.iter().enumerate().all(alike)
                && modality[shared..].iter().all(|kind| *kind == 0)
        });
        let reason = || format!("{shared} tokens are not shared with sample {with}");
        let keys = keys.ok_or_else(|| Error::Input { reason: reason() })?;
        Ok(keys.to_vec())
    }

    /// Tokens of all samples, shared ones once.
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// The row of token `at` of a sample.
    ///
    /// # Panics
    /// If there is no such sample or token.
    pub fn row(&self, sample: usize, at: usize) -> usize {
        self.keys[self.starts[sample] + at] as usize
    }

    /// Tokens that each sample adds, in order: all of its own but those it shares with one before.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn sequences(&self) -> Sequences {
        Sequences {
            batch: 1,
            seq: self.tokens(),
            input_ids: self.input_ids.clone(),
            modality: self.modality.clone(),
            positions: self.positions.concat(),
            padding: vec![0],
        }
    }
}

impl Glm4v {
    /// Tables and ranges for one pass over `packed` on this model's device.
    ///
    /// # Errors
    /// [`Error::Input`] for an empty row or an id outside of the vocabulary.
    pub fn packed_pass(&self, packed: &Packed) -> Result<PackedPass, Error> {
        packed.sequences().check(self.config().text.vocab_size)?;
        let (device, n) = (self.device(), packed.tokens());
        let positions = packed.positions.concat();
        Ok(PackedPass {
            tokens: n,
            rope: self.rope_table(&positions, &device),
            positions: Tensor::from_data(TensorData::new(positions, [3, n]), &device),
            ranges: Tensor::from_data(TensorData::new(packed.ranges.clone(), [n, 2]), &device),
            keys: (packed.keys.len() > n)
                .then(|| Tensor::from_data(packed.keys.as_slice(), &device)),
        })
    }

    /// Embedded tokens with the visual features in their places. A padding token's embedding gets no
    /// gradient.
    ///
    /// # Shapes
    /// → `[tokens, hidden]`.
    ///
    /// # Errors
    /// [`Error::Input`] if there are more or fewer features than visual tokens.
    ///
    /// Source: HF `Glm4vModel.forward`; `nn.Embedding` with `padding_idx`.
    pub fn packed_embed(
        &self,
        packed: &Packed,
        features: Option<Features>,
    ) -> Result<Tensor<2>, Error> {
        let source = sources(&packed.sequences(), features.as_ref())?;
        let mut x = self.embed(&packed.input_ids);
        let device = x.device();
        let is_pad = |id: &u32| self.config().text.pad_token_id == Some(*id);
        if device.is_autodiff() && packed.input_ids.iter().any(is_pad) {
            let keep: Vec<f32> = (packed.input_ids.iter())
                .map(|id| f32::from(u8::from(!is_pad(id))))
                .collect();
            let keep: Tensor<2> =
                Tensor::from_data(TensorData::new(keep, [packed.tokens(), 1]), &device);
            let rest = keep.clone().neg() + 1.0;
            x = x.clone() * keep + x.detach() * rest;
        }
        Ok(match features {
            Some(features) => {
                let source = Tensor::from_data(source.as_slice(), &device);
                splice(x, features.rows, source)
            }
            None => x,
        })
    }

    /// Layer `index` of the decoder.
    ///
    /// # Shapes
    /// `x` `[tokens, hidden]` → `[tokens, hidden]`.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such layer; a failed read where experts lie on the host.
    pub fn packed_layer(
        &self,
        index: usize,
        x: Tensor<2>,
        pass: &PackedPass,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        let layers = &self.language_model.layers;
        let layer = layers.get(index).ok_or_else(|| Error::Input {
            reason: format!("layer {index} of {}", layers.len()),
        })?;
        let context = Context {
            batch: 1,
            seq: pass.tokens,
            rope: &pass.rope,
            positions: pass.positions.clone(),
            range: pass.ranges.clone(),
            keys: pass.keys.clone(),
            angles: None,
            pairing: self.pairing(),
            paging: None,
        };
        layer.forward(x, &self.config().text, &context, None, probe)
    }

    /// The norm behind the last layer.
    ///
    /// # Shapes
    /// `[tokens, hidden]` → `[tokens, hidden]`.
    pub fn final_norm(&self, x: Tensor<2>) -> Tensor<2> {
        let norm = self.language_model.norm.val();
        rms_norm(x, norm, self.config().text.rms_norm_eps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_see_only_themselves() {
        let mut packed = Packed::default();
        packed.push(&[5, 6], &[0, 0], &[], &[], 2).unwrap();
        let modality = [0, 1, 1, 0];
        packed
            .push(&[7, 8, 8, 9], &modality, &[[1, 2, 4]], &[], 2)
            .unwrap();
        assert_eq!(packed.ranges, [0, 1, 0, 2, 2, 3, 2, 4, 2, 5, 2, 6]);
        assert_eq!(packed.positions[0], [0, 1, 0, 1, 1, 3]);
        assert_eq!(packed.positions[2], [0, 1, 0, 1, 2, 3]);
        assert_eq!(packed.lengths(), [2, 4]);
    }

    #[test]
    fn a_shared_beginning_is_there_once() {
        let mut packed = Packed::default();
        let (modality, grids) = ([0, 1, 1, 0, 0], [[1, 2, 4]]);
        packed
            .push(&[7, 8, 8, 9, 3], &modality, &grids, &[], 2)
            .unwrap();
        packed
            .push_behind((0, 4), &[7, 8, 8, 9, 4], &modality, [&grids, &[]], 2)
            .unwrap();
        // Behind the second: its first tokens are those of the first.
        packed
            .push_behind((1, 4), &[7, 8, 8, 9, 5], &modality, [&grids, &[]], 2)
            .unwrap();
        assert_eq!(packed.input_ids, [7, 8, 8, 9, 3, 4, 5]);
        assert_eq!(packed.positions[0], [0, 1, 1, 3, 4, 4, 4]);
        assert_eq!(packed.keys, [0, 1, 2, 3, 4, 0, 1, 2, 3, 5, 0, 1, 2, 3, 6]);
        assert_eq!(packed.ranges[8..], [0, 5, 5, 10, 10, 15]);
        assert_eq!(packed.lengths(), [5, 1, 1]);
        assert_eq!([packed.row(1, 3), packed.row(2, 4)], [3, 6]);
        // Nothing of it is taken from a sample that begins otherwise, is shorter or not there, nor for
        // one that has nothing else, or a picture of its own.
        let before = packed.clone();
        for ((with, shared), ids, kinds) in [
            ((0, 4), vec![7, 8, 8, 1, 4], vec![0, 1, 1, 0, 0]),
            ((0, 6), vec![7, 8, 8, 9, 3, 1, 1], vec![0, 1, 1, 0, 0, 0, 0]),
            ((3, 4), vec![7, 8, 8, 9, 4], vec![0, 1, 1, 0, 0]),
            ((0, 5), vec![7, 8, 8, 9, 3], vec![0, 1, 1, 0, 0]),
            ((0, 1), vec![7, 8, 8, 9, 4], vec![0, 1, 1, 0, 0]),
        ] {
            let error = packed.push_behind((with, shared), &ids, &kinds, [&grids, &[]], 2);
            assert!(error.unwrap_err().to_string().contains("not shared"));
        }
        assert_eq!(packed, before);
    }

    #[test]
    fn a_sample_that_disagrees_with_itself_is_refused() {
        let mut packed = Packed::default();
        assert!(packed.push(&[1], &[0, 0], &[], &[], 2).is_err());
        assert!(packed.push(&[], &[], &[], &[], 2).is_err());
        assert!(packed.push(&[1, 1], &[1, 1], &[], &[], 2).is_err());
        assert_eq!(packed, Packed::default());
    }
}
