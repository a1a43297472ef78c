//! Several samples in one row, as the trainers run them: no token sees another sample, positions
//! start anew with each. A pass goes layer by layer, so that a trainer may keep the inputs of the
//! layers only and run each again for its gradients.

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
    /// First and one past the last token that each token sees, `[tokens, 2]`.
    ranges: Vec<i64>,
    /// Tokens of each sample.
    lengths: Vec<usize>,
}

/// What the layers of one pass share; see [`Glm4v::packed_pass`].
pub struct PackedPass {
    tokens: usize,
    rope: RopeTable,
    positions: Tensor<2, Int>,
    ranges: Tensor<2, Int>,
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
        let n = input_ids.len();
        if n == 0 || modality.len() != n {
            let reason = format!("a sample of {n} ids and {} modalities", modality.len());
            return Err(Error::Input { reason });
        }
        let mask = vec![true; n];
        let positions = rope_index(modality, &mask, n, image_grids, video_grids, merge)?.values;
        let start = self.tokens() as i64;
        self.input_ids.extend(input_ids);
        self.modality.extend(modality);
        for (all, own) in self.positions.iter_mut().zip(positions.chunks_exact(n)) {
            all.extend(own);
        }
        let own = (0..n as i64).flat_map(|i| [start, start + i + 1]);
        self.ranges.extend(own);
        self.lengths.push(n);
        Ok(())
    }

    /// Tokens of all samples.
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// Tokens of each sample, in order.
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
    fn a_sample_that_disagrees_with_itself_is_refused() {
        let mut packed = Packed::default();
        assert!(packed.push(&[1], &[0, 0], &[], &[], 2).is_err());
        assert!(packed.push(&[], &[], &[], &[], 2).is_err());
        assert!(packed.push(&[1, 1], &[1, 1], &[], &[], 2).is_err());
        assert_eq!(packed, Packed::default());
    }
}
