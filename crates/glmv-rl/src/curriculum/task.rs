//! What a curriculum knows about a task before the first rollout, and the tiers of difficulty.

use serde::{Deserialize, Serialize};

use crate::Error;

/// How one checkpoint did on a task (`glmv rl grade`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grade {
    /// Name of the checkpoint.
    pub model: String,
    /// Completions it was given.
    pub samples: u64,
    /// Right ones among them.
    pub right: u64,
}

/// A task, as the curricula see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Unique name.
    pub id: String,
    /// Domain, as in the mixture.
    pub domain: String,
    /// Sub-domain; empty where there is none.
    #[serde(default)]
    pub sub_domain: String,
    /// Whether it is asked with thinking; `None` leaves it to the mixture.
    #[serde(default)]
    pub thinking: Option<bool>,
    /// Offline grades; may be empty.
    #[serde(default)]
    pub grades: Vec<Grade>,
    /// What a person says about its difficulty, if one did.
    #[serde(default)]
    pub label: Option<Tier>,
}

impl Task {
    /// A task without grades.
    pub fn new(id: impl Into<String>, domain: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            domain: domain.into(),
            sub_domain: String::new(),
            thinking: None,
            grades: Vec::new(),
            label: None,
        }
    }
}

/// Difficulty by the chance that one completion is right. The GLM-V paper has tiers from very easy
/// to very hard and gives neither their number nor their bounds; these are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// 0.9 and above.
    VeryEasy,
    /// 0.7 to 0.9.
    Easy,
    /// 0.3 to 0.7.
    Medium,
    /// 0.1 to 0.3.
    Hard,
    /// Below 0.1.
    VeryHard,
}

impl Tier {
    /// From the easiest to the hardest.
    pub const ALL: [Self; 5] = [
        Self::VeryEasy,
        Self::Easy,
        Self::Medium,
        Self::Hard,
        Self::VeryHard,
    ];

    /// The tier of a pass rate in 0..=1.
    pub fn of(pass_rate: f64) -> Self {
        match pass_rate {
            p if p >= 0.9 => Self::VeryEasy,
            p if p >= 0.7 => Self::Easy,
            p if p >= 0.3 => Self::Medium,
            p if p >= 0.1 => Self::Hard,
            _ => Self::VeryHard,
        }
    }

    /// The middle of its range, which is what a person's label counts as.
    pub fn middle(self) -> f64 {
        match self {
            Self::VeryEasy => 0.95,
            Self::Easy => 0.8,
            Self::Medium => 0.5,
            Self::Hard => 0.2,
            Self::VeryHard => 0.05,
        }
    }

    /// Its place in [`Tier::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::VeryEasy => 0,
            Self::Easy => 1,
            Self::Medium => 2,
            Self::Hard => 3,
            Self::VeryHard => 4,
        }
    }

    /// Its name, as in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::VeryEasy => "very-easy",
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
            Self::VeryHard => "very-hard",
        }
    }
}

/// Checks that ids are unique and grades possible.
///
/// # Errors
/// [`Error::Task`].
pub(super) fn check(tasks: &[Task]) -> Result<(), Error> {
    let mut ids = std::collections::BTreeSet::new();
    for task in tasks {
        let fail = |reason: String| Error::Task {
            id: task.id.clone(),
            reason,
        };
        if !ids.insert(&task.id) {
            return Err(fail("the id is there twice".into()));
        }
        let impossible = task
            .grades
            .iter()
            .find(|g| g.samples == 0 || g.right > g.samples);
        if let Some(grade) = impossible {
            let (right, samples) = (grade.right, grade.samples);
            return Err(fail(format!(
                "grade {right} of {samples} by {:?}",
                grade.model
            )));
        }
    }
    Ok(())
}
