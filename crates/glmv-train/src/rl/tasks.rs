//! The tasks of a run: prompts with their truth, how each is rewarded, and what the curriculum knows
//! of it.

use crate::Error;
use glmv_data::{Mixture, MixtureSpec, Record, RlTask, SourceSpec};
use glmv_reward::{RewardSystem, Scorer};
use glmv_rl::curriculum::{Grade, Task, Tier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Tasks in the order of their files.
#[derive(Debug, Default)]
pub struct Tasks {
    rows: Vec<RlTask>,
    known: Vec<Task>,
    scorers: Vec<Scorer>,
}

/// One line of a file of grades, as `glmv rl grade` writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradeLine {
    /// The task's id.
    pub task: String,
    #[serde(flatten)]
    pub grade: GradeFields,
}

/// How one checkpoint did on a task; as [`Grade`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradeFields {
    pub model: String,
    pub samples: u64,
    pub right: u64,
}

impl GradeLine {
    /// The line of a task's grade.
    pub fn new(task: &str, grade: &Grade) -> Self {
        GradeLine {
            task: task.to_owned(),
            grade: GradeFields {
                model: grade.model.clone(),
                samples: grade.samples,
                right: grade.right,
            },
        }
    }
}

impl Tasks {
    /// Reads files of tasks, each of which must have a scorer in `rewards`.
    ///
    /// # Errors
    /// [`Error::Data`] with file and line for a row that is none; [`Error::Task`] for an id that is
    /// there twice, a source without a scorer, a label that is no tier; [`Error::Recipe`] for a file
    /// without tasks and for grades that fit no task.
    pub fn read(
        files: &[PathBuf],
        rewards: &RewardSystem,
        grades: &[PathBuf],
    ) -> Result<Self, Error> {
        let mut tasks = Tasks::default();
        for file in files {
            let before = tasks.rows.len();
            tasks.read_file(file, rewards)?;
            if tasks.rows.len() == before {
                return Err(fail(file, "no task in it"));
            }
        }
        let mut index = BTreeMap::new();
        for (at, task) in tasks.known.iter().enumerate() {
            if let Some(first) = index.insert(task.id.clone(), at) {
                let earlier = &tasks.rows[first].place;
                let reason = format!("the id {:?} is that of {earlier} too", task.id);
                return Err(of_row(&tasks.rows[at], reason));
            }
        }
        for file in grades {
            tasks.grade(file, &index)?;
        }
        Ok(tasks)
    }

    fn read_file(&mut self, file: &Path, rewards: &RewardSystem) -> Result<(), Error> {
        for record in records(file)? {
            let row = match record? {
                Record::Task(row) => row,
                Record::Sample(sample) => {
                    let reason = "a sample to imitate, not a task to be rewarded on".into();
                    return Err(Error::Task {
                        place: sample.place.to_string(),
                        reason,
                    });
                }
            };
            let scorer = rewards.source(&row.data_source);
            let scorer = scorer.map_err(|e| of_row(&row, e.to_string()))?;
            // A truth that the domain cannot read shows here, not in the midst of the run.
            let probe = scorer.answer("", &row.reference);
            probe.map_err(|e| of_row(&row, e.to_string()))?;
            self.known.push(describe(&row)?);
            self.scorers.push(scorer.clone());
            self.rows.push(row);
        }
        Ok(())
    }

    fn grade(&mut self, file: &Path, index: &BTreeMap<String, usize>) -> Result<(), Error> {
        let text = std::fs::read_to_string(file).map_err(|e| fail(file, e))?;
        let lines = text.lines().enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let at = |reason: String| fail(file, format!("line {}: {reason}", number + 1));
            let line: GradeLine = serde_json::from_str(line).map_err(|e| at(e.to_string()))?;
            // Grades of a larger set may be used with a part of it.
            let Some(task) = index.get(&line.task) else {
                continue;
            };
            let GradeFields {
                model,
                samples,
                right,
            } = line.grade;
            if samples == 0 || right > samples {
                return Err(at(format!("{right} right of {samples}")));
            }
            self.known[*task].grades.push(Grade {
                model,
                samples,
                right,
            });
        }
        Ok(())
    }

    /// The first `most` tasks; all for 0.
    #[must_use]
    pub fn first(mut self, most: usize) -> Self {
        if most > 0 {
            self.rows.truncate(most);
            self.known.truncate(most);
            self.scorers.truncate(most);
        }
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if a task is of the data source `name`.
    pub fn has_source(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.data_source == name)
    }

    /// True without a task.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Task `index` as its row has it.
    pub fn row(&self, index: usize) -> &RlTask {
        &self.rows[index]
    }

    /// Task `index` as the curriculum sees it.
    pub fn known(&self, index: usize) -> &Task {
        &self.known[index]
    }

    /// All tasks as the curriculum sees them.
    pub fn all(&self) -> &[Task] {
        &self.known
    }

    /// How task `index` is rewarded.
    pub fn scorer(&self, index: usize) -> &Scorer {
        &self.scorers[index]
    }

    /// The task of this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.known.iter().position(|task| task.id == id)
    }
}

type Records = Box<dyn Iterator<Item = Result<Record, glmv_data::Error>>>;

/// The rows of a file, in order: parquet by its name, else JSON.
fn records(file: &Path) -> Result<Records, Error> {
    if file
        .extension()
        .is_some_and(|extension| extension == "parquet")
    {
        return parquet(file);
    }
    let spec = MixtureSpec {
        sources: vec![SourceSpec {
            epochs: Some(1),
            ..SourceSpec::new(file)
        }],
        seed: 0,
        shuffle: false,
    };
    Ok(Box::new(Mixture::open(spec)?))
}

#[cfg(feature = "parquet")]
fn parquet(file: &Path) -> Result<Records, Error> {
    Ok(Box::new(glmv_data::ParquetRows::open(file, None)?))
}

#[cfg(not(feature = "parquet"))]
fn parquet(file: &Path) -> Result<Records, Error> {
    let reason = "this program was built without the feature `parquet`: build it with it, or \
                  convert the file to JSON lines";
    Err(fail(file, reason))
}

/// What a row says of its task beside the prompt: `ability` is the domain, the source the
/// sub-domain; `extra_info` may have `thinking` (true or false) and `tier` (a person's label).
fn describe(row: &RlTask) -> Result<Task, Error> {
    let place = row.place.to_string();
    let domain = row
        .domain
        .clone()
        .unwrap_or_else(|| row.data_source.clone());
    let sub_domain = match row.domain {
        Some(_) => row.data_source.clone(),
        None => String::new(),
    };
    let thinking = match row.extra.get("thinking") {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::Bool(thinking)) => Some(*thinking),
        Some(other) => {
            let reason = format!("extra_info.thinking is {other}, expected true or false");
            return Err(of_row(row, reason));
        }
    };
    let label = match row.extra.get("tier") {
        None | Some(serde_json::Value::Null) => None,
        Some(tier) => Some(serde_json::from_value::<Tier>(tier.clone()).map_err(|_| {
            let names = Tier::ALL.map(Tier::name).join(", ");
            of_row(
                row,
                format!("extra_info.tier is {tier}, expected one of {names}"),
            )
        })?),
    };
    Ok(Task {
        sub_domain,
        thinking,
        label,
        ..Task::new(row.id.clone().unwrap_or(place), domain)
    })
}

fn of_row(row: &RlTask, reason: String) -> Error {
    Error::Task {
        place: row.place.to_string(),
        reason,
    }
}

fn fail(path: &Path, reason: impl ToString) -> Error {
    Error::Recipe {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REWARDS: &str = "[sources.a]\ndomain = \"math\"\n";

    fn row(id: &str, source: &str, extra: &str) -> String {
        format!(
            "{{\"data_source\":\"{source}\",\"ability\":\"sums\",\"prompt\":[{{\"role\":\"user\",\
             \"content\":\"1+1?\"}}],\"reward_model\":{{\"style\":\"rule\",\"ground_truth\":\"2\"}},\
             \"extra_info\":{{\"id\":\"{id}\"{extra}}}}}\n"
        )
    }

    fn read(rows: &str, grades: &str) -> Result<Tasks, Error> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let rewards = RewardSystem::from_toml(REWARDS, "reward.toml").unwrap();
        let (rows, grades) = (file("t.jsonl", rows), file("g.jsonl", grades));
        Tasks::read(&[rows], &rewards, &[grades])
    }

    #[test]
    fn rows_become_tasks_with_grades() {
        let rows = [
            row("x", "a", ",\"thinking\":false,\"tier\":\"hard\""),
            row("y", "a", ""),
        ];
        let grades = "{\"task\":\"y\",\"model\":\"m\",\"samples\":4,\"right\":1}\n\
                      {\"task\":\"other\",\"model\":\"m\",\"samples\":4,\"right\":1}\n";
        let tasks = read(&rows.concat(), grades).unwrap();
        assert_eq!((tasks.len(), tasks.find("y")), (2, Some(1)));
        let [x, y] = tasks.all() else {
            panic!("two tasks")
        };
        assert_eq!((x.thinking, x.label), (Some(false), Some(Tier::Hard)));
        assert_eq!((x.domain.as_str(), x.sub_domain.as_str()), ("sums", "a"));
        assert_eq!((y.grades[0].samples, y.grades[0].right), (4, 1));
        assert_eq!(tasks.first(1).len(), 1);
    }

    #[cfg(not(feature = "parquet"))]
    #[test]
    fn parquet_is_refused_where_it_was_left_out() {
        let rewards = RewardSystem::from_toml(REWARDS, "reward.toml").unwrap();
        let found = Tasks::read(&["tasks.parquet".into()], &rewards, &[]);
        let error = found.unwrap_err().to_string();
        assert!(
            error.contains("tasks.parquet") && error.contains("feature"),
            "{error}"
        );
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_line() {
        let good = row("x", "a", "");
        let wrong = "{\"task\":\"x\",\"model\":\"m\",\"samples\":1,\"right\":2}";
        for (rows, grades, named) in [
            (format!("{good}{good}"), "", ["jsonl:2", "jsonl:1 too"]),
            (row("x", "b", ""), "", ["jsonl:1", "\"b\""]),
            (
                row("x", "a", ",\"thinking\":1"),
                "",
                ["jsonl:1", "thinking"],
            ),
            (row("x", "a", ",\"tier\":\"odd\""), "", ["jsonl:1", "odd"]),
            (String::new(), "", ["t.jsonl", ""]),
            (good.clone(), wrong, ["g.jsonl", "line 1"]),
            (good.clone(), "{\"task\":\"x\"}", ["g.jsonl", "line 1"]),
        ] {
            let error = read(&rows, grades).expect_err(named[0]).to_string();
            assert!(
                named.iter().all(|n| error.contains(n)),
                "{named:?}: {error}"
            );
        }
    }
}
