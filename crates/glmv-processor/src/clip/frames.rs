//! Frames that the caller has already decoded.

use image::RgbImage;

use super::{Clip, ClipInfo, Sink, usable};
use crate::error::Error;

/// Origin in error messages.
pub(super) const ORIGIN: &str = "given as frames";

/// Borrowed frames with the rate and length the caller gave.
pub(super) struct Frames<'a> {
    frames: &'a [RgbImage],
    info: ClipInfo,
}

impl<'a> Frames<'a> {
    pub(super) fn new(
        frames: &'a [RgbImage],
        fps: Option<f64>,
        duration: Option<f64>,
    ) -> Result<Self, Error> {
        let info = ClipInfo {
            num_frames: frames.len(),
            fps: usable(fps, false, "fps", ORIGIN)?,
            duration_secs: usable(duration, true, "duration", ORIGIN)?,
        };
        Ok(Self { frames, info })
    }
}

impl Clip for Frames<'_> {
    fn info(&self) -> ClipInfo {
        self.info
    }

    fn visit(&mut self, indices: &[usize], sink: &mut Sink<'_>) -> Result<(), Error> {
        for &index in indices {
            let frame = self.frames.get(index);
            sink(
                frame
                    .ok_or_else(|| Error::video(ORIGIN, format!("no frame {index}")))?
                    .clone(),
            )?;
        }
        Ok(())
    }
}
