//! What a domain makes from a level and random numbers: everything of an item but its pixels.

use crate::draw::Scene;
use crate::rng::Rng;

/// What the question is about.
#[derive(Debug, Clone)]
pub(crate) enum Scenes {
    /// One or several pictures.
    Pictures(Vec<Scene>),
    /// The frames of a video, and how many of them last a second.
    Video {
        /// In order.
        frames: Vec<Scene>,
        /// Frames per second.
        fps: u32,
    },
}

/// An item before it is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// What is asked for, within the domain.
    pub task: &'static str,
    /// Which of the wordings.
    pub wording: usize,
    /// The question.
    pub question: String,
    /// Why the answer is what it is.
    pub trace: String,
    /// The answer.
    pub answer: String,
    /// A wrong answer of the same kind.
    pub distractor: String,
    /// The domain of `glmv-reward`.
    pub reward_domain: &'static str,
    /// The values that make the combination.
    pub factors: Vec<(&'static str, String)>,
    /// What is shown.
    pub scenes: Scenes,
    /// What is shown, in words.
    pub caption: String,
}

/// One of several wordings with its places (`{name}`) filled.
pub(crate) fn word(rng: &mut Rng, wordings: &[&str], places: &[(&str, &str)]) -> (usize, String) {
    let wording = rng.below(wordings.len());
    let mut text = wordings[wording].to_owned();
    for (name, value) in places {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    (wording, text)
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed<T: AsRef<str>>(things: &[T]) -> String {
    match things {
        [] => "nothing".into(),
        [one] => one.as_ref().into(),
        [head @ .., last] => {
            let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", head.join(", "), last.as_ref())
        }
    }
}

/// `a circle`, `an orange circle`.
pub(crate) fn a(thing: &str) -> String {
    match thing.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => format!("an {thing}"),
        false => format!("a {thing}"),
    }
}

/// The same text with a capital letter.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// A number other than `n`, not negative, near it.
pub(crate) fn near(rng: &mut Rng, n: i32) -> i32 {
    let step = rng.int(1, 3);
    if n >= step && rng.chance(1, 2) {
        n - step
    } else {
        n + step
    }
}
