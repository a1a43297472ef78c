//! Choice of tokens: the kernels choose what the definition chooses, exactly, for any row, vocabulary
//! and filter; log-probabilities agree up to rounding; errors name what the host would name.

use crate::support::{devices, finish};
use burn::tensor::{Device, Tensor, TensorData};
use glmv_kernels::{Op, SampleError, on_gpu_tiling, sample, sample_reference};
use glmv_sampling::{Choice, Error, Logprobs, Sampled, Sampler, SamplingParams, SplitMix64};

const TOLERANCE: f32 = 1e-5;

/// Logits of repeatable rows: a heap around 0 with some high ones, rounded so that many are equal.
fn rows(rows: usize, vocab: usize, seed: u64) -> Vec<f32> {
    let rng = SplitMix64::new(seed);
    let unit = |n: usize| f64::from(rng.draw(n as u64)) / 4_294_967_296.0;
    let value = |i: usize| {
        let sum: f64 = (0..4).map(|k| unit(4 * i + k)).sum();
        let high = if unit(3 * i) < 0.002 { 9.0 } else { 0.0 };
        (((sum - 2.0) * 3.0 + high) * 64.0).round() as f32 / 64.0
    };
    (0..rows * vocab).map(value).collect()
}

fn tensor(values: &[f32], vocab: usize, device: &Device) -> Tensor<2> {
    let shape = [values.len() / vocab, vocab];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn warm(seed: u64) -> SamplingParams {
    SamplingParams {
        temperature: 1.0,
        seed,
        ..SamplingParams::default()
    }
}

/// Parameters of every kind: greedy, plain, each filter, all of them, penalised, masked.
fn kinds(seed: u64, vocab: usize) -> Vec<SamplingParams> {
    let w = || warm(seed);
    let allowed = seed as u32 % vocab as u32;
    vec![
        SamplingParams::default(),
        w(),
        SamplingParams {
            temperature: 0.3,
            ..w()
        },
        SamplingParams {
            temperature: 40.0,
            ..w()
        },
        SamplingParams {
            temperature: 1e-30,
            ..w()
        },
        SamplingParams {
            top_k: Some(1),
            ..w()
        },
        SamplingParams {
            top_k: Some(3),
            ..w()
        },
        SamplingParams {
            top_k: Some(100),
            temperature: 3.0,
            ..w()
        },
        SamplingParams {
            top_p: Some(0.0),
            ..w()
        },
        SamplingParams {
            top_p: Some(0.6),
            temperature: 0.8,
            ..w()
        },
        SamplingParams {
            top_p: Some(0.98),
            temperature: 2.0,
            ..w()
        },
        SamplingParams {
            min_p: Some(0.1),
            ..w()
        },
        SamplingParams {
            min_p: Some(1.0),
            ..w()
        },
        SamplingParams {
            top_k: Some(50),
            top_p: Some(0.9),
            min_p: Some(0.01),
            ..w()
        },
        SamplingParams {
            top_k: Some(2),
            top_p: Some(0.3),
            ..w()
        },
        SamplingParams {
            repetition_penalty: 1.3,
            ..SamplingParams::default()
        },
        SamplingParams {
            repetition_penalty: 0.7,
            top_p: Some(0.9),
            ..w()
        },
        SamplingParams {
            forbidden_ids: vec![0, 5, vocab as u32 + 9],
            ..w()
        },
        SamplingParams {
            forbidden_ids: (0..vocab as u32).filter(|id| *id != allowed).collect(),
            top_p: Some(0.5),
            ..w()
        },
        SamplingParams {
            logprobs: Logprobs::Policy,
            forbidden_ids: vec![1, 7],
            repetition_penalty: 1.1,
            temperature: 0.7,
            ..w()
        },
    ]
}

/// The definition's and the routed tokens of the same choices.
fn both(logits: &Tensor<2>, choices: &[(usize, Choice<'_>)]) -> (Vec<Sampled>, Vec<Sampled>) {
    (
        sample_reference(logits, choices).expect("the definition chooses"),
        sample(logits, choices).expect("the device chooses"),
    )
}

/// First difference between two lists, if there is one.
fn differs(want: &[Sampled], got: &[Sampled]) -> Option<String> {
    let close = |a: f32, b: f32| a == b || (a - b).abs() <= TOLERANCE * (1.0 + a.abs());
    let mut pairs = want.iter().zip(got).enumerate();
    match want.len() == got.len() {
        true => pairs
            .find(|(_, (w, g))| w.token != g.token || !close(w.logprob, g.logprob))
            .map(|(i, (w, g))| format!("choice {i}: {g:?}, expected {w:?}")),
        false => Some(format!("{} tokens, expected {}", got.len(), want.len())),
    }
}

/// Runs `case` with the shapes of this adapter and with those of a GPU.
fn on_both_tilings(case: impl Fn(&str, &Device)) {
    for (label, device) in devices() {
        case(label, &device);
        if label == "wgpu" {
            on_gpu_tiling(|| case("wgpu, GPU tiles", &device));
        }
    }
}

#[test]
fn every_kind_of_choice_is_the_definitions() {
    let sizes = [
        (1, 1),
        (2, 31),
        (3, 1000),
        (2, 2048),
        (2, 2049),
        (1, 20_011),
    ];
    on_both_tilings(|label, device| {
        for (i, (count, vocab)) in sizes.into_iter().enumerate() {
            let values = rows(count, vocab, i as u64);
            let logits = tensor(&values, vocab, device);
            let samplers: Vec<Sampler> = (0..count as u64)
                .flat_map(|row| kinds(row + 7 * i as u64, vocab))
                .filter(|p| p.forbidden_ids.len() < vocab)
                .map(|params| Sampler::new(params).expect("valid"))
                .collect();
            let history: Vec<u32> = (0..40).map(|k| k * 97 % vocab as u32).collect();
            let choices: Vec<_> = samplers
                .iter()
                .enumerate()
                .map(|(k, sampler)| (k % count, sampler.choice(&history)))
                .chain([(count - 1, samplers[1].forced(vocab as u32 - 1))])
                .collect();
            let (want, got) = both(&logits, &choices);
            assert_eq!(differs(&want, &got), None, "{label}, {count} x {vocab}");
        }
    });
    finish(Op::Sample);
}

#[test]
fn many_draws_fall_where_the_definitions_do() {
    let (vocab, draws) = (3001, 64_u64);
    on_both_tilings(|label, device| {
        let values = rows(1, vocab, 5);
        let logits = tensor(&values, vocab, device);
        for params in [
            warm(1),
            SamplingParams {
                top_p: Some(0.9),
                ..warm(2)
            },
            SamplingParams {
                top_k: Some(30),
                ..warm(3)
            },
        ] {
            let sampler = |stream| Sampler::with_stream(params.clone(), stream).expect("valid");
            let samplers: Vec<Sampler> = (0..draws).map(sampler).collect();
            let choices: Vec<_> = samplers.iter().map(|s| (0, s.choice(&[]))).collect();
            let (want, got) = both(&logits, &choices);
            assert_eq!(differs(&want, &got), None, "{label}");
            let mut tokens: Vec<u32> = got.iter().map(|s| s.token).collect();
            tokens.sort_unstable();
            tokens.dedup();
            assert!(tokens.len() > 3, "{label}: the draws differ");
            // Controls: another seed, another temperature and another logit are told apart.
            let other = SamplingParams {
                seed: params.seed + 50,
                ..params.clone()
            };
            let others: Vec<Sampler> = (0..draws)
                .map(|stream| Sampler::with_stream(other.clone(), stream).expect("valid"))
                .collect();
            let seeds: Vec<_> = others.iter().map(|s| (0, s.choice(&[]))).collect();
            let seeded = sample(&logits, &seeds).expect("chosen");
            assert!(differs(&want, &seeded).is_some(), "{label}: another seed");
            let warmer = sample(&(logits.clone() * 1.01), &choices).expect("chosen");
            assert!(differs(&want, &warmer).is_some(), "{label}: logits 1 % off");
        }
    });
    finish(Op::Sample);
}

#[test]
fn equal_logits_and_zeros_are_ties() {
    on_both_tilings(|label, device| {
        let vocab = 4099;
        let mut values = vec![0.0; 2 * vocab];
        // A row of zeros of both signs, the negative first.
        values[vocab..]
            .iter_mut()
            .step_by(2)
            .for_each(|v| *v = -0.0);
        let logits = tensor(&values, vocab, device);
        let half = SamplingParams {
            top_p: Some(0.5),
            ..warm(3)
        };
        let few = SamplingParams {
            top_k: Some(5),
            ..warm(4)
        };
        let params = [SamplingParams::default(), warm(2), half, few];
        let samplers = params.map(|p| Sampler::new(p).expect("valid"));
        let each = |row| samplers.iter().map(move |s| (row, s.choice(&[])));
        let choices: Vec<_> = each(0).chain(each(1)).collect();
        let (want, got) = both(&logits, &choices);
        assert_eq!(differs(&want, &got), None, "{label}");
        assert_eq!(
            (got[0].token, got[4].token),
            (0, 0),
            "{label}: the lowest id"
        );
        assert!(
            got[2].token as usize <= vocab / 2 + 1,
            "{label}: the upper half is cut"
        );
    });
    finish(Op::Sample);
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let vocab = 5003;
    on_both_tilings(|label, device| {
        let values = rows(64, vocab, 11);
        let samplers: Vec<Sampler> = (0..64_u64)
            .map(|row| {
                let kinds = kinds(row, vocab);
                Sampler::new(kinds[row as usize % kinds.len()].clone()).expect("valid")
            })
            .collect();
        let run = |from: usize, to: usize| {
            let logits = tensor(&values[from * vocab..to * vocab], vocab, device);
            let of_row = |row: usize| (row - from, samplers[row].choice(&[4, 9, 4]));
            sample(&logits, &(from..to).map(of_row).collect::<Vec<_>>()).expect("chosen")
        };
        let bits = |found: &[Sampled]| -> Vec<(u32, u32)> {
            let bits = found.iter().map(|s| (s.token, s.logprob.to_bits()));
            bits.collect()
        };
        let all = bits(&run(0, 64));
        for (from, to) in [(0, 1), (0, 2), (5, 8), (17, 34), (63, 64)] {
            assert_eq!(
                bits(&run(from, to)),
                all[from..to],
                "{label}, rows {from}..{to}"
            );
        }
    });
    finish(Op::Sample);
}

#[test]
fn what_cannot_be_sampled_from_is_named() {
    on_both_tilings(|label, device| {
        let vocab = 3000;
        let error = |bad: &[(usize, f32)], params: SamplingParams| {
            let mut values = rows(2, vocab, 3);
            bad.iter().for_each(|(at, value)| values[*at] = *value);
            let logits = tensor(&values, vocab, device);
            let sampler = Sampler::new(params).expect("valid");
            let good = Sampler::new(SamplingParams::default()).expect("valid");
            let choices = [(0, good.choice(&[])), (1, sampler.choice(&[1]))];
            match sample(&logits, &choices) {
                Err(SampleError::Sampling(error)) => error,
                other => panic!("{label}: {other:?}"),
            }
        };
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
            for params in [SamplingParams::default(), warm(1)] {
                let found = error(&[(vocab + 2500, bad), (2 * vocab - 1, bad)], params);
                let named = matches!(found, Error::BadLogit { index: 2500, .. });
                assert!(named, "{label}: {found}");
            }
        }
        let forbidden_ids: Vec<u32> = (0..vocab as u32).collect();
        let none = SamplingParams {
            forbidden_ids,
            ..warm(1)
        };
        assert_eq!(error(&[], none), Error::NoCandidate { vocab });
        let lost: Vec<_> = (vocab..2 * vocab)
            .map(|at| (at, f32::NEG_INFINITY))
            .collect();
        assert_eq!(error(&lost, warm(1)), Error::NoCandidate { vocab });
        let penal = SamplingParams {
            repetition_penalty: 1e-38,
            ..warm(1)
        };
        let found = error(&[(vocab + 1, 9.0)], penal);
        assert!(
            matches!(found, Error::BadLogit { index: 1, .. }),
            "{label}: {found}"
        );
        // A single logit that is a number is enough.
        let mut values = vec![f32::NEG_INFINITY; vocab];
        values[2999] = -5.0;
        let sampler = Sampler::new(warm(2)).expect("valid");
        let logits = tensor(&values, vocab, device);
        let (want, got) = both(&logits, &[(0, sampler.choice(&[]))]);
        assert_eq!((got[0].token, got[0].logprob), (2999, 0.0), "{label}");
        assert_eq!(want, got);
        let beyond = sample(&logits, &[(1, sampler.choice(&[]))]);
        assert!(matches!(beyond, Err(SampleError::Row { row: 1, rows: 1 })));
        let beyond = sample(&logits, &[(0, sampler.forced(3000))]);
        assert!(matches!(
            beyond,
            Err(SampleError::Sampling(Error::TokenOutOfRange { .. }))
        ));
        assert!(sample(&logits, &[]).expect("nothing to do").is_empty());
    });
    finish(Op::Sample);
}
