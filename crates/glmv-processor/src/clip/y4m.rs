//! Uncompressed `.y4m` video (YUV4MPEG2): 8-bit 4:2:0, 4:2:2, 4:4:4 and mono. Frames are found by
//! their headers and read only when visited. Colours are BT.601, limited range unless the header
//! says `XCOLORRANGE=FULL`; chroma is repeated, not interpolated.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use image::RgbImage;

use super::{Clip, ClipInfo, MAX_FRAMES, Sink};
use crate::decode::check_pixels;
use crate::error::Error;

/// First bytes of every `.y4m` file.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2";
/// Longest header line in bytes.
const MAX_LINE: u64 = 4096;

/// Pixels that share one chroma sample, as shifts of x and y; `None` for mono.
type Subsampling = Option<(u32, u32)>;

struct Header {
    width: u32,
    height: u32,
    fps: Option<f64>,
    subsampling: Subsampling,
    full_range: bool,
}

pub(super) struct Y4m<R> {
    reader: R,
    origin: String,
    header: Header,
    /// Start of every frame's samples in bytes.
    offsets: Vec<u64>,
}

/// Opens a `.y4m` file.
pub(super) fn open(path: &Path) -> Result<Y4m<BufReader<File>>, Error> {
    let file = File::open(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    Y4m::new(BufReader::new(file), path.display().to_string())
}

impl Header {
    fn parse(line: &str, origin: &str) -> Result<Self, Error> {
        let bad =
            |what: &str, found: &str| Error::video(origin, format!("{what}, found `{found}`"));
        let mut header = Self {
            width: 0,
            height: 0,
            fps: None,
            subsampling: Some((1, 1)),
            full_range: false,
        };
        let mut fields = line.split_ascii_whitespace();
        if fields.next() != Some("YUV4MPEG2") {
            return Err(bad("expected a YUV4MPEG2 header", line));
        }
        for field in fields {
            let Some((kind, value)) = field.split_at_checked(1) else {
                return Err(bad("expected a header field", field));
            };
            let side = || value.parse::<u32>().ok().filter(|&v| v > 0);
            match kind {
                "W" => header.width = side().ok_or_else(|| bad("expected a width", field))?,
                "H" => header.height = side().ok_or_else(|| bad("expected a height", field))?,
                "F" => header.fps = rate(value).ok_or_else(|| bad("expected a rate", field))?,
                "C" => {
                    header.subsampling = subsampling(value)
                        .ok_or_else(|| bad("expected 8-bit C420, C422, C444 or Cmono", field))?
                }
                "X" if value == "COLORRANGE=FULL" => header.full_range = true,
                // Interlacing, pixel aspect and comments do not change the samples.
                _ => {}
            }
        }
        if header.width == 0 || header.height == 0 {
            return Err(bad("expected W and H in the header", line));
        }
        check_pixels(header.width.into(), header.height.into(), origin)?;
        Ok(header)
    }

    /// Bytes of the luma plane and of one chroma plane.
    fn plane_sizes(&self) -> (usize, usize) {
        let (width, height) = (self.width as usize, self.height as usize);
        let chroma = self
            .subsampling
            .map_or(0, |(x, y)| width.div_ceil(1 << x) * height.div_ceil(1 << y));
        (width * height, chroma)
    }

    fn frame_size(&self) -> usize {
        let (luma, chroma) = self.plane_sizes();
        luma + 2 * chroma
    }

    /// One frame's samples as RGB.
    fn to_rgb(&self, samples: &[u8]) -> RgbImage {
        let (luma_size, chroma_size) = self.plane_sizes();
        let (luma, chroma) = samples.split_at(luma_size);
        let (blue, red) = chroma.split_at(chroma_size);
        let convert = if self.full_range {
            full_range
        } else {
            limited_range
        };
        let width = self.width as usize;
        RgbImage::from_fn(self.width, self.height, |x, y| {
            let y_level = luma[y as usize * width + x as usize];
            let (cb, cr) = match self.subsampling {
                None => (128, 128),
                Some((sx, sy)) => {
                    let at = (y >> sy) as usize * width.div_ceil(1 << sx) + (x >> sx) as usize;
                    (blue[at], red[at])
                }
            };
            image::Rgb(convert(
                y_level.into(),
                i32::from(cb) - 128,
                i32::from(cr) - 128,
            ))
        })
    }
}

/// `30000:1001` as a number; `0:0` means unknown. `None` when it is no rate.
fn rate(text: &str) -> Option<Option<f64>> {
    let (numerator, denominator) = text.split_once(':')?;
    match (
        numerator.parse::<u32>().ok()?,
        denominator.parse::<u32>().ok()?,
    ) {
        (0, 0) => Some(None),
        (0, _) | (_, 0) => None,
        (n, d) => Some(Some(f64::from(n) / f64::from(d))),
    }
}

fn subsampling(name: &str) -> Option<Subsampling> {
    match name {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Some(Some((1, 1))),
        "422" => Some(Some((1, 0))),
        "444" => Some(Some((0, 0))),
        "mono" => Some(None),
        _ => None,
    }
}

/// BT.601 with luma 16..235 and chroma 16..240, in 1/256.
fn limited_range(y: i32, cb: i32, cr: i32) -> [u8; 3] {
    let y = 298 * (y - 16) + 128;
    [y + 409 * cr, y - 100 * cb - 208 * cr, y + 516 * cb].map(|v| (v >> 8).clamp(0, 255) as u8)
}

/// BT.601 with luma and chroma 0..255, in 1/256.
fn full_range(y: i32, cb: i32, cr: i32) -> [u8; 3] {
    let y = 256 * y + 128;
    [y + 359 * cr, y - 88 * cb - 183 * cr, y + 454 * cb].map(|v| (v >> 8).clamp(0, 255) as u8)
}

impl<R: BufRead + Seek> Y4m<R> {
    /// Reads the header and finds all frames.
    fn new(mut reader: R, origin: String) -> Result<Self, Error> {
        let fail = |e: std::io::Error| Error::video(&origin, e.to_string());
        let length = reader
            .seek(SeekFrom::End(0))
            .and_then(|n| reader.rewind().map(|()| n))
            .map_err(fail)?;
        let line = line(&mut reader, &origin)?
            .ok_or_else(|| Error::video(&origin, "the file is empty"))?;
        let header = Header::parse(&line, &origin)?;
        let size = header.frame_size() as u64;
        let mut offsets = Vec::new();
        while let Some(line) = self::line(&mut reader, &origin)? {
            let number = offsets.len();
            if line.split_ascii_whitespace().next() != Some("FRAME") {
                return Err(Error::video(
                    &origin,
                    format!("frame {number}: expected FRAME, found `{line:.20}`"),
                ));
            }
            let start = reader.stream_position().map_err(fail)?;
            if length.saturating_sub(start) < size {
                let found = length.saturating_sub(start);
                let reason =
                    format!("frame {number} is truncated: expected {size} bytes, found {found}");
                return Err(Error::video(&origin, reason));
            }
            if number == MAX_FRAMES {
                return Err(Error::video(
                    &origin,
                    format!("more than {MAX_FRAMES} frames"),
                ));
            }
            offsets.push(start);
            reader.seek(SeekFrom::Start(start + size)).map_err(fail)?;
        }
        Ok(Self {
            reader,
            origin,
            header,
            offsets,
        })
    }
}

/// The next line without its end; `None` at the end of the file.
fn line(reader: &mut impl BufRead, origin: &str) -> Result<Option<String>, Error> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_LINE).read_until(b'\n', &mut bytes);
    read.map_err(|e| Error::video(origin, e.to_string()))?;
    match bytes.pop() {
        None => Ok(None),
        Some(b'\n') => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::video(origin, "a header line is not text")),
        },
        Some(_) => Err(Error::video(
            origin,
            format!("a header line is cut off or longer than {MAX_LINE} bytes"),
        )),
    }
}

impl<R: BufRead + Seek> Clip for Y4m<R> {
    fn info(&self) -> ClipInfo {
        ClipInfo {
            num_frames: self.offsets.len(),
            fps: self.header.fps,
            duration_secs: None,
        }
    }

    fn visit(&mut self, indices: &[usize], sink: &mut Sink<'_>) -> Result<(), Error> {
        let mut samples = vec![0; self.header.frame_size()];
        for &start in indices.iter().filter_map(|&i| self.offsets.get(i)) {
            let read = self
                .reader
                .seek(SeekFrom::Start(start))
                .and_then(|_| self.reader.read_exact(&mut samples));
            read.map_err(|e| Error::video(&self.origin, e.to_string()))?;
            sink(self.header.to_rgb(&samples))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "y4m_tests.rs"]
mod tests;
