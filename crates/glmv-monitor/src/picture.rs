//! Pictures of samples and rollouts, small enough for a report.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, RgbImage};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::error::io;

/// Longer sides are shrunk to this, in pixels.
const MAX_SIDE_PX: u32 = 384;

/// A picture as PNG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    png: Vec<u8>,
}

impl Picture {
    /// From the bytes of a PNG, JPEG, WebP, GIF or BMP file.
    ///
    /// # Errors
    /// If they are no such picture.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let decoded = image::load_from_memory(bytes).map_err(wrong)?;
        Self::encode(decoded)
    }

    /// From `width * height` pixels of red, green and blue, row by row.
    ///
    /// # Errors
    /// If the length is another.
    pub fn from_rgb8(width: u32, height: u32, pixels: &[u8]) -> Result<Self, Error> {
        let rgb = RgbImage::from_raw(width, height, pixels.to_vec()).ok_or_else(|| {
            let len = pixels.len();
            wrong(format!("{len} bytes for {width} x {height} pixels of 3"))
        })?;
        Self::encode(rgb.into())
    }

    fn encode(mut picture: DynamicImage) -> Result<Self, Error> {
        let longest = picture.width().max(picture.height());
        if longest == 0 {
            return Err(wrong("it has no pixels"));
        }
        if longest > MAX_SIDE_PX {
            picture = picture.resize(MAX_SIDE_PX, MAX_SIDE_PX, FilterType::Triangle);
        }
        let mut png = Cursor::new(Vec::new());
        let rgb = DynamicImage::from(picture.to_rgba8());
        rgb.write_to(&mut png, ImageFormat::Png).map_err(wrong)?;
        Ok(Self {
            png: png.into_inner(),
        })
    }

    /// Writes the picture into `dir` under its hash, unless it is there; returns the file's name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn store(&self, dir: &Path) -> Result<String, Error> {
        std::fs::create_dir_all(dir).map_err(io(dir, "make"))?;
        let hash = Sha256::digest(&self.png);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{hash}.png");
        let path = dir.join(&name);
        if !path.exists() {
            write_whole(&path, &self.png)?;
        }
        Ok(name)
    }
}

/// The `data:` address of a stored picture.
///
/// # Errors
/// If `name` is none that [`Picture::store`] gives, or the file cannot be read.
pub(crate) fn data_uri(dir: &Path, name: &str) -> Result<String, Error> {
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    if !name.strip_suffix(".png").is_some_and(is_hash) {
        let shown: String = name.chars().take(80).collect();
        return Err(wrong(format!("{shown:?} is not the name of a kept one")));
    }
    let path = dir.join(name);
    let png = std::fs::read(&path).map_err(io(&path, "read"))?;
    Ok(format!(
        "data:image/png;base64,{}",
        BASE64_STANDARD.encode(png)
    ))
}

/// Writes a file so that it is there whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    std::fs::write(&part, bytes).map_err(io(&part, "write"))?;
    std::fs::rename(&part, path).map_err(io(path, "write"))
}

fn wrong(reason: impl ToString) -> Error {
    Error::Picture {
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_kept_once_and_small() {
        let dir = tempfile::tempdir().expect("writable");
        let picture = Picture::from_rgb8(1000, 10, &[7; 30_000]).expect("a picture");
        let name = picture.store(dir.path()).expect("writable");
        assert_eq!(picture.store(dir.path()).expect("writable"), name);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
        let uri = data_uri(dir.path(), &name).expect("readable");
        assert!(uri.starts_with("data:image/png;base64,iVBOR"));
        let kept = image::load_from_memory(&picture.png).expect("a picture");
        assert_eq!((kept.width(), kept.height()), (384, 4));
    }

    #[test]
    fn other_bytes_and_other_files_are_refused() {
        assert!(Picture::from_rgb8(2, 2, &[0; 11]).is_err());
        assert!(Picture::from_rgb8(0, 0, &[]).is_err());
        assert!(Picture::from_file_bytes(b"<svg/>").is_err());
        let dir = Path::new(".");
        for name in ["../secret.png", "Cargo.toml", ".png", "a.png"] {
            assert!(
                matches!(data_uri(dir, name), Err(Error::Picture { .. })),
                "{name}"
            );
        }
    }
}
