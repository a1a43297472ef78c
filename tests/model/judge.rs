//! The local judge: the engine's own answers, pictures included, and noise that is no verdict.

use crate::support::{devices, engine};
use glmv::engine::{
    Conversation, Message as MessageIn, Part, Precision, RenderOptions, Role as In, SamplingParams,
};
use glmv::judge::EngineGenerator;
use glmv::reward::judge::{
    Generate, GenerateRequest, Judge, JudgeRequest, LocalJudge, Message, Role, VerdictForm,
};
use std::ops::ControlFlow;

#[test]
fn the_generator_says_what_the_engine_says() {
    for device in devices() {
        let mut direct = engine("glm4v-f32", &device, Precision::F32);
        let message = MessageIn::new(In::User, vec![Part::Text("Hello, who are you?".into())]);
        let options = RenderOptions {
            add_generation_prompt: true,
            enable_thinking: Some(false),
            ..RenderOptions::default()
        };
        let inputs = [direct
            .prepare(&Conversation::new(vec![message]), &options)
            .unwrap()];
        let params = [SamplingParams {
            max_new_tokens: 8,
            temperature: 0.0,
            stop_ids: direct.params(&Default::default()).unwrap().stop_ids,
            ..SamplingParams::default()
        }];
        let mut go = |_| ControlFlow::Continue(());
        let (want, _) = direct.generate(&inputs, &params, &mut go).unwrap();
        let decode = |ids: &[u32]| direct.processor().tokenizer.decode(ids, true).unwrap();
        let want_text = decode(&want[0].token_ids);

        let generator = EngineGenerator::new(engine("glm4v-f32", &device, Precision::F32));
        let picture = std::fs::read(glmv_testkit::golden_dir().join("media/grad.png")).unwrap();
        let plain = [Message::new(Role::User, "Hello, who are you?")];
        let shown =
            [Message::new(Role::User, "Hello, who are you?").with_picture("image/png", &picture)];
        let request = |messages| GenerateRequest {
            messages,
            temperature: 0.0,
            max_tokens: Some(8),
            attempt: 1,
        };
        let got = generator.generate(&[request(&plain), request(&shown)]);
        let [Ok(text), Ok(with_picture)] = got.as_slice() else {
            panic!("{got:?}");
        };
        assert_eq!(text.usage.completion_tokens, want[0].token_ids.len() as u64);
        assert!(with_picture.usage.prompt_tokens > text.usage.prompt_tokens);
        assert_eq!(text.text, want_text);
    }
}

#[test]
fn noise_is_an_error_and_never_a_score() {
    let device = &devices()[0];
    let generator = EngineGenerator::new(engine("glm4v-f32", device, Precision::F32));
    let judge = LocalJudge::new("noise", generator, 2);
    let request = JudgeRequest {
        messages: vec![Message::new(Role::User, "Is 4 right? Verdict:")],
        form: VerdictForm::Binary,
        temperature: 1.0,
        max_tokens: Some(4),
        question: "2 + 2?".into(),
        answer: "4".into(),
        reference: "4".into(),
    };
    judge
        .judge(&request)
        .expect_err("random weights give no verdict");
    let stats = judge.stats();
    assert_eq!((stats.calls, stats.attempts), (1, 2));
}
