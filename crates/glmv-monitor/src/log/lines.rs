//! The writing side: append, and cut back to a step.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::for_each_line;
use crate::{Error, clock, error::io, number};

/// How steps may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// One record per step.
    Rising,
    /// Several records of a step.
    NotFalling,
}

impl Order {
    fn allows(self, last: u64, step: u64) -> bool {
        match self {
            Self::Rising => step > last,
            Self::NotFalling => step >= last,
        }
    }
}

/// An open file of records, positioned at its end.
#[derive(Debug)]
pub(crate) struct JsonLines {
    path: PathBuf,
    file: File,
    order: Order,
    last_step: Option<u64>,
    /// Length up to the last whole line, in bytes.
    len: u64,
    is_broken: bool,
}

impl JsonLines {
    /// Makes a new file.
    ///
    /// # Errors
    /// If there is one with records, or it cannot be made.
    pub(crate) fn create(path: &Path, order: Order) -> Result<Self, Error> {
        if std::fs::metadata(path).is_ok_and(|found| found.len() > 0) {
            return Err(Error::Exists {
                path: path.to_owned(),
            });
        }
        Self::resume(path, order, 0)
    }

    /// Opens or makes the file and forgets every record after `step`.
    ///
    /// All of them are at its end, so the file is cut in one call: killed at any moment, it has
    /// either all records or those up to `step`. A torn last line goes with them.
    ///
    /// # Errors
    /// If the file cannot be read or cut, is damaged before its last line, or out of order.
    pub(crate) fn resume(path: &Path, order: Order, step: u64) -> Result<Self, Error> {
        let mut kept = (0, true, None); // bytes, whether they end a line, last step
        let mut last = None;
        for_each_line(path, |line| {
            if let Some(last) = last.filter(|last| !order.allows(*last, line.step)) {
                return Err(Error::Line {
                    path: path.to_owned(),
                    line: line.number,
                    reason: format!("step {} cannot follow step {last}", line.step),
                });
            }
            last = Some(line.step);
            if line.step <= step {
                kept = (line.end, line.has_newline, last);
            }
            Ok(())
        })?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(io(path, "open"))?;
        let (len, is_ended, last_step) = kept;
        file.set_len(len).map_err(io(path, "cut"))?;
        file.seek(SeekFrom::Start(len)).map_err(io(path, "cut"))?;
        let mut lines = Self {
            path: path.to_owned(),
            file,
            order,
            last_step,
            len,
            is_broken: false,
        };
        if !is_ended {
            lines.write(b"\n")?;
        }
        Ok(lines)
    }

    /// Appends a record: `step`, the time in seconds since 1970, then `members`.
    ///
    /// # Errors
    /// If the step is out of order, or the line cannot be written; what was written of it is taken
    /// back.
    pub(crate) fn append(&mut self, step: u64, members: Map<String, Value>) -> Result<(), Error> {
        if let Some(last) = self
            .last_step
            .filter(|last| !self.order.allows(*last, step))
        {
            return Err(Error::Order {
                path: self.path.clone(),
                step,
                last,
            });
        }
        let mut line = Map::new();
        line.insert("step".to_owned(), step.into());
        line.insert("time".to_owned(), number::to_json(clock::unix_secs()));
        line.extend(members);
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        self.write(text.as_bytes())?;
        self.last_step = Some(step);
        Ok(())
    }

    /// Waits until the records are on the disk: they survive the machine's end too.
    ///
    /// # Errors
    /// If the system cannot.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(io(&self.path, "sync"))
    }

    /// The last record's step.
    pub(crate) fn last_step(&self) -> Option<u64> {
        self.last_step
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_broken {
            let source = std::io::Error::other("an earlier failed write could not be taken back");
            return Err(io(&self.path, "write")(source));
        }
        if let Err(source) = self.file.write_all(bytes) {
            let back = self.file.set_len(self.len);
            let back = back.and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            self.is_broken = back.is_err();
            return Err(io(&self.path, "write")(source));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
}
