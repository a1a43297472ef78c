//! The file of a judge cache: a header line, then one JSON line per judgement, appended.
//!
//! ```text
//! {"glmv_judge_cache":1}
//! {"key":"<sha-256 as hex>","judgement":{"verdict":"right","raw":"…","usage":{…}}}
//! ```
//!
//! A line is written in one call, so a crash leaves at most the last line torn; that one is removed
//! with a warning when the file is opened again. Damage anywhere else is an error. The file is
//! locked while it is open. Later lines of a key win.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{JudgeError, Judgement};

const HEADER: &str = "{\"glmv_judge_cache\":1}\n";

#[derive(Serialize, Deserialize)]
struct Entry<J> {
    key: String,
    judgement: J,
}

/// An open cache file, positioned at its end.
#[derive(Debug)]
pub(super) struct CacheFile {
    path: PathBuf,
    file: File,
    /// Length up to the last whole line, in bytes.
    len: u64,
    sync: bool,
    is_broken: bool,
}

impl CacheFile {
    /// Opens or makes the file, locks it and hands every judgement to `found`.
    ///
    /// # Errors
    /// If the file cannot be opened, is in use, is no judge cache, or is damaged before its end.
    pub(super) fn open(
        path: &Path,
        sync: bool,
        mut found: impl FnMut(String, Judgement),
    ) -> Result<Self, JudgeError> {
        let fail = |line: Option<usize>, reason: String| JudgeError::Cache {
            path: path.display().to_string(),
            line,
            reason,
        };
        let io = |error: std::io::Error| fail(None, error.to_string());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        file.try_lock().map_err(|error| {
            fail(
                None,
                format!("in use by another process, or cannot be locked: {error}"),
            )
        })?;
        let mut reader = BufReader::new(&file);
        let mut bytes = Vec::new();
        let header_len = HEADER.len() as u64;
        Read::by_ref(&mut reader)
            .take(header_len)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        let mut len = header_len;
        if bytes != HEADER.as_bytes() {
            if !HEADER.as_bytes().starts_with(&bytes) {
                return Err(fail(
                    Some(1),
                    format!("it does not start with {}", HEADER.trim()),
                ));
            }
            len = 0; // new, or torn while it was made
        }
        let mut line = 1;
        while len > 0 {
            line += 1;
            bytes.clear();
            let read = reader.read_until(b'\n', &mut bytes).map_err(io)?;
            if read == 0 {
                break;
            }
            let is_whole = bytes.ends_with(b"\n");
            match serde_json::from_slice::<Entry<Judgement>>(&bytes) {
                Ok(entry) if is_whole => found(entry.key, entry.judgement),
                Ok(_) | Err(_) if reader.fill_buf().map_err(io)?.is_empty() => {
                    let path = path.display();
                    tracing::warn!(%path, line, "judge cache: the last line is torn and removed");
                    break;
                }
                Ok(_) => return Err(fail(Some(line), "the line has no end".to_owned())),
                Err(error) => return Err(fail(Some(line), error.to_string())),
            }
            len += read as u64;
        }
        file.set_len(len).map_err(io)?;
        file.seek(SeekFrom::Start(len)).map_err(io)?;
        let mut cache = Self {
            path: path.to_owned(),
            file,
            len,
            sync,
            is_broken: false,
        };
        if len == 0 {
            cache.write(HEADER.as_bytes())?;
        }
        Ok(cache)
    }

    /// Appends one judgement.
    ///
    /// # Errors
    /// If it cannot be written; what was written of it is taken back.
    pub(super) fn append(&mut self, key: &str, judgement: &Judgement) -> Result<(), JudgeError> {
        let entry = Entry {
            key: key.to_owned(),
            judgement,
        };
        let mut line = serde_json::to_vec(&entry).map_err(|error| self.fail(&error.to_string()))?;
        line.push(b'\n');
        self.write(&line)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JudgeError> {
        if self.is_broken {
            return Err(self.fail("an earlier failed write could not be taken back"));
        }
        let mut written = self.file.write_all(bytes);
        if self.sync && written.is_ok() {
            written = self.file.sync_data();
        }
        if let Err(error) = written {
            let back = self.file.set_len(self.len);
            let back = back.and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            self.is_broken = back.is_err();
            return Err(self.fail(&error.to_string()));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn fail(&self, reason: &str) -> JudgeError {
        JudgeError::Cache {
            path: self.path.display().to_string(),
            line: None,
            reason: reason.to_owned(),
        }
    }
}
