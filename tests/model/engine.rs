//! Requests that share an engine: company, seeds, prefixes, pictures, chunks, cancellation and full
//! caches change nothing in what a request gets.

use crate::support::{devices, engine, max_diff, prompt};
use glmv::engine::{
    Completion, Engine, EngineConfig, Event, FinishReason, KvFormat, ModelInputs, Precision,
    Request, RequestId, SamplingParams,
};
use std::collections::BTreeMap;

pub(crate) const MODELS: [&str; 2] = ["glm4v-f32", "glm4v_moe-f32"];

/// Greedy, top-p, repetition penalty and top-k in turn.
pub(crate) fn params(seed: u64, tokens: usize) -> SamplingParams {
    SamplingParams {
        max_new_tokens: tokens,
        temperature: if seed.is_multiple_of(4) { 0.0 } else { 1.0 },
        top_p: (seed % 4 == 1).then_some(0.95),
        repetition_penalty: if seed % 4 == 2 { 1.1 } else { 1.0 },
        top_k: (seed % 4 == 3).then_some(50),
        seed,
        ignore_stop: true,
        ..SamplingParams::default()
    }
}

/// Small chunks and blocks, so that the tiny prompts have several of each.
fn invariant() -> EngineConfig {
    EngineConfig {
        chunk: 16,
        block_size: 8,
        max_running: 6,
        ..EngineConfig::rollout()
    }
}

fn inputs(engine: &Engine) -> Vec<ModelInputs> {
    vec![
        prompt(engine, "Hello, who are you?", false),
        prompt(engine, "What is in this picture?", true),
        prompt(engine, "Hi", false),
        prompt(
            engine,
            "Describe the colours of this picture, from left to right.",
            true,
        ),
        prompt(
            engine,
            "Hello, who are you? And where do you come from?",
            false,
        ),
    ]
}

/// Completions by (request, sample) once nothing is left to do.
fn drain(engine: &mut Engine) -> BTreeMap<(RequestId, usize), Completion> {
    let mut done = BTreeMap::new();
    while !engine.is_idle() {
        collect(engine, &mut done);
    }
    done
}

fn collect(engine: &mut Engine, done: &mut BTreeMap<(RequestId, usize), Completion>) {
    for event in engine.step().unwrap() {
        if let Event::Finished {
            request,
            sample,
            completion,
        } = event
        {
            done.insert((request, sample), completion);
        }
    }
}

/// One request in a fresh engine.
pub(crate) fn alone(engine: &mut Engine, request: Request) -> Vec<Completion> {
    engine.reset().unwrap();
    engine.add(request).unwrap();
    drain(engine).into_values().collect()
}

#[test]
fn a_request_does_not_depend_on_its_company() {
    for device in devices() {
        for name in MODELS {
            let mut engine = engine(name, &device, Precision::F32)
                .with_config(invariant())
                .unwrap();
            let inputs = inputs(&engine);
            let requests: Vec<Request> = (0..12u64)
                .map(|i| {
                    let inputs = inputs[i as usize * 7 % inputs.len()].clone();
                    let samples = 1 + usize::from(i % 5 == 2) * 2;
                    Request::new(inputs, params(i, 6 + 5 * (i as usize % 6))).samples(samples)
                })
                .collect();
            let want: Vec<_> = requests
                .iter()
                .map(|r| alone(&mut engine, r.clone()))
                .collect();
            // Together, each added after a number of steps that looks random; once more with too few
            // blocks for all.
            for (seed, kv_blocks) in [(3, None), (5, None), (4, Some(11))] {
                let config = EngineConfig {
                    kv_blocks,
                    ..invariant()
                };
                engine.configure(config).unwrap();
                let first = want.iter().map(Vec::len).sum::<usize>();
                let mut done = BTreeMap::new();
                for (i, request) in requests.iter().enumerate() {
                    engine.add(request.clone()).unwrap();
                    (0..i * seed % 4).for_each(|_| collect(&mut engine, &mut done));
                }
                done.extend(drain(&mut engine));
                assert_eq!(done.len(), first);
                let mut got = done.into_values();
                for (i, want) in want.iter().enumerate() {
                    for want in want {
                        let got = got.next().unwrap();
                        assert_eq!(
                            got.token_ids, want.token_ids,
                            "{name} request {i}, {kv_blocks:?}"
                        );
                        let bits = |c: &Completion| {
                            c.logprobs.iter().map(|l| l.to_bits()).collect::<Vec<_>>()
                        };
                        assert_eq!(
                            bits(&got),
                            bits(want),
                            "{name} request {i}, {kv_blocks:?}, {seed} {:?}",
                            engine.stats()
                        );
                    }
                }
                assert_eq!(engine.blocks_in_use(), 0);
                let stats = engine.stats();
                assert!(stats.occupancy() > 1.5, "{stats:?}");
                assert_eq!(stats.preemptions > 0, kv_blocks.is_some(), "{stats:?}");
            }
        }
    }
}

#[test]
fn the_fast_path_is_close_to_the_invariant_one() {
    for device in devices() {
        for name in MODELS {
            let mut engine = engine(name, &device, Precision::F32);
            for inputs in inputs(&engine) {
                let request = Request::new(inputs, params(0, 6));
                engine.configure(EngineConfig::default()).unwrap();
                let fast = alone(&mut engine, request.clone()).remove(0);
                engine.configure(invariant()).unwrap();
                let grouped = alone(&mut engine, request).remove(0);
                assert_eq!(fast.token_ids, grouped.token_ids);
                assert!(max_diff(&fast.logprobs, &grouped.logprobs) < 1e-4);
            }
        }
    }
}

#[test]
fn seeds_and_samples_are_honoured() {
    let device = burn::tensor::Device::flex();
    let mut engine = engine("glm4v-f32", &device, Precision::F32);
    let inputs = prompt(&engine, "Hello", false);
    let request = |seed| Request::new(inputs.clone(), params(seed, 8)).samples(3);
    let (a, b) = (
        alone(&mut engine, request(1)),
        alone(&mut engine, request(1)),
    );
    assert_eq!(a, b, "the same seed");
    assert!(a[0].token_ids != a[1].token_ids && a[1].token_ids != a[2].token_ids);
    assert_ne!(a, alone(&mut engine, request(2)), "another seed");
    // Sample i is stream i, as in a batch of three.
    let mut third = Request::new(inputs, params(1, 8));
    third.stream = 2;
    assert_eq!(alone(&mut engine, third)[0], a[2]);
    assert_eq!(engine.stats().prefill_passes, 1);
}

#[test]
fn prefixes_and_pictures_are_reused_without_a_trace() {
    for device in devices() {
        for (name, invariant_mode) in [(MODELS[0], true), (MODELS[1], true), (MODELS[0], false)] {
            let config = EngineConfig {
                invariant: invariant_mode,
                ..invariant()
            };
            let mut engine = engine(name, &device, Precision::F32)
                .with_config(config)
                .unwrap();
            let inputs = prompt(&engine, "What is in this picture?", true);
            let request = || Request::new(inputs.clone(), params(1, 5));
            let first = alone(&mut engine, request()).remove(0);
            assert_eq!(
                (engine.stats().prefix_hits, engine.stats().features_encoded),
                (0, 1)
            );
            engine.add(request()).unwrap();
            let again = drain(&mut engine).into_values().next().unwrap();
            let stats = *engine.stats();
            assert!(stats.prefix_hits >= 16, "{stats:?}");
            assert_eq!(stats.features_encoded, 1, "{stats:?}");
            assert_eq!(again.token_ids, first.token_ids);
            let tolerance = if invariant_mode { 0.0 } else { 1e-4 };
            assert!(max_diff(&again.logprobs, &first.logprobs) <= tolerance);
            // The same picture behind another beginning: only its features are known.
            let mut other = prompt(&engine, "Hello", true);
            other.input_ids[0] = inputs.input_ids[0] + 1;
            let request = || Request::new(other.clone(), params(1, 5));
            engine.add(request()).unwrap();
            let shown = drain(&mut engine).into_values().next().unwrap();
            assert_eq!(engine.stats().prefix_hits, stats.prefix_hits);
            assert_eq!(
                (engine.stats().features_encoded, engine.stats().feature_hits),
                (1, 1)
            );
            assert_eq!(alone(&mut engine, request()).remove(0), shown);
        }
    }
}

#[test]
fn a_prompt_in_chunks_is_the_prompt_in_one() {
    for device in devices() {
        for name in MODELS {
            let mut engine = engine(name, &device, Precision::F32);
            let inputs = prompt(&engine, &"What is in this picture? ".repeat(6), true);
            let mut run = |chunk| {
                let config = EngineConfig {
                    chunk,
                    ..EngineConfig::default()
                };
                engine.configure(config).unwrap();
                let out = alone(&mut engine, Request::new(inputs.clone(), params(0, 4)));
                (out[0].clone(), engine.stats().prefill_passes)
            };
            let ((whole, one), (parts, many)) = (run(4096), run(16));
            assert!(one == 1 && many > 3, "{one} and {many} passes");
            assert_eq!(whole.token_ids, parts.token_ids);
            let diff = max_diff(&whole.logprobs, &parts.logprobs);
            assert!(diff <= 1e-5, "{name}: {diff}");
        }
    }
}

#[test]
fn decoding_goes_on_between_the_chunks_of_a_long_prompt() {
    let device = burn::tensor::Device::flex();
    let config = EngineConfig {
        chunk: 16,
        ..EngineConfig::default()
    };
    let mut engine = engine("glm4v-f32", &device, Precision::F32)
        .with_config(config)
        .unwrap();
    let short = prompt(&engine, "Hi", false);
    let long = prompt(&engine, &"What is in this picture? ".repeat(9), true);
    let first = engine.add(Request::new(short, params(0, 40))).unwrap();
    while engine.step().unwrap().is_empty() {}
    let second = engine.add(Request::new(long, params(0, 3))).unwrap();
    let mut before = 0;
    loop {
        let events = engine.step().unwrap();
        if events.iter().any(|e| e.request() == second) {
            break;
        }
        assert!(
            events.iter().any(|e| e.request() == first),
            "no token in a step"
        );
        before += 1;
    }
    assert!(before >= 3, "the long prompt took {before} steps");
}

#[test]
fn cancelling_frees_the_blocks() {
    let device = burn::tensor::Device::flex();
    let mut engine = engine("glm4v-f32", &device, Precision::F32);
    let inputs = prompt(&engine, "Hello", false);
    let long = Request::new(inputs.clone(), params(1, 500)).samples(3);
    let (a, b) = (
        engine.add(long.clone()).unwrap(),
        engine.add(long.clone()).unwrap(),
    );
    (0..5).for_each(|_| drop(engine.step().unwrap()));
    assert!(engine.blocks_in_use() > 0);
    // One before its prompt has run, too.
    let c = engine.add(long).unwrap();
    assert!(engine.cancel(a) && engine.cancel(b) && engine.cancel(c) && !engine.cancel(a));
    assert_eq!(engine.blocks_in_use(), 0);
    let done = drain(&mut engine);
    assert_eq!(done.len(), 9, "every sample ends");
    assert!(
        done.values()
            .all(|c| c.finish_reason == FinishReason::Cancelled)
    );
    assert!(
        done.iter()
            .all(|((r, _), out)| out.token_ids.is_empty() == (*r == c))
    );
}

#[test]
fn requests_beyond_the_cache_are_refused_or_cut() {
    let device = burn::tensor::Device::flex();
    let config = EngineConfig {
        kv_blocks: Some(2),
        block_size: 8,
        ..EngineConfig::default()
    };
    let mut engine = engine("glm4v-f32", &device, Precision::F32)
        .with_config(config)
        .unwrap();
    let error = engine.add(Request::new(
        prompt(&engine, "Picture?", true),
        params(0, 4),
    ));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the KV cache holds 16"), "{error}");
    let short = prompt(&engine, "Hi", false);
    let room = 16 - short.input_ids.len();
    engine
        .add(Request::new(short.clone(), params(0, 400)))
        .unwrap();
    let done = drain(&mut engine).into_values().next().unwrap();
    assert_eq!(
        (done.token_ids.len(), done.finish_reason),
        (room, FinishReason::Length)
    );
    let none = engine.add(Request::new(short, params(0, 4)).samples(0));
    assert!(none.unwrap_err().to_string().contains("0 samples"));
    let odd = EngineConfig {
        block_size: 6,
        ..EngineConfig::default()
    };
    assert!(
        engine
            .configure(odd)
            .unwrap_err()
            .to_string()
            .contains("multiple of 4")
    );
}

#[test]
fn an_eight_bit_cache_is_close() {
    for device in devices() {
        for name in MODELS {
            let mut engine = engine(name, &device, Precision::F32);
            let inputs = prompt(&engine, "What is in this picture?", true);
            let mut run = |kv_format| {
                let config = EngineConfig {
                    kv_format,
                    ..EngineConfig::default()
                };
                engine.configure(config).unwrap();
                alone(&mut engine, Request::new(inputs.clone(), params(0, 4))).remove(0)
            };
            let (full, coded) = (run(None), run(Some(KvFormat::Q8)));
            let diff = max_diff(&full.logprobs[..1], &coded.logprobs[..1]);
            println!("{name}: the 8-bit cache moves the first log-probability by {diff:.1e}");
            assert!(diff > 0.0 && diff < 0.1, "{name}: {diff}");
        }
    }
}
