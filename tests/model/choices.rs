//! What a request asks of the choice of its tokens.

use crate::engine::{MODELS, alone, params};
use crate::support::{devices, engine, max_diff, prompt};
use glmv::engine::{Precision, Request, SamplingParams};
use glmv::sampling::Logprobs;

#[test]
fn forbidden_ids_do_not_come_out() {
    let device = burn::tensor::Device::flex();
    let mut engine = engine("glm4v-f32", &device, Precision::F32);
    let inputs = prompt(&engine, "Hello", false);
    let free = alone(&mut engine, Request::new(inputs.clone(), params(0, 6))).remove(0);
    let forbidden_ids = [engine.placeholder_ids(), vec![free.token_ids[0]]].concat();
    assert!(forbidden_ids.contains(&engine.model().config().image_token_id));
    let params = SamplingParams {
        forbidden_ids: forbidden_ids.clone(),
        ..params(0, 6)
    };
    let masked = alone(&mut engine, Request::new(inputs, params)).remove(0);
    assert!(masked.token_ids.iter().all(|t| !forbidden_ids.contains(t)));
    assert_ne!(masked.token_ids, free.token_ids);
}

#[test]
fn the_policys_logprobs_are_of_the_same_tokens() {
    for device in devices() {
        for name in MODELS {
            let mut engine = engine(name, &device, Precision::F32);
            let inputs = prompt(&engine, "Hello, who are you?", false);
            let placeholders = engine.placeholder_ids();
            let mut run = |temperature, forbidden_ids: &[u32], logprobs| {
                let params = SamplingParams {
                    temperature,
                    forbidden_ids: forbidden_ids.to_vec(),
                    logprobs,
                    ..params(5, 8)
                };
                alone(&mut engine, Request::new(inputs.clone(), params)).remove(0)
            };
            // Where nothing is scaled or masked both are the same.
            let model = run(1.0, &[], Logprobs::Model);
            let policy = run(1.0, &[], Logprobs::Policy);
            assert_eq!(model.token_ids, policy.token_ids, "{name}");
            assert!(max_diff(&model.logprobs, &policy.logprobs) < 1e-5);
            let model = run(0.6, &placeholders, Logprobs::Model);
            let policy = run(0.6, &placeholders, Logprobs::Policy);
            assert_eq!(model.token_ids, policy.token_ids, "{name}");
            assert!(max_diff(&model.logprobs, &policy.logprobs) > 1e-2);
        }
    }
}
