//! What a judge is asked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::VerdictForm;

/// Who speaks in a judge's prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// The question to the judge.
    User,
    /// An answer of the judge, in examples.
    Assistant,
}

impl Role {
    /// The name in OpenAI's chat messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a judge's prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub text: String,
    /// A picture as a data URL (`data:image/png;base64,…`), shown before the text.
    pub picture: Option<String>,
}

impl Message {
    /// A message without a picture.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            text: text.into(),
            picture: None,
        }
    }

    /// The message with the picture file `bytes` of type `media_type`, such as `image/png`.
    #[must_use]
    pub fn with_picture(mut self, media_type: &str, bytes: &[u8]) -> Self {
        self.picture = Some(format!(
            "data:{media_type};base64,{}",
            STANDARD.encode(bytes)
        ));
        self
    }

    /// The message as OpenAI's chat completions take it.
    pub(crate) fn to_openai(&self) -> Value {
        let content = match &self.picture {
            None => json!(self.text),
            Some(url) => json!([
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": self.text},
            ]),
        };
        json!({"role": self.role.name(), "content": content})
    }
}

/// One question to a judge: the rendered prompt, and what it was rendered from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeRequest {
    /// The prompt, rendered by the domain.
    pub messages: Vec<Message>,
    /// The form the verdict must have.
    pub form: VerdictForm,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Most tokens of the reply; none leaves it to the judge's own setting.
    pub max_tokens: Option<u32>,
    /// The question that was answered.
    pub question: String,
    /// The answer to judge.
    pub answer: String,
    /// The right answer.
    pub reference: String,
}

impl JudgeRequest {
    /// A greedy binary request without messages.
    pub fn new(
        question: impl Into<String>,
        answer: impl Into<String>,
        reference: impl Into<String>,
    ) -> Self {
        Self {
            messages: Vec::new(),
            form: VerdictForm::Binary,
            temperature: 0.0,
            max_tokens: None,
            question: question.into(),
            answer: answer.into(),
            reference: reference.into(),
        }
    }

    /// The request with a further user message.
    #[must_use]
    pub fn with_user_message(mut self, text: impl Into<String>) -> Self {
        self.messages.push(Message::new(Role::User, text));
        self
    }

    /// The request with another form of verdict.
    #[must_use]
    pub fn with_form(mut self, form: VerdictForm) -> Self {
        self.form = form;
        self
    }

    /// SHA-256 of everything the verdict depends on: `judge`'s name and all fields, as hex.
    pub fn digest(&self, judge: &str) -> String {
        let content = json!([judge, self]).to_string(); // fields in the order of the struct
        let hash = Sha256::digest(content.as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_depends_on_every_field() {
        let base = JudgeRequest::new("q", "a", "r").with_user_message("m");
        let mut digests = vec![
            base.digest("j"),
            base.digest("k"),
            base.clone().with_form(VerdictForm::Score).digest("j"),
            base.clone().with_user_message("m").digest("j"),
        ];
        let changes: [fn(&mut JudgeRequest); 8] = [
            |r| r.question.push('x'),
            |r| r.answer.push('x'),
            |r| r.reference.push('x'),
            |r| r.temperature = 0.5,
            |r| r.max_tokens = Some(7),
            |r| r.messages[0].text.push('x'),
            |r| r.messages[0].role = Role::System,
            |r| r.messages[0].picture = Some("data:,".to_owned()),
        ];
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            digests.push(changed.digest("j"));
        }
        assert!(digests.iter().all(|d| d.len() == 64));
        let count = digests.len();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), count);
        assert_eq!(base.digest("j"), base.clone().digest("j"));
        // Question and answer are told apart even where their texts run together.
        let left = JudgeRequest::new("ab", "c", "r");
        let right = JudgeRequest::new("a", "bc", "r");
        assert_ne!(left.digest("j"), right.digest("j"));
    }

    #[test]
    fn a_picture_becomes_a_part_before_the_text() {
        let message = Message::new(Role::User, "what?").with_picture("image/png", b"abc");
        assert_eq!(
            message.to_openai(),
            json!({"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
                {"type": "text", "text": "what?"},
            ]})
        );
        let plain = Message::new(Role::System, "be strict").to_openai();
        assert_eq!(plain, json!({"role": "system", "content": "be strict"}));
    }
}
