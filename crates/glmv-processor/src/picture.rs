//! Pictures: a file or bytes in, the vision tower's rows out. Called by the processor for every
//! `<|image|>` of a prompt.

use std::borrow::Cow;
use std::path::Path;

use image::RgbImage;

use crate::config::{VisualConfig, preprocessor};
use crate::conversation::ImageSource;
use crate::decode::{MAX_FILE_BYTES, MAX_SOURCE_PIXELS, check_pixels, decode_rgb, read_file};
use crate::error::Error;
use crate::patches::{PatchGeometry, VisualPatches, append_group};
use crate::resample::resample;
use crate::resize::{ResizeArgs, smart_resize};

/// Still pictures to patches (`preprocessor_config.json`).
#[derive(Debug, Clone)]
pub struct ImageProcessor {
    config: VisualConfig,
}

impl ImageProcessor {
    /// Reads the settings of a checkpoint directory; absent keys take HF's class defaults.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Json`], [`Error::Io`] or [`Error::Config`].
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let file = preprocessor(dir, "preprocessor_config.json", "image_processor")?;
        Ok(Self {
            config: VisualConfig::from_json(&file, 11_760_000)?,
        })
    }

    /// The patch sizes.
    #[must_use]
    pub fn geometry(&self) -> PatchGeometry {
        self.config.geometry
    }

    /// Decodes a source to RGB; pixels already in memory are borrowed.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::FileTooLarge`] and those of [`decode_rgb`].
    pub fn load<'a>(&self, source: &'a ImageSource) -> Result<Cow<'a, RgbImage>, Error> {
        match source {
            ImageSource::Rgb(picture) => Ok(Cow::Borrowed(picture)),
            ImageSource::Bytes(bytes) => decode_rgb(bytes, &origin(source)).map(Cow::Owned),
            ImageSource::Path(path) => {
                let bytes = read_file(path, MAX_FILE_BYTES)?;
                decode_rgb(&bytes, &origin(source)).map(Cow::Owned)
            }
        }
    }

    /// The 8-bit picture at the size the model sees (what the goldens call
    /// `resized_u8_torchvision`).
    ///
    /// # Errors
    /// Those of [`Self::load`], and [`Error::Resize`] for an impossible size.
    pub fn resized(&self, source: &ImageSource) -> Result<RgbImage, Error> {
        let picture = self.load(source)?;
        let geometry = self.config.geometry;
        let frames = u64::from(geometry.temporal_patch_size);
        let args = ResizeArgs {
            num_frames: frames,
            height: picture.height().into(),
            width: picture.width().into(),
            temporal_factor: frames,
            factor: geometry.factor().into(),
            min_pixels: self.config.min_pixels,
            max_pixels: self.config.max_pixels,
        };
        let (height, width) = target(&args, &origin(source))?;
        Ok(resample(&picture, height, width))
    }

    /// The rows and grid `[1, h, w]` of one picture.
    ///
    /// # Errors
    /// Those of [`Self::resized`].
    pub fn process(&self, source: &ImageSource) -> Result<VisualPatches, Error> {
        let picture = self.resized(source)?;
        let geometry = self.config.geometry;
        let mut pixel_values = Vec::new();
        append_group(
            &mut pixel_values,
            &[&picture],
            geometry,
            &self.config.normalizer,
        );
        let grid = [
            1,
            picture.height() / geometry.patch_size,
            picture.width() / geometry.patch_size,
        ];
        Ok(VisualPatches {
            pixel_values,
            row_len: geometry.row_len(),
            grid_thw: vec![grid],
        })
    }
}

/// [`smart_resize`] with the origin in the error and a bound on what is made.
pub(crate) fn target(args: &ResizeArgs, origin: &str) -> Result<(u32, u32), Error> {
    let (height, width) = smart_resize(args).map_err(|source| Error::Resize {
        origin: origin.to_owned(),
        source,
    })?;
    check_pixels(width, height, origin)?;
    match (u32::try_from(height), u32::try_from(width)) {
        (Ok(height), Ok(width)) => Ok((height, width)),
        _ => Err(Error::TooLarge {
            origin: origin.to_owned(),
            width,
            height,
            max_pixels: MAX_SOURCE_PIXELS,
        }),
    }
}

fn origin(source: &ImageSource) -> String {
    match source {
        ImageSource::Path(path) => path.display().to_string(),
        ImageSource::Bytes(bytes) => format!("given as {} bytes", bytes.len()),
        ImageSource::Rgb(p) => format!("given as {}x{} pixels", p.width(), p.height()),
    }
}
