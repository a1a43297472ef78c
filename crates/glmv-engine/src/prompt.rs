//! A prepared prompt as the engine keeps it: positions, which token shows which picture, and digests
//! of its content that prefix reuse and the feature cache go by.

use crate::Error;
use crate::blocks::Key;
use glmv_model::rope_index;
use glmv_processor::{ModelInputs, VisualPatches};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// A picture or a video of a prompt.
#[derive(Debug)]
pub(crate) struct Visual {
    /// Of grid and pixels.
    pub digest: Key,
    pub grid: [u32; 3],
    pub is_video: bool,
    /// Values of the prompt's pictures (or videos).
    pub pixels: Range<usize>,
}

/// A prompt, shared by its samples.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub inputs: ModelInputs,
    /// `[3, len]`.
    positions: Vec<i64>,
    rope_delta: i64,
    pub visuals: Vec<Visual>,
    /// Per token the visual it shows and the row of its features.
    source: Vec<Option<(usize, u32)>>,
}

impl Prompt {
    /// Positions and digests of `inputs`; `merge` is the side of a merged block of patches.
    ///
    /// # Errors
    /// [`Error::Empty`] without tokens; the model's errors where tokens and grids disagree.
    pub fn new(inputs: ModelInputs, merge: u32) -> Result<Self, Error> {
        let len = inputs.input_ids.len();
        if len == 0 {
            return Err(Error::Empty);
        }
        let modality: Vec<u8> = inputs.modality.iter().map(|m| *m as u8).collect();
        let grids = |p: &Option<VisualPatches>| p.as_ref().map_or(vec![], |p| p.grid_thw.clone());
        let (images, videos) = (grids(&inputs.images), grids(&inputs.videos));
        let mask = vec![true; len];
        let positions = rope_index(&modality, &mask, len, &images, &videos, merge)?;
        let mut visuals = visuals(inputs.images.as_ref(), false)?;
        let first_video = visuals.len();
        visuals.extend(self::visuals(inputs.videos.as_ref(), true)?);
        let rows = |v: &Visual| (v.grid[0] * v.grid[1] * v.grid[2] / (merge * merge)).max(1);
        // The next picture's (0) and video's (1) row.
        let mut next = [(0, 0), (first_video, 0)];
        let mut source = Vec::with_capacity(len);
        for kind in &modality {
            let Some(slot) = kind.checked_sub(1) else {
                source.push(None);
                continue;
            };
            let (visual, row) = &mut next[usize::from(slot != 0)];
            source.push(Some((*visual, *row)));
            *row += 1;
            if visuals.get(*visual).is_none_or(|v| *row >= rows(v)) {
                (*visual, *row) = (*visual + 1, 0);
            }
        }
        Ok(Prompt {
            positions: positions.values,
            rope_delta: positions.rope_delta.first().copied().unwrap_or(0),
            inputs,
            visuals,
            source,
        })
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.inputs.input_ids.len()
    }

    /// Time, height and width of token `at`, which may lie behind the prompt.
    pub fn position(&self, at: usize) -> [i64; 3] {
        let len = self.len();
        match at < len {
            true => [0, 1, 2].map(|axis| self.positions[axis * len + at]),
            false => [at as i64 + self.rope_delta; 3],
        }
    }

    /// The visual that token `at` shows and its row there.
    pub fn source(&self, at: usize) -> Option<(usize, u32)> {
        self.source.get(at).copied().flatten()
    }

    /// Digests of the blocks of `size` tokens in the full units of `unit` tokens of `tokens`, the
    /// prompt's and those that followed: of all tokens up to the unit's end with their positions and
    /// what they show, and of the block's place in the unit.
    ///
    /// A unit larger than a block is for blocks that are only the same bits if the rest of the unit,
    /// which was computed with them, is the same too.
    pub fn keys(&self, tokens: &[u32], size: usize, unit: usize) -> Vec<Key> {
        let mut before = Key::default();
        let mut keys = Vec::with_capacity(tokens.len() / size);
        for (i, ids) in tokens.chunks_exact(unit).enumerate() {
            before = self.digest(before, ids, i * unit);
            for block in 0..unit / size {
                let mut hash = Sha256::new();
                hash.update(before);
                hash.update((block as u64).to_le_bytes());
                keys.push(hash.finalize().into());
            }
        }
        keys
    }

    /// Digest of the tokens `ids` from place `first` on, behind those of `before`.
    fn digest(&self, before: Key, ids: &[u32], first: usize) -> Key {
        let mut hash = Sha256::new();
        hash.update(before);
        for (at, id) in (first..).zip(ids) {
            hash.update(id.to_le_bytes());
            for axis in self.position(at) {
                hash.update(axis.to_le_bytes());
            }
            if let Some((visual, row)) = self.source(at) {
                hash.update(row.to_le_bytes());
                let shown = self.visuals.get(visual);
                hash.update(shown.map_or(Key::default(), |v| v.digest));
            }
        }
        hash.finalize().into()
    }

    /// The pixel values of a visual.
    pub fn pixels(&self, visual: &Visual) -> &[f32] {
        let patches = match visual.is_video {
            true => &self.inputs.videos,
            false => &self.inputs.images,
        };
        patches
            .as_ref()
            .and_then(|p| p.pixel_values.get(visual.pixels.clone()))
            .unwrap_or(&[])
    }
}

/// Pictures (or videos) with their share of the pixel values.
fn visuals(patches: Option<&VisualPatches>, is_video: bool) -> Result<Vec<Visual>, Error> {
    let Some(patches) = patches else {
        return Ok(Vec::new());
    };
    let mut start = 0;
    let mut found = Vec::with_capacity(patches.grid_thw.len());
    for grid in &patches.grid_thw {
        let count: usize = grid.iter().map(|n| *n as usize).product();
        let pixels = start..start + count * patches.row_len;
        start = pixels.end;
        let values = patches.pixel_values.get(pixels.clone());
        let values = values.ok_or(Error::Pixels {
            needed: pixels.end,
            found: patches.pixel_values.len(),
        })?;
        found.push(Visual {
            digest: digest(values, *grid, is_video),
            grid: *grid,
            is_video,
            pixels,
        });
    }
    match start == patches.pixel_values.len() {
        true => Ok(found),
        false => Err(Error::Pixels {
            needed: start,
            found: patches.pixel_values.len(),
        }),
    }
}

fn digest(values: &[f32], grid: [u32; 3], is_video: bool) -> Key {
    let mut hash = Sha256::new();
    hash.update([u8::from(is_video)]);
    for n in grid {
        hash.update(n.to_le_bytes());
    }
    let mut bytes = Vec::with_capacity(1 << 16);
    for part in values.chunks(1 << 14) {
        bytes.clear();
        bytes.extend(part.iter().flat_map(|v| v.to_le_bytes()));
        hash.update(&bytes);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glmv_processor::Modality;

    /// Text, a picture of 4 merged tokens, text.
    fn inputs(value: f32) -> ModelInputs {
        let modality = |i| {
            if (2..6).contains(&i) {
                Modality::Image
            } else {
                Modality::Text
            }
        };
        ModelInputs {
            prompt: String::new(),
            input_ids: (0..8)
                .map(|i| if (2..6).contains(&i) { 9 } else { i })
                .collect(),
            modality: (0..8).map(modality).collect(),
            images: Some(VisualPatches {
                pixel_values: vec![value; 16 * 3],
                row_len: 3,
                grid_thw: vec![[1, 4, 4]],
            }),
            videos: None,
        }
    }

    #[test]
    fn tokens_know_their_picture_and_position() {
        let prompt = Prompt::new(inputs(0.5), 2).unwrap();
        let source: Vec<_> = (0..9).map(|i| prompt.source(i)).collect();
        assert_eq!(source[1], None);
        assert_eq!(source[2..6], [0, 1, 2, 3].map(|row| Some((0, row))));
        assert_eq!(source[6..], [None; 3]);
        // Text behind a 2 x 2 grid at 2: the next position is 4, and two tokens are saved.
        assert_eq!(
            (prompt.position(5), prompt.position(6)),
            ([2, 3, 3], [4; 3])
        );
        assert_eq!(prompt.position(8), [6; 3]);
        assert_eq!(prompt.pixels(&prompt.visuals[0]).len(), 48);
    }

    #[test]
    fn keys_tell_content_apart() {
        let prompt = |value| Prompt::new(inputs(value), 2).unwrap();
        let (a, b) = (prompt(0.5), prompt(0.25));
        let ids = &a.inputs.input_ids;
        let keys = a.keys(ids, 2, 2);
        assert_eq!(keys.len(), 4);
        assert_eq!(keys, prompt(0.5).keys(ids, 2, 2));
        // The same ids with another picture: equal only before it.
        let other = b.keys(ids, 2, 2);
        assert_eq!(keys[0], other[0]);
        assert!((1..4).all(|i| keys[i] != other[i]));
        // A token more at the end changes nothing before; another first token changes all.
        assert_eq!(a.keys(&[ids.as_slice(), &[7]].concat(), 2, 2), keys);
        let mut changed = ids.clone();
        changed[0] = 5;
        assert!(
            a.keys(&changed, 2, 2)
                .iter()
                .zip(&keys)
                .all(|(x, y)| x != y)
        );
    }

    #[test]
    fn a_unit_larger_than_a_block_is_known_as_a_whole() {
        let prompt = Prompt::new(inputs(0.5), 2).unwrap();
        let mut ids = prompt.inputs.input_ids.clone();
        let keys = prompt.keys(&ids, 2, 4);
        assert_eq!(keys.len(), 4);
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
        ids[7] = 1;
        let other = prompt.keys(&ids, 2, 4);
        assert_eq!((&other[..2], other[2] != keys[2]), (&keys[..2], true));
        assert_eq!(prompt.keys(&ids[..7], 2, 4), keys[..2], "only full units");
    }

    #[test]
    fn pixels_that_do_not_fit_the_grids_are_refused() {
        let mut short = inputs(0.5);
        short.images.as_mut().unwrap().pixel_values.pop();
        assert!(matches!(Prompt::new(short, 2), Err(Error::Pixels { .. })));
        let mut empty = inputs(0.5);
        (empty.input_ids, empty.modality) = (vec![], vec![]);
        assert!(matches!(Prompt::new(empty, 2), Err(Error::Empty)));
    }
}
