//! A folder of pictures as a video: files in natural order of their names (`f2` before `f10`), the
//! rate from `metadata.json` (`{"fps": 5.0, "duration": 4.6}`, both optional) if there is one.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::{Clip, ClipInfo, Sink, usable};
use crate::config::read_json;
use crate::decode::{MAX_FILE_BYTES, decode_rgb, read_file};
use crate::error::Error;

const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "gif", "bmp"];

pub(super) struct Folder {
    files: Vec<PathBuf>,
    info: ClipInfo,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let files = frame_files(dir)?;
        let (mut fps, mut duration_secs) = (None, None);
        if let Some(file) = read_json(&dir.join("metadata.json"))? {
            let number = |key| match file.get(key) {
                None => Ok(None),
                Some(v) => v
                    .as_f64()
                    .map(Some)
                    .ok_or_else(|| file.wrong(key, "a number")),
            };
            let origin = file.path.display().to_string();
            fps = usable(number("fps")?, false, "fps", &origin)?;
            duration_secs = usable(number("duration")?, true, "duration", &origin)?;
        }
        let info = ClipInfo {
            num_frames: files.len(),
            fps,
            duration_secs,
        };
        Ok(Self { files, info })
    }
}

/// The pictures of a folder in natural order; an error when there is none.
pub(crate) fn frame_files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io {
        path: dir.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .map(str::to_ascii_lowercase);
        if extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let reason = format!(
            "the folder holds no frames (files ending in {})",
            EXTENSIONS.join(", ")
        );
        return Err(Error::video(dir.display().to_string(), reason));
    }
    files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files)
}

/// Compares names with runs of digits by their value; equal values by the names themselves.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let (run_a, run_b) = (run(rest_a), run(rest_b));
        let digits = |run: &str| run.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(run_a) && digits(run_b) {
            let (a, b) = (run_a.trim_start_matches('0'), run_b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            run_a.cmp(run_b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (rest_a, rest_b) = (&rest_a[run_a.len()..], &rest_b[run_b.len()..]);
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// The longest start of `text` that is all digits or has no digit.
fn run(text: &str) -> &str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    &text[..end]
}

impl Clip for Folder {
    fn info(&self) -> ClipInfo {
        self.info
    }

    fn visit(&mut self, indices: &[usize], sink: &mut Sink<'_>) -> Result<(), Error> {
        for path in indices.iter().filter_map(|&i| self.files.get(i)) {
            let bytes = read_file(path, MAX_FILE_BYTES)?;
            sink(decode_rgb(&bytes, &path.display().to_string())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_natural_order() {
        let mut names = ["f10.png", "f2.png", "f1.png", "f02.png", "a", "f2b.png"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["a", "f1.png", "f02.png", "f2.png", "f2b.png", "f10.png"]
        );
    }
}
