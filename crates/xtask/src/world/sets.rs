//! The sets of a world: made once, and audited against what is asked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::World;
use super::stages::Set;
use crate::pictures::{line, text};

/// The set of what is asked after every stage.
const EXAM: &str = "exam";

impl World<'_> {
    /// The files of a set, if they are not there, audited against the items that will be asked.
    pub(super) fn make(&self, set: &Set) -> Result<()> {
        let exam = format!("{} --split test --layout rl", self.form.items);
        let exam = self.written(EXAM, &[&exam], &[])?;
        let exam = exam.join("test.rl.jsonl");
        self.written(set.name, set.make, &[exam]).map(|_| ())
    }

    /// The folder of a set; where `exam` has files, nothing in it may be theirs.
    fn written(&self, name: &str, make: &[&str], exam: &[PathBuf]) -> Result<PathBuf> {
        let data = self.out().join("data");
        let (folder, done) = (data.join(name), data.join(format!("{name}.done")));
        let made_by = make.join("\n");
        match fs::read_to_string(&done) {
            Ok(found) if found == made_by => return Ok(folder),
            Ok(_) => bail!(
                "{}: other rows than those of today; remove it and {} to have them made",
                text(&done),
                text(&folder)
            ),
            // Not there, or not whole.
            Err(_) => {}
        }
        for what in make {
            let args = line(&format!("gym make {what}"), &["--out", &text(&folder)]);
            self.commands.go(&args)?;
        }
        if !exam.is_empty() {
            self.commands.go(&audit(&folder, exam)?)?;
        }
        fs::write(&done, made_by).with_context(|| text(&done))?;
        Ok(folder)
    }
}

/// `gym audit` of the training files of a folder against its own held-out files and the exam.
fn audit(folder: &Path, exam: &[PathBuf]) -> Result<Vec<String>> {
    let mut args = line("gym audit", &[]);
    let entries = fs::read_dir(folder).with_context(|| text(folder))?;
    let entries = entries.map(|entry| entry.map(|e| e.path()));
    let mut files = entries.collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files.extend_from_slice(exam);
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "jsonl"))
    {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let side = if name.starts_with("train.") {
            "--train"
        } else {
            "--eval"
        };
        args.extend([side.to_owned(), text(file)]);
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::super::tests::world;
    use super::*;
    use crate::shell;

    #[test]
    fn a_set_is_made_once_and_refused_where_its_line_is_another() {
        let dir = shell::temp_dir("set-test").expect("writable");
        let root = shell::workspace_root();
        let world = world(&root, dir.clone());
        let data = dir.join("data");
        fs::create_dir_all(data.join("answers")).expect("writable");
        fs::write(data.join("answers.done"), "-n 5\n-n 6").expect("writable");
        // Nothing is run for what is there.
        let folder = world.written("answers", &["-n 5", "-n 6"], &[]);
        assert_eq!(folder.expect("made"), data.join("answers"));
        let error = world.written("answers", &["-n 7"], &[]).expect_err("other");
        assert!(error.to_string().contains("answers.done"), "{error}");
        fs::remove_dir_all(&dir).expect("there");
    }

    #[test]
    fn held_out_rows_are_on_the_side_of_what_is_asked() {
        let dir = shell::temp_dir("audit-test").expect("writable");
        for name in ["train.sft.jsonl", "validation.sft.jsonl", "reward.toml"] {
            fs::write(dir.join(name), "").expect("writable");
        }
        let args = audit(&dir, &["exam.jsonl".into()])
            .expect("readable")
            .join(" ");
        let file = |name: &str| text(&dir.join(name));
        let want = format!(
            "gym audit --train {} --eval {} --eval exam.jsonl",
            file("train.sft.jsonl"),
            file("validation.sft.jsonl")
        );
        assert_eq!(args, want);
        fs::remove_dir_all(&dir).expect("there");
    }
}
