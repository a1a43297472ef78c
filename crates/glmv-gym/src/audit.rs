//! The audit of written files: no evaluation item and no held-out combination may occur in training
//! data. Nothing a row says of itself is believed: combinations are dealt again, and every item is made
//! again from its seed, written again, and compared with the row and its pixels.

use crate::write::{Meta, content_digest, rewritten};
use crate::{Domain, Error, Item, Media, Size, Split, generate_of};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A training row whose combination belongs to another split.
    HeldOut,
    /// A training row that is an evaluation item: the same id.
    SameId,
    /// A training row that shows and asks what an evaluation item does.
    SameContent,
    /// A training row with the combination of an evaluation item.
    SameCombination,
    /// An evaluation row whose seed or combination belongs to training.
    NotHeldOut,
    /// A row that is not what its seed makes.
    Altered,
}

/// A row with a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The item.
    pub id: String,
}

/// What the audit found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Audit {
    /// Training rows read.
    pub train_rows: usize,
    /// Evaluation rows read.
    pub eval_rows: usize,
    /// Rows with faults, in the order of the files; a row may have several.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// True where there were rows of both kinds, and nothing is wrong with them.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.train_rows > 0 && self.eval_rows > 0
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let Finding {
                fault,
                file,
                line,
                id,
            } = finding;
            writeln!(f, "{}, line {line}: {id}: {fault:?}", file.display())?;
        }
        writeln!(
            f,
            "{} training rows, {} evaluation rows, {} findings",
            self.train_rows,
            self.eval_rows,
            self.findings.len()
        )
    }
}

/// A row as it was read.
struct Row {
    meta: Meta,
    line: usize,
    digest: [u8; 32],
    genuine: bool,
}

/// Reads the training and the evaluation files of [`make`](crate::write::make) and compares them.
///
/// # Errors
/// If a file or a picture cannot be read, or a row is not one of ours.
pub fn audit(train: &[PathBuf], eval: &[PathBuf]) -> Result<Audit, Error> {
    let mut audit = Audit::default();
    let mut ids = BTreeMap::new();
    let mut digests = BTreeMap::new();
    let mut combinations = BTreeMap::new();
    for file in eval {
        for row in rows(file)? {
            let row = row?;
            audit.eval_rows += 1;
            let apart = Split::of_combination(&row.meta.combination()) != Split::Train
                && Split::of_seed(row.meta.seed)? != Split::Train;
            audit.note(!apart, Fault::NotHeldOut, file, &row);
            audit.note(!row.genuine, Fault::Altered, file, &row);
            combinations.insert(row.meta.combination(), ());
            ids.insert(row.meta.id, ());
            digests.insert(row.digest, ());
        }
    }
    for file in train {
        for row in rows(file)? {
            let row = row?;
            audit.train_rows += 1;
            let combination = row.meta.combination();
            let held_out = Split::of_combination(&combination) != Split::Train;
            audit.note(held_out, Fault::HeldOut, file, &row);
            audit.note(ids.contains_key(&row.meta.id), Fault::SameId, file, &row);
            audit.note(
                digests.contains_key(&row.digest),
                Fault::SameContent,
                file,
                &row,
            );
            audit.note(
                combinations.contains_key(&combination),
                Fault::SameCombination,
                file,
                &row,
            );
            audit.note(!row.genuine, Fault::Altered, file, &row);
        }
    }
    Ok(audit)
}

impl Audit {
    fn note(&mut self, wrong: bool, fault: Fault, file: &Path, row: &Row) {
        if wrong {
            self.findings.push(Finding {
                fault,
                file: file.to_owned(),
                line: row.line,
                id: row.meta.id.clone(),
            });
        }
    }
}

/// The rows of a file, one after the other.
fn rows(file: &Path) -> Result<impl Iterator<Item = Result<Row, Error>>, Error> {
    let opened = File::open(file).map_err(|e| Error::file(file, e))?;
    let lines = BufReader::new(opened).lines().enumerate();
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    Ok(lines.map(move |(i, line)| {
        let line = line.map_err(|e| Error::file(file, e))?;
        read(&line, i + 1, file, &folder)
    }))
}

fn read(text: &str, line: usize, file: &Path, folder: &Path) -> Result<Row, Error> {
    let wrong = |key: &str, reason: String| Error::Row {
        path: file.display().to_string(),
        line,
        key: key.into(),
        reason,
    };
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|e| wrong("row", e.to_string()))?;
    let found = json
        .get("gym")
        .ok_or_else(|| wrong("gym", "it is missing".into()))?;
    let meta: Meta =
        serde_json::from_value(found.clone()).map_err(|e| wrong("gym", e.to_string()))?;
    let pictures = meta.pictures(folder)?;
    let side = pictures.first().map_or(0, image::RgbImage::width);
    // What the row says of its task is enough: with any others it would have been the same item.
    let task = meta.template.split('/').nth(1).unwrap_or("");
    let made = generate_of(
        &[task],
        Domain::find(&meta.domain)?,
        meta.level,
        meta.seed,
        Size { side },
    );
    let digest = content_digest(&meta.question, &pictures);
    let is_made = |made: &Item| {
        let drawn = match &made.media {
            Media::Images(pictures) => pictures,
            Media::Video { frames, .. } => frames,
        };
        digest == content_digest(&made.question, drawn)
            && rewritten(made, &meta.media, &json).as_ref() == Some(&json)
    };
    let genuine = match made {
        Err(Error::Task { .. }) => false,
        made => is_made(&made?),
    };
    Ok(Row {
        meta,
        line,
        digest,
        genuine,
    })
}
