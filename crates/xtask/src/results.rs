//! What has been run already: one JSON object per line, found again by a name.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

/// A file of rows.
pub(crate) struct Results(pub(crate) PathBuf);

impl Results {
    /// Every row; none if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is no JSON.
    pub(crate) fn rows(&self) -> Result<Vec<Value>> {
        if !self.0.exists() {
            return Ok(Vec::new());
        }
        let known = fs::read_to_string(&self.0).with_context(|| self.name())?;
        let rows = known.lines().enumerate().map(|(i, row)| {
            serde_json::from_str(row).with_context(|| format!("{}, line {}", self.name(), i + 1))
        });
        rows.collect()
    }

    /// The first row whose field `key` is `name`.
    ///
    /// # Errors
    /// As [`Results::rows`].
    pub(crate) fn find(&self, key: &str, name: &str) -> Result<Option<Value>> {
        let mut rows = self.rows()?.into_iter();
        Ok(rows.find(|row| row[key] == name))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn add(&self, row: &Value) -> Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(&self.0);
        let mut file = file.with_context(|| self.name())?;
        writeln!(file, "{row}").with_context(|| self.name())
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;
    use serde_json::json;

    #[test]
    fn rows_are_found_again_and_a_broken_line_is_named() {
        let dir = shell::temp_dir("results-test").expect("writable");
        let results = Results(dir.join("results.jsonl"));
        assert!(results.find("run", "a").expect("no file").is_none());
        for row in [json!({"run": "a", "n": 1}), json!({"run": "b", "n": 2})] {
            results.add(&row).expect("writable");
        }
        assert_eq!(
            results.find("run", "b").expect("good").expect("there")["n"],
            2
        );
        assert!(results.find("run", "c").expect("good").is_none());
        fs::write(dir.join("results.jsonl"), "{}\nbroken\n").expect("writable");
        let error = format!("{:#}", results.find("run", "a").expect_err("not JSON"));
        assert!(error.contains("results.jsonl, line 2"), "{error}");
        fs::remove_dir_all(&dir).expect("there");
    }
}
