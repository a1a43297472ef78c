//! `MANIFEST.json` of the golden folder: sizes and sha256 of every file, so that a golden file
//! cannot change unnoticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::Error;

/// Name of the manifest inside of the folder.
const FILE_NAME: &str = "MANIFEST.json";

/// The contents of `MANIFEST.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Versions of what wrote the goldens, as in `cases.json`.
    pub generator: Map<String, Value>,
    /// All files but the manifest, by path with `/`.
    pub files: BTreeMap<String, FileRecord>,
}

/// What the manifest says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Describes a folder as it is now.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read.
    pub fn of_dir(dir: &Path, generator: Map<String, Value>) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for name in file_names(dir)? {
            let path = dir.join(&name);
            let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
            let sha256 = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            files.insert(
                name,
                FileRecord {
                    bytes: bytes.len() as u64,
                    sha256,
                },
            );
        }
        Ok(Self { generator, files })
    }

    /// Reads `dir/MANIFEST.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        serde_json::from_str(&text).map_err(|e| Error::Json {
            path,
            reason: e.to_string(),
        })
    }

    /// Writes `dir/MANIFEST.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE_NAME);
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Json {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))
    }

    /// Checks a folder: every file as described, none missing, none left over.
    ///
    /// # Errors
    /// [`Error::Manifest`] names the first file that differs; [`Error::Io`].
    pub fn check(&self, dir: &Path) -> Result<(), Error> {
        let found = Self::of_dir(dir, self.generator.clone())?;
        let fail = |name: &str, reason: String| {
            Err(Error::Manifest {
                path: dir.join(name),
                reason,
            })
        };
        for (name, want) in &self.files {
            match found.files.get(name) {
                None => return fail(name, "is in MANIFEST.json and not in the folder".into()),
                Some(got) if got != want => {
                    let (size, sum) = (got.bytes, &got.sha256);
                    let reason = format!(
                        "{size} bytes with sha256 {sum}, MANIFEST.json says {} bytes with {}",
                        want.bytes, want.sha256
                    );
                    return fail(name, reason);
                }
                Some(_) => {}
            }
        }
        match found
            .files
            .keys()
            .find(|name| !self.files.contains_key(*name))
        {
            Some(name) => fail(name, "is in the folder and not in MANIFEST.json".into()),
            None => Ok(()),
        }
    }
}

/// All files below `dir` but the manifest, relative, with `/`.
fn file_names(dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut open: Vec<(PathBuf, String)> = vec![(dir.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let entry = entry.map_err(Error::io(&folder))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                open.push((entry.path(), name + "/"));
            } else if name != FILE_NAME {
                names.push(name);
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GoldenSet, workspace_golden_dir};

    #[test]
    fn golden_files_are_those_of_the_manifest() {
        let dir = workspace_golden_dir();
        let manifest = Manifest::read(&dir).expect("MANIFEST.json");
        let set = GoldenSet::open(&dir).expect("cases.json");
        assert_eq!(&manifest.generator, set.generator());
        assert!(manifest.files.len() > 100, "{} files", manifest.files.len());
        manifest
            .check(&dir)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn every_kind_of_change_is_found() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path();
        std::fs::create_dir(path.join("sub")).expect("writable");
        std::fs::write(path.join("sub/a"), b"abc").expect("writable");
        Manifest::of_dir(path, Map::new())
            .expect("readable")
            .write(path)
            .expect("writable");
        let manifest = Manifest::read(path).expect("written");
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // of "abc", FIPS 180-2
        assert_eq!(
            manifest.files["sub/a"],
            FileRecord {
                bytes: 3,
                sha256: sum.into()
            }
        );
        manifest.check(path).expect("unchanged");
        std::fs::write(path.join("sub/a"), b"abd").expect("writable");
        assert!(
            manifest
                .check(path)
                .expect_err("one byte")
                .to_string()
                .contains("sha256")
        );
        std::fs::write(path.join("sub/a"), b"abc").expect("writable");
        std::fs::write(path.join("b"), b"").expect("writable");
        assert!(
            manifest
                .check(path)
                .expect_err("surplus")
                .to_string()
                .contains("not in MANIFEST")
        );
        std::fs::remove_file(path.join("b")).expect("writable");
        std::fs::remove_file(path.join("sub/a")).expect("writable");
        assert!(
            manifest
                .check(path)
                .expect_err("missing")
                .to_string()
                .contains("not in the folder")
        );
    }
}
