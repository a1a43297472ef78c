//! The guesser: what a model that never looks could reach, the most frequent answer per template of
//! the training data.

use crate::Item;
use std::collections::BTreeMap;

/// Counts answers per template, and gives the most frequent one.
#[derive(Debug, Clone, Default)]
pub struct Guesser {
    counts: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Guesser {
    /// Counts the answer of a training item.
    pub fn see(&mut self, item: &Item) {
        self.count(&item.template, &item.answer);
    }

    /// Counts an answer to a template.
    pub fn count(&mut self, template: &str, answer: &str) {
        let answers = self.counts.entry(template.to_owned()).or_default();
        *answers.entry(answer.to_owned()).or_default() += 1;
    }

    /// The most frequent answer to a template, of equally frequent ones the first by name; `None`
    /// for a template it has not seen.
    pub fn guess(&self, template: &str) -> Option<&str> {
        let answers = self.counts.get(template)?;
        let most = answers.values().max()?;
        answers
            .iter()
            .find(|(_, n)| *n == most)
            .map(|(answer, _)| answer.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_answer_wins() {
        let mut guesser = Guesser::default();
        for answer in ["3", "2", "2", "1", "1"] {
            guesser.count("counting/shape/0", answer);
        }
        assert_eq!(guesser.guess("counting/shape/0"), Some("1"));
        guesser.count("counting/shape/0", "2");
        assert_eq!(guesser.guess("counting/shape/0"), Some("2"));
        assert_eq!(guesser.guess("counting/shape/1"), None);
    }
}
