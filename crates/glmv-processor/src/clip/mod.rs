//! Videos as a number of frames that can be visited by index, whatever file they are in. Opened by
//! the video processor, which decides which frames it wants; only one decoded frame is held at a
//! time.

mod animation;
mod ffmpeg;
mod folder;
mod frames;
mod process;
mod tensor_file;
mod y4m;

use std::io::Read;
use std::path::Path;

use image::RgbImage;

pub use ffmpeg::ExternalDecoder;
pub(crate) use folder::frame_files;

use crate::conversation::VideoSource;
use crate::error::Error;

/// Most frames a file may hold.
const MAX_FRAMES: usize = 1 << 24;

/// What is known of a video before its frames are decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClipInfo {
    pub num_frames: usize,
    /// Frames per second, positive and finite.
    pub fps: Option<f64>,
    /// Length in seconds, not negative and finite.
    pub duration_secs: Option<f64>,
}

/// Takes the visited frames in order.
pub(crate) type Sink<'a> = dyn FnMut(RgbImage) -> Result<(), Error> + 'a;

/// A video.
pub(crate) trait Clip {
    /// Number of frames, rate and length.
    fn info(&self) -> ClipInfo;

    /// Hands the frames at `indices` (ascending, no repeats, all below `num_frames`) to `sink`, in
    /// order.
    fn visit(&mut self, indices: &[usize], sink: &mut Sink<'_>) -> Result<(), Error>;
}

/// Opens a source. The kind of a file is told by its first bytes (`.safetensors` by its name); what
/// is none of the known kinds goes to `decoder`.
pub(crate) fn open<'a>(
    source: &'a VideoSource,
    decoder: &ExternalDecoder,
) -> Result<Box<dyn Clip + 'a>, Error> {
    match source {
        VideoSource::Frames {
            frames,
            fps,
            duration_secs,
        } => Ok(Box::new(frames::Frames::new(frames, *fps, *duration_secs)?)),
        VideoSource::Path(path) => open_path(path, decoder),
    }
}

fn open_path(path: &Path, decoder: &ExternalDecoder) -> Result<Box<dyn Clip>, Error> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        return Ok(Box::new(folder::Folder::open(path)?));
    }
    if path.extension().is_some_and(|e| e == "safetensors") {
        return Ok(Box::new(tensor_file::TensorFile::open(path)?));
    }
    let file = std::fs::File::open(path).map_err(io)?;
    let mut magic = Vec::new();
    file.take(16).read_to_end(&mut magic).map_err(io)?;
    if magic.starts_with(y4m::MAGIC) {
        Ok(Box::new(y4m::open(path)?))
    } else if magic.starts_with(b"GIF8")
        || (magic.starts_with(b"RIFF") && magic.get(8..12) == Some(b"WEBP"))
    {
        Ok(Box::new(animation::Animation::open(path)?))
    } else {
        Ok(Box::new(decoder.open(path)?))
    }
}

/// `value` if it is a usable rate or length; an error naming `origin` and `what` otherwise.
fn usable(
    value: Option<f64>,
    zero_allowed: bool,
    what: &str,
    origin: &str,
) -> Result<Option<f64>, Error> {
    match value {
        Some(x) if !x.is_finite() || x < 0.0 || (x == 0.0 && !zero_allowed) => Err(Error::video(
            origin,
            format!("{what}: expected a positive number, found {x}"),
        )),
        usable => Ok(usable),
    }
}
