//! Tasks of known truth for each domain: right answers in several forms, and wrong answers.

mod maths;
mod screen;
mod words;

use super::rng::Rng;

/// A task with its answers.
#[derive(Debug, Clone)]
pub struct Task {
    /// The question.
    pub question: String,
    /// The truth.
    pub truth: String,
    /// Right answers, the truth itself among them.
    pub right: Vec<String>,
    /// Wrong answers.
    pub wrong: Vec<String>,
    /// The truth is a definite value, so that hedges and lists can be made of it.
    pub definite: bool,
}

impl Task {
    fn new(question: &str, truth: impl Into<String>, definite: bool) -> Self {
        let truth = truth.into();
        Self {
            question: question.into(),
            right: vec![truth.clone()],
            truth,
            wrong: Vec::new(),
            definite,
        }
    }

    fn right<T: Into<String>>(mut self, forms: impl IntoIterator<Item = T>) -> Self {
        self.right.extend(forms.into_iter().map(Into::into));
        self
    }

    fn wrong<T: Into<String>>(mut self, forms: impl IntoIterator<Item = T>) -> Self {
        self.wrong.extend(forms.into_iter().map(Into::into));
        self
    }
}

/// Domains that can be attacked.
pub const DOMAINS: [&str; 20] = [
    "math",
    "physics",
    "chemistry",
    "biology",
    "geography",
    "chart",
    "ocr",
    "ocr_ignore_case",
    "counting",
    "vqa",
    "general",
    "multi_image",
    "spatial",
    "video_qa",
    "grounding",
    "gui_grounding",
    "gui_mobile",
    "gui_computer",
    "gui_web",
    "temporal_grounding",
];

/// A task of a domain; `None` for a domain without a generator.
pub fn task(domain: &str, rng: &mut Rng) -> Option<Task> {
    Some(match domain {
        "math" => maths::any(rng),
        "physics" => maths::quantity(rng, &["N", "m/s", "kg", "J", "m/s^2", "V", "Pa", "W"]),
        "chemistry" if rng.one_in(3) => words::formula(rng),
        "chemistry" => maths::quantity(rng, &["mol", "g/mol", "mol/L", "kJ/mol", "g", "atm"]),
        "biology" => words::biology(rng),
        "geography" => words::geography(rng),
        "chart" => maths::chart(rng),
        "ocr" => words::ocr(rng, false),
        "ocr_ignore_case" => words::ocr(rng, true),
        "counting" => maths::count(rng),
        "vqa" | "general" | "video_qa" => words::visual(rng),
        "multi_image" if rng.one_in(2) => maths::number(rng),
        "multi_image" => words::visual(rng),
        "spatial" => words::spatial(rng),
        "grounding" => screen::boxes(rng),
        "gui_grounding" => screen::target(rng),
        "gui_mobile" => screen::mobile(rng),
        "gui_computer" => screen::computer(rng),
        "gui_web" => screen::web(rng),
        "temporal_grounding" => screen::interval(rng),
        _ => return None,
    })
}
