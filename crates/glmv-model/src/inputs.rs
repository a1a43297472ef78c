//! What one forward pass is given: token ids with positions, pixels, projected features.

use crate::Error;
use burn::tensor::Tensor;

/// Flattened patches of some images or videos on the host.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// `[n, channels * frames * side²]`, row-major.
    pub values: &'a [f32],
    /// (frames, height, width) in patches per image or video.
    pub grids: &'a [[u32; 3]],
}

/// Token ids of a batch with everything positional, all `[batch, seq]` row-major.
#[derive(Clone, Debug)]
pub struct Sequences {
    pub batch: usize,
    pub seq: usize,
    pub input_ids: Vec<u32>,
    /// 0 text, 1 image, 2 video (HF `mm_token_type_ids`).
    pub modality: Vec<u8>,
    /// `[3, batch, seq]`.
    pub positions: Vec<i64>,
    /// Left padding of each row, in tokens; keys before it are never attended to.
    pub padding: Vec<usize>,
}

/// Projected visual features of a batch: images in order, then videos.
#[derive(Clone, Debug)]
pub struct Features {
    /// `[images + videos, hidden]`.
    pub rows: Tensor<2>,
    /// Rows that belong to images.
    pub images: usize,
    /// Rows that belong to videos.
    pub videos: usize,
}

/// Input of one forward pass.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    pub sequences: &'a Sequences,
    pub images: Option<Pixels<'a>>,
    pub videos: Option<Pixels<'a>>,
}

impl Sequences {
    /// Fails unless all parts have `batch * seq` entries and every id lies below `vocab`.
    pub(crate) fn check(&self, vocab: usize) -> Result<(), Error> {
        let n = self.batch * self.seq;
        let lengths = [
            self.input_ids.len(),
            self.modality.len(),
            self.positions.len() / 3,
        ];
        if n == 0 || lengths.iter().any(|l| *l != n) || self.padding.len() != self.batch {
            let reason = format!(
                "{} x {} tokens with {lengths:?} values",
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

/// For every token the feature row it shows, or -1 for text.
pub(crate) fn sources(
    sequences: &Sequences,
    features: Option<&Features>,
) -> Result<Vec<i64>, Error> {
    let have = features.map_or([0, 0], |f| [f.images, f.videos]);
    let mut used = [0usize; 2];
    let source = sequences
        .modality
        .iter()
        .map(|kind| match kind {
            0 => -1,
            kind => {
                let slot = usize::from(*kind != 1);
                used[slot] += 1;
                (slot * have[0] + used[slot] - 1) as i64
            }
        })
        .collect();
    if used != have {
        let reason = format!(
            "{} image and {} video tokens for {} and {} features",
            used[0], used[1], have[0], have[1]
        );
        return Err(Error::Input { reason });
    }
    Ok(source)
}
