//! Lines of a file, one at a time: a torn last one is left out, other damage is an error.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::io;
use crate::{Error, number};

/// One whole line.
pub(crate) struct Line<'a> {
    path: &'a Path,
    /// Line number from 1.
    pub(crate) number: usize,
    /// The step that every record has.
    pub(crate) step: u64,
    /// Bytes from the file's start to this line's end, its newline included.
    pub(crate) end: u64,
    /// Whether the newline is there; only the last line can be without.
    pub(crate) has_newline: bool,
    bytes: &'a [u8],
}

/// The member that is read without the rest.
#[derive(serde::Deserialize)]
struct Head {
    step: u64,
}

/// Calls `each` for every whole line; no lines where the file is missing.
///
/// # Errors
/// If the file cannot be read, a line before the last is no record, or `each` fails.
pub(crate) fn for_each_line(
    path: &Path,
    mut each: impl FnMut(&Line) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.map_err(io(path, "open"))?,
    };
    let mut reader = BufReader::new(file);
    let (mut bytes, mut end, mut number) = (Vec::new(), 0, 0);
    loop {
        bytes.clear();
        let read = reader
            .read_until(b'\n', &mut bytes)
            .map_err(io(path, "read"))?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        end += read as u64;
        let has_newline = bytes.ends_with(b"\n");
        let head: Head = match serde_json::from_slice(&bytes) {
            Ok(head) => head,
            Err(_) if !has_newline => return Ok(()), // torn
            Err(error) => {
                return Err(Error::Line {
                    path: path.to_owned(),
                    line: number,
                    reason: error.to_string(),
                });
            }
        };
        each(&Line {
            path,
            number,
            step: head.step,
            end,
            has_newline,
            bytes: &bytes,
        })?;
    }
}

impl<'a> Line<'a> {
    /// The line's members.
    ///
    /// # Errors
    /// If it is no object.
    pub(crate) fn members(&self) -> Result<Map<String, Value>, Error> {
        serde_json::from_slice(self.bytes).map_err(|error| Error::Line {
            path: self.path.to_owned(),
            line: self.number,
            reason: error.to_string(),
        })
    }

    /// A member, by name.
    pub(crate) fn field<'m>(&'m self, members: &'m Map<String, Value>, name: &'m str) -> Field<'m> {
        Field {
            path: self.path,
            line: self.number,
            name,
            value: members.get(name).unwrap_or(&Value::Null),
        }
    }
}

/// A member and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    path: &'a Path,
    line: usize,
    name: &'a str,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// Whether it is missing or null.
    pub(crate) fn is_missing(self) -> bool {
        self.value.is_null()
    }

    /// The number.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn number(self) -> Result<f64, Error> {
        number::from_json(self.value).ok_or_else(|| self.wrong("a number"))
    }

    /// The text.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn text(self) -> Result<&'a str, Error> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    /// The text, `None` where it is missing.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn optional_text(self) -> Result<Option<&'a str>, Error> {
        if self.is_missing() {
            return Ok(None);
        }
        self.text().map(Some)
    }

    /// The object.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn object(self) -> Result<&'a Map<String, Value>, Error> {
        self.value
            .as_object()
            .ok_or_else(|| self.wrong("an object"))
    }

    /// The list.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn list(self) -> Result<&'a [Value], Error> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        Ok(list)
    }

    /// A member of this object, or an element of this list.
    pub(crate) fn inner(self, name: &'a str, value: &'a Value) -> Self {
        Self {
            name,
            value,
            ..self
        }
    }

    /// A member of this object, null where it is missing.
    ///
    /// # Errors
    /// If this is no object.
    pub(crate) fn member(self, name: &'a str) -> Result<Self, Error> {
        let value = self.object()?.get(name).unwrap_or(&Value::Null);
        Ok(self.inner(name, value))
    }

    fn wrong(self, expected: &'static str) -> Error {
        let mut found: String = self.value.to_string().chars().take(60).collect();
        if self.is_missing() {
            found = "missing".to_owned();
        }
        Error::Field {
            path: self.path.to_owned(),
            line: self.line,
            field: self.name.to_owned(),
            found,
            expected,
        }
    }
}
