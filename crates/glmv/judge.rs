//! The local judge: a model of this program answers the judge prompts of `glmv-reward`.
//!
//! ```no_run
//! use glmv::reward::judge::LocalJudge;
//! # fn judge(engine: glmv::Engine) {
//! let judge = LocalJudge::new("GLM-4.1V here", glmv::judge::EngineGenerator::new(engine), 3);
//! # }
//! ```

use glmv_engine::{Conversation, Engine, Error, FinishReason, RenderOptions, SamplingOverrides};
use glmv_processor::MediaAccess;
use glmv_reward::judge::{Generate, GenerateRequest, Generated, Role, TokenUsage};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Mutex;

/// Runs judge prompts through an engine, all of a call in one batch, without thinking aloud.
#[derive(Debug)]
pub struct EngineGenerator {
    engine: Mutex<Engine>,
}

impl EngineGenerator {
    /// A generator that owns `engine`.
    pub fn new(engine: Engine) -> Self {
        EngineGenerator {
            engine: Mutex::new(engine),
        }
    }

    fn run(&self, prompts: &[GenerateRequest<'_>]) -> Result<Vec<Generated>, Error> {
        let mut engine = match self.engine.lock() {
            Ok(engine) => engine,
            // A failed step resets the engine: what it holds is whole.
            Err(poisoned) => poisoned.into_inner(),
        };
        let options = RenderOptions {
            add_generation_prompt: true,
            enable_thinking: Some(false),
            ..RenderOptions::default()
        };
        let (mut inputs, mut params) = (Vec::new(), Vec::new());
        for prompt in prompts {
            let conversation = Conversation::from_json(&messages(prompt), MediaAccess::InlineOnly)?;
            inputs.push(engine.prepare(&conversation, &options)?);
            params.push(engine.params(&SamplingOverrides {
                temperature: Some(prompt.temperature),
                max_new_tokens: prompt.max_tokens.map(|n| n as usize),
                seed: Some(u64::from(prompt.attempt)),
                ..SamplingOverrides::default()
            })?);
        }
        let mut go = |_| ControlFlow::Continue(());
        let (completions, _) = engine.generate(&inputs, &params, &mut go)?;
        let texts = completions.into_iter().map(|completion| {
            Ok(Generated {
                text: engine
                    .processor()
                    .tokenizer
                    .decode(&completion.token_ids, true)?,
                cut_off: completion.finish_reason == FinishReason::Length,
                usage: TokenUsage {
                    prompt_tokens: completion.usage.prompt_tokens as u64,
                    completion_tokens: completion.usage.completion_tokens as u64,
                },
            })
        });
        texts.collect()
    }
}

impl Generate for EngineGenerator {
    fn generate(&self, prompts: &[GenerateRequest<'_>]) -> Vec<Result<Generated, String>> {
        match self.run(prompts) {
            Ok(texts) => texts.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error.to_string()); prompts.len()],
        }
    }
}

/// The prompt as a conversation in JSON, pictures before the text.
fn messages(prompt: &GenerateRequest<'_>) -> Value {
    let list = prompt.messages.iter().map(|message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let picture = message.picture.as_ref();
        let picture = picture.map(|url| json!({"type": "image_url", "image_url": {"url": url}}));
        let text = json!({"type": "text", "text": message.text});
        let parts: Vec<Value> = picture.into_iter().chain([text]).collect();
        json!({"role": role, "content": parts})
    });
    Value::Array(list.collect())
}
