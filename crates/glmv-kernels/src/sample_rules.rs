//! Choices as the words that the kernels read: a rule of 16 words per choice, then bit masks of ids.
//! The places of a rule's words are named in `shaders/parts/sample.wgsl`.

use crate::launch::bits;
use glmv_sampling::weight::scale;
use glmv_sampling::{Choice, Pick, Rule};

/// Words of a rule.
pub(super) const RULE: usize = 16;
/// No mask.
const NONE: u32 = u32::MAX;

/// Rules and masks of `choices` over rows of `vocab` logits, and whether one of them draws with
/// filters. Equal lists of forbidden ids share a mask.
pub(super) fn words(choices: &[(usize, Choice<'_>)], vocab: usize) -> (Vec<u32>, bool) {
    let mut masks = Masks {
        words: vec![0; choices.len() * RULE],
        vocab,
        known: Vec::new(),
    };
    let mut filtered = false;
    for (i, (row, choice)) in choices.iter().enumerate() {
        let rule = Rule::new(choice.params, vocab);
        let forbidden = masks.shared(&choice.params.forbidden_ids);
        let penalised = choice.params.repetition_penalty != 1.0;
        let seen = if penalised {
            masks.mask(choice.history)
        } else {
            NONE
        };
        let (mode, given) = match choice.pick {
            Pick::Best => (0, 0),
            Pick::Draw(random) => (1, random),
            Pick::Forced(token) => (2, token),
        };
        filtered |= mode == 1 && (rule.top_k > 0 || rule.cut > 0 || rule.least > 0);
        let words = [
            index(*row),
            mode,
            given,
            bits(rule.scale),
            rule.top_k,
            rule.cut,
            (rule.least >> 32) as u32, // halves of 64 bits
            rule.least as u32,
            bits(rule.penalty[0]),
            bits(rule.penalty[1]),
            forbidden,
            seen,
            bits(scale(rule.logprob_temperature)),
            u32::from(rule.logprob_masked),
            bits((1.0 / f64::from(rule.logprob_temperature)) as f32),
            0,
        ];
        masks.words[i * RULE..][..RULE].copy_from_slice(&words);
    }
    (masks.words, filtered)
}

/// A place in words of the device.
fn index(at: usize) -> u32 {
    match u32::try_from(at) {
        Ok(at) => at,
        Err(_) => unreachable!("rows and masks stay far below 2^32 words: {at}"),
    }
}

struct Masks<'a> {
    words: Vec<u32>,
    vocab: usize,
    known: Vec<(&'a [u32], u32)>,
}

impl<'a> Masks<'a> {
    /// The first word of a mask of `ids`, made once for equal lists; no mask for none.
    fn shared(&mut self, ids: &'a [u32]) -> u32 {
        if ids.is_empty() {
            return NONE;
        }
        if let Some((_, at)) = self.known.iter().find(|(known, _)| *known == ids) {
            return *at;
        }
        let at = self.mask(ids);
        self.known.push((ids, at));
        at
    }

    /// The first word of a new mask; ids beyond the vocabulary are no part of it.
    fn mask(&mut self, ids: &[u32]) -> u32 {
        let start = self.words.len();
        self.words.resize(start + self.vocab.div_ceil(32), 0);
        for id in ids.iter().filter(|id| (**id as usize) < self.vocab) {
            self.words[start + *id as usize / 32] |= 1 << (id % 32);
        }
        index(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glmv_sampling::{Sampler, SamplingParams};

    fn sampler(forbidden_ids: Vec<u32>, repetition_penalty: f32) -> Sampler {
        Sampler::new(SamplingParams {
            forbidden_ids,
            repetition_penalty,
            ..SamplingParams::default()
        })
        .expect("valid parameters")
    }

    #[test]
    fn equal_lists_share_a_mask() {
        let (a, b, c) = (
            sampler(vec![1, 40, 99], 1.0),
            sampler(vec![2], 2.0),
            sampler(vec![], 1.0),
        );
        let seen = [33, 33, 0];
        let choices = [
            (0, a.choice(&seen)),
            (1, b.choice(&seen)),
            (2, a.choice(&seen)),
            (0, c.forced(7)),
        ];
        let (words, filtered) = words(&choices, 64);
        assert!(!filtered);
        let at = |row: usize, word: usize| words[row * RULE + word];
        let masks: Vec<u32> = (0..4).map(|row| at(row, 10)).collect();
        assert_eq!(masks, [64, 66, 64, NONE]);
        assert_eq!([at(0, 11), at(1, 11)], [NONE, 68]);
        assert_eq!(words[64..], [2, 256, 4, 0, 1, 2]);
        assert_eq!([at(3, 0), at(3, 1), at(3, 2)], [0, 2, 7]);
    }
}
