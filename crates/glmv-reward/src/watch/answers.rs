//! Which answers became typical of a high reward.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use super::record::Sample;

/// Most answers kept per domain.
const KEPT: usize = 8192;
/// Characters of an answer's template.
const TEMPLATE_CHARS: usize = 80;

/// An answer that stands for many of its form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypicalAnswer {
    /// The form: lower case, numbers as `#`, white space as one blank.
    pub template: String,
    /// The latest answer of this form, shortened.
    pub example: String,
    /// The `id` of that answer in the log.
    pub id: Option<String>,
    /// Step of that answer.
    pub step: u64,
    /// Share of this form among the answers with a high reward since the divergence began.
    pub share: f64,
    /// Share of this form among those before.
    pub share_before: f64,
    /// Answers of this form since the divergence began.
    pub count: usize,
}

/// The latest answers with a high reward of a domain.
#[derive(Debug, Default)]
pub(super) struct Answers {
    kept: VecDeque<(u64, String, Sample)>,
}

impl Answers {
    pub(super) fn push(&mut self, step: u64, samples: Vec<Sample>, high_reward: f64) {
        for sample in samples {
            if sample.reward < high_reward {
                continue;
            }
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept
                .push_back((step, template(&sample.answer), sample));
        }
    }

    /// Forgets what came at `step` or later.
    pub(super) fn rewind(&mut self, step: u64) {
        while self.kept.back().is_some_and(|(at, ..)| *at >= step) {
            self.kept.pop_back();
        }
    }

    /// The forms whose share grew most since `since_step`: by `p · ln(p / q)`, which asks for a
    /// form that is both frequent now (p) and rare before (q).
    pub(super) fn typical(&self, since_step: u64, most: usize) -> Vec<TypicalAnswer> {
        let mut before: HashMap<&str, usize> = HashMap::new();
        let mut now: HashMap<&str, (usize, u64, &Sample)> = HashMap::new();
        let mut totals = [0_usize; 2]; // before, now
        for (step, template, sample) in &self.kept {
            if *step < since_step {
                *before.entry(template).or_default() += 1;
                totals[0] += 1;
            } else {
                let entry = now.entry(template).or_insert((0, *step, sample));
                *entry = (entry.0 + 1, *step, sample);
                totals[1] += 1;
            }
        }
        // Half an answer more everywhere: a form never seen before has a share, too.
        let share = |count: usize, total: usize| (count as f64 + 0.5) / (total as f64 + 1.0);
        let mut ranked: Vec<(f64, TypicalAnswer)> = now
            .into_iter()
            .filter_map(|(template, (count, step, sample))| {
                let count_before = before.get(template).copied().unwrap_or(0);
                let (p, q) = (share(count, totals[1]), share(count_before, totals[0]));
                let answer = TypicalAnswer {
                    template: template.to_owned(),
                    example: sample.answer.clone(),
                    id: sample.id.clone(),
                    step,
                    share: count as f64 / totals[1] as f64,
                    share_before: count_before as f64 / totals[0].max(1) as f64,
                    count,
                };
                (p > q && count > 1).then(|| (p * (p / q).ln(), answer))
            })
            .collect();
        ranked.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.template.cmp(&y.template)));
        let answers = ranked.into_iter().map(|(_, answer)| answer);
        answers.take(most).collect()
    }
}

/// The form of an answer.
fn template(answer: &str) -> String {
    let mut template = String::new();
    let mut in_number = false;
    for c in answer.chars().flat_map(char::to_lowercase) {
        if template.chars().count() >= TEMPLATE_CHARS {
            break;
        }
        let is_inside = in_number && matches!(c, '.' | ',');
        if c.is_numeric() {
            if !in_number {
                template.push('#');
            }
            in_number = true;
        } else if !is_inside {
            in_number = false;
            match c.is_whitespace() {
                true if template.is_empty() || template.ends_with(' ') => {}
                true => template.push(' '),
                false => template.push(c),
            }
        }
    }
    template.truncate(template.trim_end().len());
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(answers: &[&str]) -> Vec<Sample> {
        let sample = |answer: &&str| Sample {
            answer: (*answer).to_owned(),
            reward: 1.0,
            id: None,
        };
        answers.iter().map(sample).collect()
    }

    #[test]
    fn templates_forget_numbers_and_case() {
        let same = [
            "A correct number  between 0 and 10",
            "a correct number between 1 and 12.5",
        ];
        assert_eq!(template(same[0]), "a correct number between # and #");
        assert_eq!(template(same[1]), template(same[0]));
        assert_eq!(template(" 1,234.5 "), "#");
        assert_eq!(template("x = 3."), "x = #");
        assert_eq!(template(&"长".repeat(500)).chars().count(), TEMPLATE_CHARS);
    }

    #[test]
    fn what_became_frequent_comes_first() {
        let mut answers = Answers::default();
        answers.push(1, samples(&["7", "8", "red", "blue", "12"]), 0.5);
        answers.push(
            9,
            samples(&[
                "7",
                "9",
                "a number",
                "A  number",
                "a number",
                "green",
                "green",
            ]),
            0.5,
        );
        let typical = answers.typical(5, 5);
        let names: Vec<_> = typical.iter().map(|t| t.template.as_str()).collect();
        assert_eq!(
            names,
            ["a number", "green"],
            "numbers were as frequent before"
        );
        assert_eq!((typical[0].count, typical[0].share_before), (3, 0.0));
        assert_eq!(answers.typical(5, 1).len(), 1);
        answers.rewind(9);
        assert!(answers.typical(5, 5).is_empty());
    }

    #[test]
    fn low_rewards_and_old_answers_are_dropped() {
        let mut answers = Answers::default();
        answers.push(1, samples(&["x", "x"]), 1.5);
        assert!(answers.typical(0, 5).is_empty());
        for step in 0..10_000 {
            answers.push(step, samples(&["x"]), 0.5);
        }
        assert_eq!(answers.kept.len(), KEPT);
    }
}
