//! Animated GIF and WebP as a video: the rate is the mean over the frames' delays. The file is
//! decoded twice, once to count the frames and once to hand out the wanted ones. Transparency is
//! composited onto white.

use std::io::Cursor;
use std::path::Path;

use image::codecs::{gif::GifDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, Frames, ImageDecoder, ImageError, RgbImage};

use super::{Clip, ClipInfo, Sink};
use crate::decode::{
    MAX_FILE_BYTES, check_pixels, decode_rgb, decoder_limits, over_white, read_file,
};
use crate::error::Error;

/// Most frames of an animation.
const MAX_FRAMES: usize = 65_536;
/// Most pixels of all frames together.
const MAX_TOTAL_PIXELS: u64 = 1 << 34;
/// What viewers use for a delay of 0.
const DEFAULT_DELAY_SECS: f64 = 0.1;

pub(super) struct Animation {
    bytes: Vec<u8>,
    origin: String,
    info: ClipInfo,
}

impl Animation {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        Self::from_bytes(read_file(path, MAX_FILE_BYTES)?, path.display().to_string())
    }

    /// An animation from the bytes of a GIF or WebP file.
    fn from_bytes(bytes: Vec<u8>, origin: String) -> Result<Self, Error> {
        let (mut num_frames, mut seconds, mut pixels) = (0, 0.0, 0_u64);
        if let Some(frames) = frames(&bytes, &origin)? {
            for frame in frames {
                let frame = frame.map_err(|e| Error::video(&origin, e.to_string()))?;
                let (numerator, denominator) = frame.delay().numer_denom_ms();
                let delay = f64::from(numerator) / f64::from(denominator.max(1)) / 1000.0;
                seconds += if delay > 0.0 {
                    delay
                } else {
                    DEFAULT_DELAY_SECS
                };
                num_frames += 1;
                pixels += u64::from(frame.buffer().width()) * u64::from(frame.buffer().height());
                if num_frames > MAX_FRAMES || pixels > MAX_TOTAL_PIXELS {
                    let reason = format!(
                        "more than {MAX_FRAMES} frames or {MAX_TOTAL_PIXELS} pixels in all"
                    );
                    return Err(Error::video(&origin, reason));
                }
            }
        } else {
            (num_frames, seconds) = (1, DEFAULT_DELAY_SECS);
        }
        let fps = (num_frames > 0).then(|| num_frames as f64 / seconds);
        let info = ClipInfo {
            num_frames,
            fps,
            duration_secs: Some(seconds),
        };
        Ok(Self {
            bytes,
            origin,
            info,
        })
    }
}

/// The frames of a GIF or animated WebP; `None` for a still WebP.
fn frames<'a>(bytes: &'a [u8], origin: &str) -> Result<Option<Frames<'a>>, Error> {
    let fail = |e: ImageError| Error::video(origin, e.to_string());
    if bytes.starts_with(b"RIFF") {
        let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(fail)?;
        prepare(&mut decoder, origin)?;
        return Ok(decoder.has_animation().then(|| decoder.into_frames()));
    }
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(fail)?;
    prepare(&mut decoder, origin)?;
    Ok(Some(decoder.into_frames()))
}

fn prepare(decoder: &mut impl ImageDecoder, origin: &str) -> Result<(), Error> {
    let (width, height) = decoder.dimensions();
    check_pixels(width.into(), height.into(), origin)?;
    decoder
        .set_limits(decoder_limits())
        .map_err(|e| Error::video(origin, e.to_string()))
}

impl Clip for Animation {
    fn info(&self) -> ClipInfo {
        self.info
    }

    fn visit(&mut self, indices: &[usize], sink: &mut Sink<'_>) -> Result<(), Error> {
        let Some(frames) = frames(&self.bytes, &self.origin)? else {
            return match indices {
                [] => Ok(()),
                _ => sink(decode_rgb(&self.bytes, &self.origin)?),
            };
        };
        let mut wanted = indices.iter().copied().peekable();
        for (index, frame) in frames.enumerate() {
            if wanted.peek().is_none() {
                break;
            }
            let frame = frame.map_err(|e| Error::video(&self.origin, e.to_string()))?;
            if wanted.next_if_eq(&index).is_some() {
                let rgba = frame.into_buffer();
                let data = rgba.pixels().flat_map(|p| over_white(p.0)).collect();
                let picture = RgbImage::from_raw(rgba.width(), rgba.height(), data);
                sink(picture.unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    fn gif(num_frames: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for i in 0..num_frames {
            let picture = RgbaImage::from_pixel(6, 4, Rgba([i * 60, 0, 255 - i * 60, 255]));
            let frame = Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(200, 1));
            encoder.encode_frame(frame).expect("encodable");
        }
        drop(encoder);
        bytes
    }

    #[test]
    fn rate_comes_from_the_delays_and_frames_from_their_indices() {
        let mut clip = Animation::from_bytes(gif(4), "test".to_owned()).expect("valid");
        let info = clip.info();
        assert_eq!(info.num_frames, 4);
        assert!((info.fps.expect("known") - 5.0).abs() < 1e-9);
        assert!((info.duration_secs.expect("known") - 0.8).abs() < 1e-9);
        let mut reds = Vec::new();
        clip.visit(&[1, 3], &mut |frame| {
            reds.push(frame.get_pixel(0, 0).0[0]);
            Ok(())
        })
        .expect("valid");
        assert_eq!(reds, [60, 180]);
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let mut bytes = gif(3);
        bytes.truncate(bytes.len() - 20);
        assert!(Animation::from_bytes(bytes, "cut.gif".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            bytes.splice(0..0, b"GIF89a\x05\x00\x05\x00".iter().copied());
            let _ = Animation::from_bytes(bytes, "random".to_owned());
        }

        #[test]
        fn damaged_bytes_never_panic(at in 6_usize..200, value: u8) {
            let mut bytes = gif(3);
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(mut clip) = Animation::from_bytes(bytes, "damaged".to_owned()) {
                let all: Vec<usize> = (0..clip.info().num_frames).collect();
                let _ = clip.visit(&all, &mut |_| Ok(()));
            }
        }
    }
}
