use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::Sampler;
use crate::weight::ONE;

fn sampler(params: SamplingParams) -> Sampler {
    Sampler::new(params).expect("valid parameters")
}

fn warm() -> SamplingParams {
    SamplingParams {
        temperature: 1.0,
        seed: 11,
        ..Default::default()
    }
}

/// Tokens seen in 4000 draws.
fn support(params: SamplingParams, logits: &[f32]) -> BTreeSet<u32> {
    let mut sampler = sampler(params);
    (0..4000)
        .map(|_| sampler.sample(logits, &[]).expect("valid logits").token)
        .collect()
}

/// Logits of the given probabilities.
fn logits(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln()).collect()
}

#[test]
fn greedy_takes_the_lowest_index_of_a_tie() {
    let mut greedy = sampler(SamplingParams::default());
    let got = greedy.sample(&[1.0, 3.0, 3.0, 2.0], &[]).expect("valid");
    assert_eq!(got.token, 1);
    let want = 3.0 - (1.0_f64.exp() + 2.0 * 3.0_f64.exp() + 2.0_f64.exp()).ln();
    assert!((f64::from(got.logprob) - want).abs() < 1e-6);
}

#[test]
fn logprob_is_of_the_raw_logits() {
    let row = [2.0, 1.0, 0.0, -1.0];
    let params = SamplingParams {
        temperature: 0.1,
        top_k: Some(1),
        repetition_penalty: 9.0,
        ..warm()
    };
    let got = sampler(params).sample(&row, &[0]).expect("valid");
    assert_eq!(got.token, 1, "the penalty moves token 0 below token 1");
    assert_eq!(got.logprob, token_logprob(&row, 1).expect("valid"));
    let sum: f64 = (0..4)
        .map(|t| f64::from(token_logprob(&row, t).expect("valid")).exp())
        .sum();
    assert!((sum - 1.0).abs() < 1e-6);
    let huge = token_logprob(&[3.0e38, -3.0e38], 0).expect("valid");
    assert_eq!(huge, 0.0, "no overflow");
    assert_eq!(
        token_logprob(&[0.0, f32::NEG_INFINITY], 1),
        Ok(f32::NEG_INFINITY)
    );
}

#[test]
fn garbage_is_an_error_that_names_the_index() {
    for temperature in [0.0, 1.0] {
        let mut sampler = sampler(SamplingParams {
            temperature,
            ..warm()
        });
        let error = sampler
            .sample(&[0.0, 1.0, f32::NAN, f32::NAN], &[])
            .expect_err("NaN");
        assert!(error.to_string().contains("logit 2 of 4 is NaN"), "{error}");
        let error = sampler.sample(&[f32::INFINITY, 1.0], &[]).expect_err("inf");
        assert!(matches!(error, Error::BadLogit { index: 0, .. }));
        let row = [f32::NEG_INFINITY; 3];
        assert_eq!(
            sampler.sample(&row, &[]),
            Err(Error::NoCandidate { vocab: 3 })
        );
        assert_eq!(sampler.sample(&[], &[]), Err(Error::EmptyLogits));
        let only = [f32::NEG_INFINITY, -5.0, f32::NEG_INFINITY];
        assert_eq!(sampler.sample(&only, &[]).map(|s| s.token), Ok(1));
    }
    assert_eq!(
        token_logprob(&[0.0], 1),
        Err(Error::TokenOutOfRange { id: 1, vocab: 1 })
    );
}

#[test]
fn penalty_divides_positive_and_multiplies_negative_once() {
    let row = [2.0, -2.0, 1.5, 0.0];
    let mut scores = row.to_vec();
    penalise(&mut scores, &row, &[0, 1, 1, 0, 3], [2.0, 0.5]).expect("in range");
    assert_eq!(scores, [1.0, -4.0, 1.5, 0.0]);
    assert_eq!(
        penalise(&mut scores, &row, &[4], [2.0, 0.5]),
        Err(Error::TokenOutOfRange { id: 4, vocab: 4 })
    );
    let mut greedy = sampler(SamplingParams {
        repetition_penalty: 2.0,
        ..Default::default()
    });
    assert_eq!(greedy.sample(&row, &[0]).map(|s| s.token), Ok(2));
    let mut tiny = sampler(SamplingParams {
        repetition_penalty: 1e-38,
        ..Default::default()
    });
    assert!(matches!(
        tiny.sample(&[9.0, 0.0], &[0]),
        Err(Error::BadLogit { index: 0, .. })
    ));
}

#[test]
fn support_sets_are_those_of_hf() {
    let row = logits(&[0.1, 0.4, 0.2, 0.3]);
    assert_eq!(support(warm(), &row), BTreeSet::from([0, 1, 2, 3]));
    let top_k = |k| {
        support(
            SamplingParams {
                top_k: Some(k),
                ..warm()
            },
            &row,
        )
    };
    assert_eq!(top_k(1), BTreeSet::from([1]));
    assert_eq!(top_k(2), BTreeSet::from([1, 3]));
    assert_eq!(top_k(99), BTreeSet::from([0, 1, 2, 3]));
    let top_p = |p| {
        support(
            SamplingParams {
                top_p: Some(p),
                ..warm()
            },
            &row,
        )
    };
    assert_eq!(
        top_p(0.0),
        BTreeSet::from([1]),
        "the best token always stays"
    );
    assert_eq!(top_p(0.39), BTreeSet::from([1]));
    assert_eq!(top_p(0.41), BTreeSet::from([1, 3]));
    assert_eq!(top_p(0.75), BTreeSet::from([1, 2, 3]));
    assert_eq!(top_p(0.95), BTreeSet::from([0, 1, 2, 3]));
    let min_p = |p| {
        support(
            SamplingParams {
                min_p: Some(p),
                ..warm()
            },
            &row,
        )
    };
    assert_eq!(min_p(0.6), BTreeSet::from([1, 3]), "0.2 / 0.4 is below 0.6");
    assert_eq!(min_p(1.0), BTreeSet::from([1]));
    let ties = [1.0, 0.0, 1.0, 1.0];
    assert_eq!(
        support(
            SamplingParams {
                top_k: Some(2),
                ..warm()
            },
            &ties
        ),
        BTreeSet::from([0, 2, 3])
    );
}

#[test]
fn temperature_comes_before_top_p() {
    let row = logits(&[0.5, 0.3, 0.2]);
    let at = |temperature| {
        support(
            SamplingParams {
                temperature,
                top_p: Some(0.6),
                ..warm()
            },
            &row,
        )
    };
    assert_eq!(at(1.0), BTreeSet::from([0, 1]));
    assert_eq!(at(0.25), BTreeSet::from([0]), "sharpened to 0.87");
    assert_eq!(
        at(50.0),
        BTreeSet::from([0, 1]),
        "flattened to a third each"
    );
    assert_eq!(at(1e-30), BTreeSet::from([0]), "no overflow near 0");
}

#[test]
fn draws_follow_the_distribution() {
    let want = [0.1_f64, 0.4, 0.2, 0.3];
    let row = logits(&want.map(|p| p as f32));
    let mut sampler = sampler(warm());
    let mut counts = [0_u32; 4];
    let draws = 40_000_u32;
    for _ in 0..draws {
        counts[sampler.sample(&row, &[]).expect("valid").token as usize] += 1;
    }
    for (count, p) in counts.iter().zip(want) {
        let sigma = (p * (1.0 - p) / f64::from(draws)).sqrt();
        let got = f64::from(*count) / f64::from(draws);
        assert!((got - p).abs() < 4.0 * sigma, "{got} for {p}");
    }
}

#[test]
fn seeds_and_streams_reproduce() {
    let row = [0.0; 50];
    let run = |seed, stream| {
        let params = SamplingParams { seed, ..warm() };
        let mut sampler = Sampler::with_stream(params, stream).expect("valid");
        (0..40)
            .map(|_| sampler.sample(&row, &[]).expect("valid").token)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(3, 0), run(3, 0));
    assert_ne!(run(3, 0), run(4, 0));
    assert_ne!(run(3, 0), run(3, 1));
    assert_eq!(run(3, 0)[..6], PINNED);
}

/// First tokens of seed 3 on 50 equal logits: a change here changes every user's sampled texts.
const PINNED: [u32; 6] = [5, 35, 30, 3, 10, 31];

proptest! {
    /// The shortcut of `keep_top_p` agrees with the definition: sort, sum, cut. Few different
    /// scores, so that some are equal.
    #[test]
    fn top_p_equals_its_definition(levels in prop::collection::vec(0_u32..9, 1..60), top_p in 0.0_f64..1.0) {
        let all: Vec<Candidate> = (0..)
            .zip(&levels)
            .map(|(token, level)| {
                let score = -(*level as f32) / 2.0;
                Candidate { token, score, weight: weight(-score, scale(1.0)) }
            })
            .collect();
        let cut = fraction(1.0 - top_p);
        let mut got = all.clone();
        keep_top_p(&mut got, cut);
        let mut want = all;
        want.sort_by_key(|c| (c.weight, std::cmp::Reverse(c.token)));
        let budget = share(want.iter().map(|c| c.weight).sum(), cut);
        let mut removed = 0;
        while want.len() > 1 && removed + want[0].weight <= budget {
            removed += want.remove(0).weight;
        }
        want.sort_by_key(|c| c.token);
        prop_assert_eq!(got, want);
    }

    /// Any finite row gives a token of the top-k set and a log-probability that is not positive.
    #[test]
    fn any_row_gives_a_valid_token(row in prop::collection::vec(-1e30_f32..1e30, 1..80), k in 1_usize..90, seed: u64) {
        let params = SamplingParams { temperature: 0.7, top_k: Some(k), top_p: Some(0.9), min_p: Some(0.01), seed, ..Default::default() };
        let got = sampler(params).sample(&row, &[]).expect("finite logits");
        let chosen = row[got.token as usize];
        prop_assert!(row.iter().filter(|&&l| l > chosen).count() < k);
        prop_assert!(got.logprob <= 0.0);
    }
}

#[test]
fn forbidden_ids_are_never_sampled_and_leave_the_logprob_alone() {
    let logits = [5.0_f32, 4.0, 3.0, -1.0];
    let params = SamplingParams {
        forbidden_ids: vec![0, 2, 99],
        ..SamplingParams::default()
    };
    let greedy = Sampler::new(params.clone())
        .expect("valid")
        .sample(&logits, &[]);
    let greedy = greedy.expect("a token is left");
    assert_eq!(greedy.token, 1);
    assert_eq!(greedy.logprob, token_logprob(&logits, 1).expect("in range"));
    let warm = SamplingParams {
        temperature: 5.0,
        ..params.clone()
    };
    let mut sampler = Sampler::new(warm).expect("valid");
    for _ in 0..200 {
        let token = sampler.sample(&logits, &[]).expect("a token is left").token;
        assert!(token == 1 || token == 3, "{token}");
    }
    let none = SamplingParams {
        forbidden_ids: vec![0, 1, 2, 3],
        ..params
    };
    let error = Sampler::new(none).expect("valid").sample(&logits, &[]);
    assert_eq!(error, Err(Error::NoCandidate { vocab: 4 }));
}

#[test]
fn the_policys_logprob_is_of_what_may_be_drawn() {
    let row = [2.0_f32, 1.0, 0.0, -1.0];
    let params = SamplingParams {
        temperature: 0.5,
        top_k: Some(1),
        repetition_penalty: 1.5,
        forbidden_ids: vec![0],
        logprobs: Logprobs::Policy,
        ..warm()
    };
    let got = sampler(params.clone()).sample(&row, &[1]).expect("valid");
    assert_eq!(got.token, 1);
    let want = 2.0 - (2_f64.exp() + 1.0 + (-2_f64).exp()).ln();
    assert!((f64::from(got.logprob) - want).abs() < 1e-6, "{got:?}");
    let model = SamplingParams {
        logprobs: Logprobs::Model,
        ..params.clone()
    };
    let model = sampler(model).sample(&row, &[1]).expect("valid");
    assert_eq!(model.logprob, token_logprob(&row, 1).expect("in range"));
    assert!((model.logprob - got.logprob).abs() > 0.5);
    // Forced tokens have theirs; greedy counts as temperature 1.
    let greedy = SamplingParams {
        temperature: 0.0,
        ..params
    };
    let greedy = sampler(greedy);
    let forced = |token| choose(&row, &greedy.forced(token)).expect("valid").logprob;
    let want = 0.0 - (1_f64.exp() + 1.0 + (-1_f64).exp()).ln();
    assert!((f64::from(forced(2)) - want).abs() < 1e-6);
    assert_eq!(forced(0), f32::NEG_INFINITY);
    let beyond = choose(&row, &greedy.forced(4));
    assert_eq!(beyond, Err(Error::TokenOutOfRange { id: 4, vocab: 4 }));
}

#[test]
fn a_choice_stands_until_it_is_made() {
    let row = [0.0; 50];
    let mut sampler = sampler(warm());
    let first = choose(&row, &sampler.choice(&[])).expect("valid");
    assert_eq!(choose(&row, &sampler.choice(&[])), Ok(first));
    assert_eq!(sampler.sample(&row, &[]), Ok(first));
    assert_ne!(sampler.choice(&[]).pick, Pick::Draw(0));
    assert_ne!(choose(&row, &sampler.choice(&[])), Ok(first));
}

#[test]
fn the_goal_of_a_draw_picks_by_the_running_sum() {
    let rule = Rule::new(&warm(), 3);
    let scores = [0.0, f32::NEG_INFINITY, 0.0];
    let drawn = |random| draw(&scores, 0.0, &rule, random);
    assert_eq!((drawn(0), drawn((1 << 31) - 1)), (Some(0), Some(0)));
    assert_eq!((drawn(1 << 31), drawn(u32::MAX)), (Some(2), Some(2)));
    assert_eq!(weight(0.0, rule.scale), ONE);
}
