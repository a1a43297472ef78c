//! The kinds of golden cases: their names, and who runs them.

use super::check::Check;
use super::context::Context;
use super::{generation, grpo, moe, pure, rotary, sequence, training, vision, visual_input};

/// What a case checks; one row of the table in `assets/golden/README.md` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Vision,
    RotaryText,
    RotaryVision,
    RopeIndex,
    Model,
    ModelBatch,
    ModelMixed,
    ModelBf16,
    Moe,
    Router,
    ImageProcessor,
    VideoProcessor,
    SmartResize,
    VideoSampling,
    ChatTemplate,
    SftGrads,
    SftAdamw,
    Grpo,
}

impl Kind {
    /// Every kind, in the order of the report.
    pub(super) const ALL: [Kind; 18] = [
        Kind::SmartResize,
        Kind::VideoSampling,
        Kind::ImageProcessor,
        Kind::VideoProcessor,
        Kind::ChatTemplate,
        Kind::RopeIndex,
        Kind::RotaryText,
        Kind::RotaryVision,
        Kind::Vision,
        Kind::Router,
        Kind::Moe,
        Kind::Model,
        Kind::ModelBatch,
        Kind::ModelMixed,
        Kind::ModelBf16,
        Kind::SftGrads,
        Kind::SftAdamw,
        Kind::Grpo,
    ];

    /// The name in `cases.json` and in `--only`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Vision => "vision",
            Kind::RotaryText => "rotary_text",
            Kind::RotaryVision => "rotary_vision",
            Kind::RopeIndex => "rope_index",
            Kind::Model => "model",
            Kind::ModelBatch => "model_batch",
            Kind::ModelMixed => "model_mixed",
            Kind::ModelBf16 => "model_bf16",
            Kind::Moe => "moe",
            Kind::Router => "router",
            Kind::ImageProcessor => "image_processor",
            Kind::VideoProcessor => "video_processor",
            Kind::SmartResize => "smart_resize",
            Kind::VideoSampling => "video_sampling",
            Kind::ChatTemplate => "chat_template",
            Kind::SftGrads => "sft_grads",
            Kind::SftAdamw => "sft_adamw",
            Kind::Grpo => "grpo",
        }
    }

    /// The kind of that name.
    pub(super) fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Runs a case of this kind and records every comparison in `check`.
    ///
    /// # Errors
    /// What keeps the case from being compared at all.
    pub(super) fn run(self, context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
        match self {
            Kind::Vision => vision::stages(context, check),
            Kind::RotaryText => rotary::text(context, check),
            Kind::RotaryVision => rotary::vision(context, check),
            Kind::RopeIndex => sequence::positions(context, check),
            Kind::Model | Kind::ModelBatch | Kind::ModelMixed | Kind::ModelBf16 => {
                generation::prompt(context, check)
            }
            Kind::Moe => moe::layers(context, check),
            Kind::Router => moe::variants(context, check),
            Kind::ImageProcessor => visual_input::pictures(context, check),
            Kind::VideoProcessor => visual_input::video(context, check),
            Kind::SmartResize => pure::sizes(check),
            Kind::VideoSampling => pure::sampling(check),
            Kind::ChatTemplate => pure::chat(context, check),
            Kind::SftGrads => training::grads(context, check),
            Kind::SftAdamw => training::adamw(context, check),
            Kind::Grpo => grpo::objectives(check),
        }
    }
}

/// The kinds of `--only`; empty means all.
///
/// # Errors
/// A message with all names for one that is not known.
pub(super) fn parse(names: &[String]) -> Result<Vec<Kind>, String> {
    let one = |name: &String| {
        Kind::from_name(name.trim()).ok_or_else(|| {
            let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            format!(
                "--only: unknown kind {name:?}; known kinds: {}",
                known.join(", ")
            )
        })
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(parse(&[]), Ok(Vec::new()));
        assert_eq!(
            parse(&["moe".into(), " grpo".into()]),
            Ok(vec![Kind::Moe, Kind::Grpo])
        );
        let error = parse(&["moes".into()]).expect_err("unknown");
        assert!(
            error.contains("\"moes\"") && error.contains("model_batch"),
            "{error}"
        );
    }
}
