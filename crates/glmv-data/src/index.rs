//! Where the rows of a file are: their offsets, not their contents, so that a shuffled file needs 24
//! bytes of memory per row. JSON lines, or one JSON array of rows. Used by sources.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, RowError};

/// The bytes of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// First byte.
    pub(crate) offset: u64,
    /// Number of bytes.
    pub(crate) len: u64,
    /// Line of the first byte, from 1.
    pub(crate) line: u64,
}

/// A file and its rows.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    file: File,
    rows: Vec<Extent>,
    digest: String,
}

impl Index {
    /// Reads the file once: finds its rows, and its digest to tell whether it changes.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Empty`], [`Error::Index`].
    pub(crate) fn build(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(io)?);
        let mut scan = Scan::default();
        loop {
            let bytes = reader.fill_buf().map_err(io)?;
            if bytes.is_empty() {
                break;
            }
            scan.take(bytes);
            let read = bytes.len();
            reader.consume(read);
        }
        let digest = scan.finish().map_err(|reason| Error::Index {
            path: path.to_owned(),
            line: scan.line,
            reason,
        })?;
        if scan.rows.is_empty() {
            let path = path.to_owned();
            return Err(Error::Empty { path });
        }
        Ok(Self {
            path: path.to_owned(),
            file: reader.into_inner(),
            rows: scan.rows,
            digest,
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// SHA-256 of the whole file, in hexadecimal.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Line of a row, from 1; 0 beyond the last.
    pub(crate) fn line(&self, row: usize) -> u64 {
        self.rows.get(row).map_or(0, |extent| extent.line)
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`RowError::Read`] when the file was cut since, [`RowError::Json`].
    pub(crate) fn read(&mut self, row: usize) -> Result<Value, RowError> {
        let read = |source| RowError::Read { source };
        let Some(extent) = self.rows.get(row) else {
            return Err(read(std::io::ErrorKind::UnexpectedEof.into()));
        };
        self.file
            .seek(SeekFrom::Start(extent.offset))
            .map_err(read)?;
        let mut bytes = Vec::new();
        let mut part = (&self.file).take(extent.len);
        part.read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 != extent.len {
            return Err(read(std::io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_slice(&bytes).map_err(|source| RowError::Json { source })
    }
}

/// How the rows are set apart; the first byte that is no blank decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    Unknown,
    Lines,
    Array,
    /// Behind the array's `]`.
    Done,
}

/// The state of one pass over a file.
#[derive(Default)]
struct Scan {
    form: Form,
    rows: Vec<Extent>,
    hash: Sha256,
    offset: u64,
    line: u64,
    /// Start and line of the row that is open.
    open: Option<(u64, u64)>,
    /// Behind the last byte of the open row that is no blank.
    end: u64,
    depth: u64,
    in_string: bool,
    escaped: bool,
    trailing: bool,
}

impl Scan {
    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.line = self.line.max(1);
        for &byte in bytes {
            if self.form == Form::Unknown && !byte.is_ascii_whitespace() && !self.is_mark(byte) {
                self.form = if byte == b'[' {
                    Form::Array
                } else {
                    Form::Lines
                };
                if self.form == Form::Array {
                    self.offset += 1;
                    continue;
                }
            }
            match self.form {
                Form::Unknown => {}
                Form::Lines => self.in_lines(byte),
                Form::Array => self.in_array(byte),
                Form::Done => self.trailing |= !byte.is_ascii_whitespace(),
            }
            self.line += u64::from(byte == b'\n');
            self.offset += 1;
        }
    }

    /// A byte of the mark that some editors put before UTF-8.
    fn is_mark(&self, byte: u8) -> bool {
        let mark = [0xEF, 0xBB, 0xBF];
        usize::try_from(self.offset).is_ok_and(|at| mark.get(at) == Some(&byte))
    }

    fn in_lines(&mut self, byte: u8) {
        if byte == b'\n' {
            self.close();
        } else if !byte.is_ascii_whitespace() {
            self.extend();
        }
    }

    fn in_array(&mut self, byte: u8) {
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
            self.extend();
            return;
        }
        match byte {
            b',' if self.depth == 0 => self.close(),
            b']' if self.depth == 0 => {
                self.close();
                self.form = Form::Done;
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => {
                self.in_string = byte == b'"';
                self.depth += u64::from(matches!(byte, b'{' | b'['));
                self.depth = self
                    .depth
                    .saturating_sub(u64::from(matches!(byte, b'}' | b']')));
                self.extend();
            }
        }
    }

    fn extend(&mut self) {
        self.open.get_or_insert((self.offset, self.line));
        self.end = self.offset + 1;
    }

    fn close(&mut self) {
        if let Some((offset, line)) = self.open.take() {
            let len = self.end - offset;
            self.rows.push(Extent { offset, len, line });
        }
    }

    /// Ends the pass: the file's digest.
    fn finish(&mut self) -> Result<String, &'static str> {
        match self.form {
            Form::Array => return Err("the array of rows does not end"),
            Form::Done if self.trailing => return Err("text behind the array of rows"),
            Form::Unknown | Form::Lines | Form::Done => self.close(),
        }
        let digest = std::mem::take(&mut self.hash).finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a text, given in pieces of one byte: a state must survive every border.
    fn rows(text: &str) -> Result<Vec<(String, u64)>, &'static str> {
        let mut scan = Scan::default();
        text.as_bytes().chunks(1).for_each(|byte| scan.take(byte));
        scan.finish()?;
        let row = |e: &Extent| {
            let from = usize::try_from(e.offset).expect("small");
            let to = usize::try_from(e.offset + e.len).expect("small");
            (text[from..to].to_owned(), e.line)
        };
        Ok(scan.rows.iter().map(row).collect())
    }

    #[test]
    fn lines_and_arrays_have_the_same_rows() {
        let own = |list: &[(&str, u64)]| -> Vec<_> {
            list.iter().map(|(t, l)| ((*t).to_owned(), *l)).collect()
        };
        let lines = rows("\u{feff}{\"a\": 1}\r\n\n  {\"b\": 2}  \n{\"c\": 3}");
        let expected = [("{\"a\": 1}", 1), ("{\"b\": 2}", 3), ("{\"c\": 3}", 4)];
        assert_eq!(lines, Ok(own(&expected)));
        let array = rows("[\n {\"a\": \"]},\\\"\"},\n [1, 2] ]\n");
        assert_eq!(
            array,
            Ok(own(&[("{\"a\": \"]},\\\"\"}", 2), ("[1, 2]", 3)]))
        );
        assert!(rows("[{}, ").is_err());
        assert!(rows("[{}] {}").is_err());
        assert_eq!(rows(" \n"), Ok(Vec::new()));
    }
}
