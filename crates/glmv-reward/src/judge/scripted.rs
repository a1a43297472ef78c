//! A judge whose replies are given: for tests, and for replaying what a judge said.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::http::parsed;
use super::net::{Counters, lock};
use super::{CallStats, Judge, JudgeError, JudgeRequest, Judgement, TokenUsage};

type Script = Box<dyn Fn(&JudgeRequest) -> Result<String, JudgeError> + Send + Sync>;

/// Replies from a list or a function, read with the same grammar as a model's; one attempt each.
pub struct Scripted {
    name: String,
    script: Script,
    asked: Mutex<Vec<JudgeRequest>>,
    counters: Counters,
}

impl Scripted {
    /// A judge that replies with these texts, one after another; a further request is an error.
    pub fn replies<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        let texts: VecDeque<String> = texts.into_iter().map(Into::into).collect();
        let texts = Mutex::new(texts);
        Self::with("scripted", move |_| {
            lock(&texts)
                .pop_front()
                .ok_or_else(|| JudgeError::Generate {
                    judge: "scripted".to_owned(),
                    reason: "the script has no further reply".to_owned(),
                })
        })
    }

    /// A judge that replies what `script` makes of the request.
    pub fn with(
        name: impl Into<String>,
        script: impl Fn(&JudgeRequest) -> Result<String, JudgeError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            script: Box::new(script),
            asked: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// The requests so far, in order.
    pub fn asked(&self) -> Vec<JudgeRequest> {
        lock(&self.asked).clone()
    }
}

impl Judge for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, request: &JudgeRequest) -> Result<Judgement, JudgeError> {
        lock(&self.asked).push(request.clone());
        self.counters.attempt(false);
        let result = (self.script)(request)
            .and_then(|raw| parsed(&self.name, request.form, raw, TokenUsage::default()));
        let failure = result.as_ref().err().map(JudgeError::kind);
        if let Some(kind) = failure {
            self.counters.failed_attempt(kind);
        }
        self.counters.call(failure);
        result
    }

    fn stats(&self) -> CallStats {
        self.counters.snapshot()
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
