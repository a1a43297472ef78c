//! A `.safetensors` file with a tensor `frames` (u8, `[frames, height, width, 3]`) as a video; rate
//! and length from the file's metadata entries `fps` and `duration`, if present.

use std::path::Path;

use image::RgbImage;
use safetensors::{Dtype, SafeTensors};

use super::{Clip, ClipInfo, Sink, usable};
use crate::decode::{MAX_FILE_BYTES, check_pixels, read_file};
use crate::error::Error;

pub(super) struct TensorFile {
    origin: String,
    /// `[frames, height, width, 3]` row-major.
    frames: Vec<u8>,
    height: u32,
    width: u32,
    info: ClipInfo,
}

impl TensorFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let origin = path.display().to_string();
        let bytes = read_file(path, MAX_FILE_BYTES)?;
        let invalid = |e: safetensors::SafeTensorError| Error::video(&origin, e.to_string());
        let file = SafeTensors::deserialize(&bytes).map_err(invalid)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(invalid)?;
        let number = |key: &str| {
            let text = header.metadata().as_ref().and_then(|m| m.get(key));
            let reason =
                |t: &String| Error::video(&origin, format!("{key}: expected a number, found {t}"));
            text.map(|t| t.parse::<f64>().map_err(|_| reason(t)))
                .transpose()
        };
        let fps = usable(number("fps")?, false, "fps", &origin)?;
        let duration_secs = usable(number("duration")?, true, "duration", &origin)?;
        let tensor = file.tensor("frames").map_err(invalid)?;
        let (&[num_frames, height, width, 3], Dtype::U8) = (tensor.shape(), tensor.dtype()) else {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(Error::video(
                &origin,
                format!("`frames`: expected U8 [n, h, w, 3], found {found}"),
            ));
        };
        check_pixels(width as u64, height as u64, &origin)?;
        let (Ok(height), Ok(width)) = (u32::try_from(height), u32::try_from(width)) else {
            return Err(Error::video(
                &origin,
                format!("frames of {height}x{width} pixels"),
            ));
        };
        let info = ClipInfo {
            num_frames,
            fps,
            duration_secs,
        };
        Ok(Self {
            frames: tensor.data().to_vec(),
            height,
            width,
            info,
            origin,
        })
    }
}

impl Clip for TensorFile {
    fn info(&self) -> ClipInfo {
        self.info
    }

    fn visit(&mut self, indices: &[usize], sink: &mut Sink<'_>) -> Result<(), Error> {
        let size = self.height as usize * self.width as usize * 3;
        for &index in indices {
            let data = self
                .frames
                .get(index * size..(index + 1) * size)
                .map(<[u8]>::to_vec);
            let frame = data.and_then(|data| RgbImage::from_raw(self.width, self.height, data));
            sink(frame.ok_or_else(|| Error::video(&self.origin, format!("no frame {index}")))?)?;
        }
        Ok(())
    }
}
