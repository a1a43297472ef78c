//! A file of events.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{event, record};
use crate::{Error, clock, error::io};

/// Files of one second that are tried before giving up.
const MAX_FILES: u32 = 1000;

/// Writes events to a new file of a folder that TensorBoard is pointed at.
///
/// A resumed run writes another file into the same folder; that one tells TensorBoard to forget what
/// the older files have after the resumed step. Each event is written in one call; TensorBoard
/// itself leaves a torn last one out.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Makes the folder and a file in it, `events.out.tfevents.SECONDS.NUMBER.glmv`. `resumed` is
    /// the last step that the run has done before.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn create(dir: &Path, resumed: Option<u64>) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(io(dir, "make"))?;
        let now = clock::unix_secs();
        let (path, file) = new_file(dir, now)?;
        let mut writer = Self { path, file };
        writer.write(&event::version(now))?;
        if let Some(step) = resumed {
            writer.write(&event::start(now, step.saturating_add(1)))?;
        }
        Ok(writer)
    }

    /// Where the events go.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Numbers of a step; the format keeps 32 bits of each, NaN and infinities among them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<(), Error> {
        self.write(&event::scalars(clock::unix_secs(), step, values))
    }

    /// A text of a step, shown as it is: Markdown in it has no effect.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) -> Result<(), Error> {
        let shown: String = text.lines().map(|line| format!("    {line}\n")).collect();
        self.write(&event::text(clock::unix_secs(), step, tag, &shown))
    }

    fn write(&mut self, message: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(&record::frame(message));
        written.map_err(io(&self.path, "write"))
    }
}

/// A file that was not there before: files of one second are numbered.
fn new_file(dir: &Path, now: f64) -> Result<(PathBuf, File), Error> {
    let mut number = 0;
    loop {
        let path = dir.join(format!("events.out.tfevents.{now:010.0}.{number}.glmv"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error)
                if error.kind() == std::io::ErrorKind::AlreadyExists && number < MAX_FILES =>
            {
                number += 1;
            }
            Err(error) => return Err(io(&path, "make")(error)),
        }
    }
}
