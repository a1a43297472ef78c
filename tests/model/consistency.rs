//! A batch answers like its rows alone; a cache answers like a full pass; half precision is close.

use crate::support::{devices, engine, max_diff, prompt};
use glmv::engine::{Precision, SamplingParams, left_pad, sequences_of};
use glmv::kernels::device::read;
use glmv::model::{Batch, Probe, decode_positions};
use std::ops::ControlFlow;

fn greedy(max_new_tokens: usize) -> SamplingParams {
    SamplingParams {
        max_new_tokens,
        temperature: 0.0,
        ..Default::default()
    }
}

#[test]
fn a_left_padded_batch_answers_like_its_rows_alone() {
    for device in devices() {
        for name in ["glm4v-f32", "glm4v_moe-f32"] {
            let mut engine = engine(name, &device, Precision::F32);
            let prompts = vec![
                prompt(&engine, "Hello, who are you?", false),
                prompt(&engine, "What is in this picture?", true),
                prompt(&engine, "Hi", false),
            ];
            let mut run = |prompts: &[glmv::processor::ModelInputs]| {
                let params = vec![greedy(6); prompts.len()];
                let mut go = |_| ControlFlow::Continue(());
                engine.generate(prompts, &params, &mut go).unwrap().0
            };
            let together = run(&prompts);
            for (prompt, batched) in prompts.iter().zip(&together) {
                let alone = run(std::slice::from_ref(prompt)).remove(0);
                assert_eq!(alone.token_ids, batched.token_ids, "{name}");
                assert!(max_diff(&alone.logprobs, &batched.logprobs) < 1e-4);
            }
        }
    }
}

#[test]
fn cached_decoding_equals_a_full_pass() {
    for device in devices() {
        for name in ["glm4v-f32", "glm4v_moe-f32"] {
            let engine = engine(name, &device, Precision::F32);
            let model = engine.model();
            let inputs = prompt(&engine, "Hello, who are you?", false);
            let (all, _) = left_pad(&[&inputs], 0, 2).unwrap();
            let batch = Batch {
                sequences: &all,
                images: None,
                videos: None,
            };
            let full = model.forward(&batch, None, &mut Probe::off()).unwrap();
            let last = model.select_rows(full, &[all.seq - 1]);
            let mut cut = inputs.clone();
            let token = cut.input_ids.pop().unwrap();
            cut.modality.pop();
            let (head, positions) = left_pad(&[&cut], 0, 2).unwrap();
            // A capacity that is too small, so that the cache grows on the way.
            let mut cache = model.new_cache(2).unwrap();
            let batch = Batch {
                sequences: &head,
                images: None,
                videos: None,
            };
            model
                .forward(&batch, Some(&mut cache), &mut Probe::off())
                .unwrap();
            let next = decode_positions(&[head.seq], &positions.rope_delta);
            let next = sequences_of(vec![token], next, vec![0]);
            let batch = Batch {
                sequences: &next,
                images: None,
                videos: None,
            };
            let step = model
                .forward(&batch, Some(&mut cache), &mut Probe::off())
                .unwrap();
            let (a, b) = (read(last).unwrap(), read(step).unwrap());
            assert!(max_diff(&a, &b) < 2e-5, "{name}: {}", max_diff(&a, &b));
            assert_eq!(cache.len(), all.seq);
        }
    }
}

#[test]
fn half_precision_is_close_to_full() {
    for device in devices() {
        let run = |precision| {
            let mut engine = engine("glm4v-f32", &device, precision);
            let inputs = prompt(&engine, "What is in this picture?", true);
            let mut go = |_| ControlFlow::Continue(());
            engine
                .generate(&[inputs], &[greedy(1)], &mut go)
                .unwrap()
                .0
                .remove(0)
        };
        let (full, half) = (run(Precision::F32), run(Precision::F16));
        assert_eq!(full.token_ids, half.token_ids);
        let diff = max_diff(&full.logprobs, &half.logprobs);
        assert!(diff > 0.0 && diff < 0.05, "{diff}");
    }
}

#[test]
fn a_think_budget_forces_the_end_of_the_thought() {
    let device = burn::tensor::Device::flex();
    let mut engine = engine("glm4v_moe-f32", &device, Precision::F32);
    let (open, close) = {
        let tokenizer = &engine.processor().tokenizer;
        (
            tokenizer.id("<think>").unwrap(),
            tokenizer.id("</think>").unwrap(),
        )
    };
    let mut inputs = prompt(&engine, "Hello", false);
    // The prompt opens the thought itself.
    inputs.prompt.push_str("<think>");
    inputs.input_ids.push(open);
    inputs.modality.push(glmv::processor::Modality::Text);
    let params = SamplingParams {
        think_budget: Some(3),
        ignore_stop: true,
        ..greedy(8)
    };
    let mut go = |_| ControlFlow::Continue(());
    let (out, _) = engine.generate(&[inputs], &[params], &mut go).unwrap();
    let at = out[0].token_ids.iter().position(|t| *t == close);
    assert!(at.is_some_and(|at| at <= 3), "{:?}", out[0].token_ids);
}
