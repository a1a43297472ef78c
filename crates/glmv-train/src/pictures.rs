//! Pictures and videos of a micro-step, each encoded once: the completions of a group ask about the same
//! picture, whose features then go to all of their places.

use crate::Error;
use glmv_model::{Features, Pixels};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// Pictures, or videos, of some samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pictures {
    /// Patches of every picture once, with their (frames, height, width).
    values: Vec<f32>,
    grids: Vec<[u32; 3]>,
    /// Its part of the values, per picture.
    parts: Vec<Range<usize>>,
    /// The picture at each place, in the order of the tokens.
    places: Vec<usize>,
    /// By a digest of its contents.
    known: HashMap<u64, Vec<usize>>,
}

impl Pictures {
    /// Appends those of a sample.
    ///
    /// # Errors
    /// [`Error::Sample`] if values and grids disagree.
    pub(crate) fn push(
        &mut self,
        (values, grids): &(Vec<f32>, Vec<[u32; 3]>),
    ) -> Result<(), Error> {
        let patches: usize = grids.iter().map(patches_of).sum();
        let width = values.len().checked_div(patches).unwrap_or(0);
        if width * patches != values.len() {
            let reason = format!("{} values for {patches} patches", values.len());
            return Err(Error::Sample { reason });
        }
        let mut start = 0;
        for grid in grids {
            let end = start + patches_of(grid) * width;
            self.place(&values[start..end], *grid);
            start = end;
        }
        Ok(())
    }

    fn place(&mut self, values: &[f32], grid: [u32; 3]) {
        let mut digest = DefaultHasher::new();
        grid.hash(&mut digest);
        values.iter().for_each(|v| v.to_bits().hash(&mut digest));
        let alike = self.known.entry(digest.finish()).or_default();
        let same = |at: &&usize| {
            let own = &self.values[self.parts[**at].clone()];
            self.grids[**at] == grid && own == values
        };
        let at = match alike.iter().find(same) {
            Some(at) => *at,
            None => {
                let start = self.values.len();
                self.values.extend(values);
                self.grids.push(grid);
                self.parts.push(start..self.values.len());
                alike.push(self.grids.len() - 1);
                self.grids.len() - 1
            }
        };
        self.places.push(at);
    }

    /// Every picture once; `None` without any.
    pub(crate) fn pixels(&self) -> Option<Pixels<'_>> {
        let (values, grids) = (&self.values, &self.grids);
        (!grids.is_empty()).then_some(Pixels { values, grids })
    }

    /// Pictures that are encoded.
    pub(crate) fn count(&self) -> usize {
        self.grids.len()
    }

    fn repeats(&self) -> bool {
        self.places.len() > self.grids.len()
    }

    /// Rows of the features at every place, from `first` on, of `merge²` patches each.
    fn rows(&self, first: usize, merge: u32) -> Vec<i64> {
        let unit = (merge * merge).max(1) as usize;
        let mut starts = vec![first];
        for grid in &self.grids {
            starts.push(starts[starts.len() - 1] + patches_of(grid) / unit);
        }
        let of = |at: &usize| (starts[*at]..starts[*at + 1]).map(|row| row as i64);
        self.places.iter().flat_map(of).collect()
    }
}

/// Features at every place of images, then of videos, from those of every picture once.
pub(crate) fn spread(
    [images, videos]: [&Pictures; 2],
    merge: u32,
    features: Option<Features>,
) -> Option<Features> {
    let features = features?;
    if !images.repeats() && !videos.repeats() {
        return Some(features);
    }
    let (first, second) = (images.rows(0, merge), videos.rows(features.images, merge));
    let counts = [first.len(), second.len()];
    let index = [first, second].concat();
    let index = burn::tensor::Tensor::from_data(index.as_slice(), &features.rows.device());
    Some(Features {
        rows: features.rows.select(0, index),
        images: counts[0],
        videos: counts[1],
    })
}

fn patches_of(grid: &[u32; 3]) -> usize {
    grid.iter().map(|v| *v as usize).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_comes_again_is_there_once() {
        let mut pictures = Pictures::default();
        let (a, b) = (vec![1.0; 8], vec![2.0; 16]);
        let both = ([a.clone(), b.clone()].concat(), vec![[1, 2, 2], [1, 2, 4]]);
        pictures.push(&both).unwrap();
        pictures.push(&(b, vec![[1, 2, 4]])).unwrap();
        // The same values in another shape are another picture.
        pictures.push(&(a.clone(), vec![[2, 1, 2]])).unwrap();
        pictures.push(&(a, vec![[1, 2, 2]])).unwrap();
        assert_eq!(pictures.count(), 3);
        assert_eq!(pictures.places, [0, 1, 1, 2, 0]);
        assert_eq!(pictures.rows(5, 2), [5, 6, 7, 6, 7, 8, 5]);
        assert_eq!(pictures.pixels().unwrap().values.len(), 8 + 16 + 8);
        let wrong = pictures.push(&(vec![0.0; 7], vec![[1, 2, 2]]));
        assert!(wrong.unwrap_err().to_string().contains("4 patches"));
    }
}
