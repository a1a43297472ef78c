//! The checkpoint's own chat template: a conversation in, the prompt text out (placeholders not yet
//! expanded). Called by the processor, and by `glmv verify` with raw messages.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde_json::{Map, Value, json};

use crate::config::{JsonFile, read_json, read_text};
use crate::conversation::Conversation;
use crate::error::Error;
use crate::template_functions;

/// What the caller may switch per prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RenderOptions {
    /// Whether to end with the assistant's header so that the model answers.
    pub add_generation_prompt: bool,
    /// Thinking on or off for templates that know the switch (GLM-4.5V); `None` leaves it
    /// undefined.
    pub enable_thinking: Option<bool>,
    /// Further variables for the template. They win over all others except the messages.
    pub extra: Map<String, Value>,
}

/// A checkpoint's chat template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    /// `bos_token`, `eos_token`, … of tokenizer_config.json.
    special_tokens: Map<String, Value>,
}

impl ChatTemplate {
    /// A template from its Jinja text, with the settings HF uses: `trim_blocks`, `lstrip_blocks`,
    /// no escaping, Python's string and dict methods.
    ///
    /// # Errors
    /// [`Error::Template`] when the text is not a valid template.
    pub fn new(source: impl Into<String>) -> Result<Self, Error> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|e| template_error(&e))?;
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        template_functions::install(&mut environment);
        let template = Self {
            environment,
            source: source.into(),
            special_tokens: Map::new(),
        };
        template
            .environment
            .template_from_named_str("chat_template", &template.source)
            .map_err(|e| template_error(&e))?;
        Ok(template)
    }

    /// The template of a checkpoint directory: `chat_template.jinja`, else the key `chat_template`
    /// of `chat_template.json`, else of `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::MissingFile`] when none of them has one, [`Error::Json`], [`Error::Io`] and
    /// [`Error::Config`] when one is unreadable, [`Error::Template`] when it is not a valid
    /// template.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let tokenizer_config = read_json(&dir.join("tokenizer_config.json"))?;
        let mut template = match read_text(&dir.join("chat_template.jinja"))? {
            Some(source) => Self::new(source)?,
            None => Self::new(Self::from_json_files(dir, tokenizer_config.as_ref())?)?,
        };
        if let Some(file) = tokenizer_config {
            template.special_tokens = special_tokens(&file.value);
        }
        Ok(template)
    }

    fn from_json_files(dir: &Path, tokenizer_config: Option<&JsonFile>) -> Result<String, Error> {
        let own_file = read_json(&dir.join("chat_template.json"))?;
        for file in own_file.iter().chain(tokenizer_config) {
            match file.value.get("chat_template") {
                None | Some(Value::Null) => {}
                Some(Value::String(source)) => return Ok(source.clone()),
                // Older files list named templates; the one called "default" is the chat template.
                Some(Value::Array(named)) => {
                    let default = named.iter().find(|t| t["name"] == "default");
                    return match default.and_then(|t| t["template"].as_str()) {
                        Some(source) => Ok(source.to_owned()),
                        None => Err(file.wrong("chat_template", "a template named \"default\"")),
                    };
                }
                Some(_) => return Err(file.wrong("chat_template", "a string")),
            }
        }
        Err(Error::MissingFile {
            dir: dir.to_owned(),
            wanted: "chat_template.jinja (nor the key `chat_template` in chat_template.json or tokenizer_config.json)"
                .to_owned(),
        })
    }

    /// The prompt of a conversation; every picture is `<|image|>` and every video `<|video|>` in
    /// it.
    ///
    /// # Errors
    /// [`Error::Template`] when the template refuses the conversation.
    pub fn render(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> Result<String, Error> {
        self.render_messages(
            &conversation.template_messages(),
            conversation.tools.as_ref(),
            options,
        )
    }

    /// The prompt of messages in the shape the template reads (HF's `apply_chat_template` without
    /// tokenization).
    ///
    /// # Errors
    /// [`Error::Template`] when the template refuses the messages.
    pub fn render_messages(
        &self,
        messages: &Value,
        tools: Option<&Value>,
        options: &RenderOptions,
    ) -> Result<String, Error> {
        let mut context = self.special_tokens.clone();
        context.insert("tools".to_owned(), tools.cloned().unwrap_or(Value::Null));
        context.insert("documents".to_owned(), Value::Null);
        context.insert(
            "add_generation_prompt".to_owned(),
            json!(options.add_generation_prompt),
        );
        if let Some(thinking) = options.enable_thinking {
            context.insert("enable_thinking".to_owned(), json!(thinking));
        }
        context.extend(options.extra.clone());
        context.insert("messages".to_owned(), messages.clone());
        self.environment
            .template_from_named_str("chat_template", &self.source)
            .and_then(|template| template.render(minijinja::Value::from(Serde(&context))))
            .map_err(|e| template_error(&e))
    }
}

/// The `*_token` entries of tokenizer_config.json as plain strings.
fn special_tokens(config: &Value) -> Map<String, Value> {
    let entries = config.as_object().into_iter().flatten();
    entries
        .filter(|(key, _)| key.ends_with("_token"))
        .filter_map(|(key, value)| {
            let text = value.as_str().or_else(|| value["content"].as_str())?;
            Some((key.clone(), Value::from(text)))
        })
        .collect()
}

fn template_error(error: &minijinja::Error) -> Error {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason.push_str(": ");
        reason.push_str(&inner.to_string());
        source = inner.source();
    }
    Error::Template { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &Value) -> Result<String, Error> {
        ChatTemplate::new(source)?.render_messages(messages, None, &RenderOptions::default())
    }

    #[test]
    fn behaves_like_jinja_in_python() {
        let messages =
            json!([{"role": "user", "content": "a|b\n", "args": {"z": 1, "a": [true, null, 2.0]}}]);
        let source = "{% for m in messages %}\n  {% if m.metadata %}x{% endif %}\n\
                      {{ m.args | tojson(ensure_ascii=False) }} {{ m.content.split('|')[-1].strip() }} {{ none }} {{ true }}\n\
                      {% endfor %}\n";
        let text = render(source, &messages).expect("valid template");
        assert_eq!(text, "{\"z\": 1, \"a\": [true, null, 2.0]} b None True\n");
    }

    #[test]
    fn errors_carry_the_reason() {
        let refused = render("{{ raise_exception('only one system turn') }}", &json!([]));
        assert!(
            refused
                .expect_err("raises")
                .to_string()
                .contains("only one system turn")
        );
        let broken = ChatTemplate::new("{% if %}")
            .expect_err("not a template")
            .to_string();
        assert!(broken.contains("chat_template:1"), "{broken}");
    }
}
