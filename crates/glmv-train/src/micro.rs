//! One micro-step's samples, packed, with the targets of the counted tokens.

use crate::Error;
use crate::pictures::{Pictures, spread};
use glmv_model::{Features, Packed, Pixels};

/// One tokenised sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `[tokens]`.
    pub input_ids: Vec<u32>,
    /// 0 text, 1 image, 2 video, `[tokens]`.
    pub modality: Vec<u8>,
    /// True where the token is to be predicted from those before it, `[tokens]`; the first never is.
    pub counted: Vec<bool>,
    /// Factor on the sample's share of a mean.
    pub weight: f32,
    /// Patches of the images, row-major, with their (frames, height, width).
    pub images: (Vec<f32>, Vec<[u32; 3]>),
    /// Patches of the videos.
    pub videos: (Vec<f32>, Vec<[u32; 3]>),
}

impl Default for Sample {
    /// No token yet, of weight 1.
    fn default() -> Self {
        Sample {
            input_ids: Vec::new(),
            modality: Vec::new(),
            counted: Vec::new(),
            weight: 1.0,
            images: (Vec::new(), Vec::new()),
            videos: (Vec::new(), Vec::new()),
        }
    }
}

/// Samples that go through the model together.
#[derive(Clone, Debug, Default)]
pub struct Micro {
    pub(crate) packed: Packed,
    images: Pictures,
    videos: Pictures,
    merge: u32,
    /// Row whose output predicts each counted token.
    pub(crate) rows: Vec<usize>,
    /// Id of each counted token.
    pub(crate) targets: Vec<u32>,
    /// Sample of each counted token.
    samples: Vec<usize>,
    /// Weight of each counted token's sample.
    weights: Vec<f32>,
}

impl Sample {
    /// Tokens that this sample and another begin with alike, if both ask the same: every token before the
    /// first counted one of either is the same, and so are all pictures. At least one token of the other
    /// is left.
    ///
    /// 0 where they do not.
    pub fn shared(&self, other: &Sample) -> usize {
        let alike =
            |a: &(Vec<f32>, Vec<[u32; 3]>), b: &(Vec<f32>, Vec<[u32; 3]>)| a.1 == b.1 && a.0 == b.0;
        let asked = |sample: &Sample| {
            let first = sample.counted.iter().position(|counted| *counted);
            first.unwrap_or(sample.counted.len())
        };
        let pairs = (self.input_ids.iter().zip(&self.modality))
            .zip(other.input_ids.iter().zip(&other.modality));
        let common = pairs.take_while(|(a, b)| a == b).count();
        let common = common.min(other.input_ids.len().saturating_sub(1));
        let text = |sample: &Sample| {
            sample
                .modality
                .get(common..)
                .is_some_and(|rest| rest.iter().all(|kind| *kind == 0))
        };
        let same = common >= asked(self).max(asked(other))
            && text(other)
            && alike(&self.images, &other.images)
            && alike(&self.videos, &other.videos);
        if same { common } else { 0 }
    }
}

impl Micro {
    /// Packs samples in order; what one begins with as the last did that shares nothing is computed once.
    /// `merge` is the vision tower's `spatial_merge_size`.
    ///
    /// # Errors
    /// [`Error::Sample`] and [`Error::Model`] for a sample that disagrees with itself.
    pub fn new<'a>(
        samples: impl IntoIterator<Item = &'a Sample>,
        merge: u32,
    ) -> Result<Self, Error> {
        let mut micro = Micro {
            merge,
            ..Micro::default()
        };
        // The sample that the next ones may share their beginning with.
        let mut first: Option<(usize, &Sample)> = None;
        for (index, sample) in samples.into_iter().enumerate() {
            let (n, counted) = (sample.input_ids.len(), sample.counted.len());
            if n != counted {
                let reason = format!("{n} ids and {counted} marks");
                return Err(Error::Sample { reason });
            }
            let common = match first {
                Some((with, first)) => (with, first.shared(sample)),
                None => (0, 0),
            };
            let (ids, modality) = (&sample.input_ids, &sample.modality);
            let (images, videos) = (&sample.images, &sample.videos);
            let grids = [&images.1[..], &videos.1];
            (micro.packed).push_behind(common, ids, modality, grids, merge)?;
            if common.1 == 0 {
                first = Some((index, sample));
                micro.images.push(images)?;
                micro.videos.push(videos)?;
            }
            for (at, id) in ids.iter().enumerate().skip(1) {
                if sample.counted[at] {
                    micro.rows.push(micro.packed.row(index, at - 1));
                    micro.targets.push(*id);
                    micro.samples.push(index);
                    micro.weights.push(sample.weight);
                }
            }
        }
        Ok(micro)
    }

    /// Tokens of all samples; shared ones count once.
    pub fn tokens(&self) -> usize {
        self.packed.tokens()
    }

    /// Counted tokens of all samples.
    pub fn counted(&self) -> usize {
        self.targets.len()
    }

    /// Pictures and videos that are encoded: one that several samples have counts once.
    pub fn pictures(&self) -> usize {
        self.images.count() + self.videos.count()
    }

    /// For each counted token the sample it belongs to.
    pub fn sample_of(&self) -> &[usize] {
        &self.samples
    }

    /// For each counted token the weight of its sample.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub(crate) fn image_pixels(&self) -> Option<Pixels<'_>> {
        self.images.pixels()
    }

    pub(crate) fn video_pixels(&self) -> Option<Pixels<'_>> {
        self.videos.pixels()
    }

    /// The features of every picture once, at all of its places.
    pub(crate) fn spread(&self, features: Option<Features>) -> Option<Features> {
        spread([&self.images, &self.videos], self.merge, features)
    }
}
