//! Any other video container, through the programs `ffprobe` (size, rate, number of frames) and
//! `ffmpeg` (the wanted frames as raw RGB over a pipe). Both are looked up when a video needs them,
//! may open only that file, and are ended when they take too long.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use image::RgbImage;
use serde_json::Value;

use super::process::run;
use super::{Clip, ClipInfo, MAX_FRAMES, Sink};
use crate::decode::check_pixels;
use crate::error::Error;

/// Most bytes of `ffprobe` output that are read.
const MAX_REPORT_BYTES: u64 = 1 << 20;

/// The programs that read video containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalDecoder {
    /// Program that writes frames, looked up on the `PATH` unless it has a directory.
    pub ffmpeg: PathBuf,
    /// Program that describes the file.
    pub ffprobe: PathBuf,
    /// Longest time one run of either may take.
    pub timeout: Duration,
}

impl Default for ExternalDecoder {
    /// `ffmpeg` and `ffprobe` from the `PATH`, ten minutes each.
    fn default() -> Self {
        Self {
            ffmpeg: "ffmpeg".into(),
            ffprobe: "ffprobe".into(),
            timeout: Duration::from_secs(600),
        }
    }
}

impl ExternalDecoder {
    /// Describes the first video stream of a file.
    pub(super) fn open(&self, path: &Path) -> Result<ExternalClip, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let absolute = std::path::absolute(path).map_err(io)?;
        let mut input = std::ffi::OsString::from("file:");
        input.push(&absolute);
        let mut command = Command::new(&self.ffprobe);
        command.args([
            "-v",
            "error",
            "-protocol_whitelist",
            "file,pipe",
            "-select_streams",
            "v:0",
        ]);
        command.args(["-count_packets", "-show_entries"]);
        command.arg(
            "stream=width,height,avg_frame_rate,r_frame_rate,nb_read_packets,duration\
             :stream_side_data=rotation:stream_tags=rotate:format=duration",
        );
        command.args(["-of", "json", "-i"]).arg(&input);
        let report = run(command, path, self.timeout, |stdout| {
            let mut text = Vec::new();
            stdout
                .take(MAX_REPORT_BYTES)
                .read_to_end(&mut text)
                .map_err(io)?;
            Ok(text)
        })?;
        let origin = path.display().to_string();
        let report: Value = serde_json::from_slice(&report)
            .map_err(|e| Error::video(&origin, format!("ffprobe's report is not JSON: {e}")))?;
        let (width, height, info) = describe(&report, &origin)?;
        let decoder = self.clone();
        Ok(ExternalClip {
            decoder,
            path: path.to_owned(),
            input,
            width,
            height,
            info,
        })
    }
}

/// Upright width and height in pixels, number of frames, rate and length from `ffprobe`'s report.
fn describe(report: &Value, origin: &str) -> Result<(u32, u32, ClipInfo), Error> {
    let stream = &report["streams"][0];
    let unsigned = |key: &str| {
        let value = &stream[key];
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.filter(|&n| n > 0).ok_or_else(|| {
            Error::video(
                origin,
                format!("no readable video stream (ffprobe `{key}` is {value})"),
            )
        })
    };
    let (width, height, frames) = (
        unsigned("width")?,
        unsigned("height")?,
        unsigned("nb_read_packets")?,
    );
    check_pixels(width, height, origin)?;
    let too_large = || {
        Error::video(
            origin,
            format!("{width}x{height} pixels, {frames} frames are too many"),
        )
    };
    let narrow = |n: u64| u32::try_from(n).map_err(|_| too_large());
    let (mut width, mut height) = (narrow(width)?, narrow(height)?);
    if quarter_turned(stream) {
        std::mem::swap(&mut width, &mut height);
    }
    let num_frames = usize::try_from(frames)
        .ok()
        .filter(|&n| n <= MAX_FRAMES)
        .ok_or_else(too_large)?;
    let info = ClipInfo {
        num_frames,
        fps: ratio(&stream["avg_frame_rate"]).or_else(|| ratio(&stream["r_frame_rate"])),
        duration_secs: seconds(&stream["duration"])
            .or_else(|| seconds(&report["format"]["duration"])),
    };
    Ok((width, height, info))
}

/// A length in seconds, if it is positive.
fn seconds(value: &Value) -> Option<f64> {
    let number = value.as_str()?.parse::<f64>().ok()?;
    (number > 0.0 && number.is_finite()).then_some(number)
}

/// Whether ffmpeg will turn the frames by 90 degrees when it puts them upright.
fn quarter_turned(stream: &Value) -> bool {
    let side_data = stream["side_data_list"].as_array().into_iter().flatten();
    let from_side_data = side_data
        .filter_map(|entry| entry["rotation"].as_f64())
        .next();
    let from_tag = || stream["tags"]["rotate"].as_str()?.parse::<f64>().ok();
    let degrees = from_side_data.or_else(from_tag).unwrap_or(0.0);
    (degrees.abs() % 180.0 - 90.0).abs() < 1.0
}

/// `30000/1001` as a positive number.
fn ratio(value: &Value) -> Option<f64> {
    let (numerator, denominator) = value.as_str()?.split_once('/')?;
    let rate = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    (rate > 0.0 && rate.is_finite()).then_some(rate)
}

/// An ffmpeg `select` expression that is true exactly at `indices`; runs of neighbours become one
/// term.
fn selection(indices: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &index in indices {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == index => *end = index,
            _ => runs.push((index, index)),
        }
    }
    let terms = runs
        .iter()
        .map(|(first, last)| format!("between(n,{first},{last})"));
    terms.collect::<Vec<_>>().join("+")
}

/// A file that the external programs read.
#[derive(Debug)]
pub(super) struct ExternalClip {
    decoder: ExternalDecoder,
    path: PathBuf,
    input: std::ffi::OsString,
    width: u32,
    height: u32,
    info: ClipInfo,
}

impl ExternalClip {
    /// One run of ffmpeg that hands the frames at `indices` to `sink`. `sync` is the option by which
    /// this version of ffmpeg is told to write every selected frame exactly once.
    fn decode(&self, indices: &[usize], sync: &str, sink: &mut Sink<'_>) -> Result<(), Error> {
        let origin = self.path.display().to_string();
        let mut command = Command::new(&self.decoder.ffmpeg);
        command.args([
            "-nostdin",
            "-v",
            "error",
            "-protocol_whitelist",
            "file,pipe",
            "-i",
        ]);
        command.arg(&self.input);
        let filter = format!("select='{}'", selection(indices));
        command.args(["-map", "0:v:0", "-an", "-sn", "-dn", "-vf", &filter]);
        command.args([sync, "passthrough", "-frames:v"]);
        command.arg(indices.len().to_string());
        command.args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]);
        let size = self.width as usize * self.height as usize * 3;
        run(command, &self.path, self.decoder.timeout, |stdout| {
            for &index in indices {
                let mut data = vec![0; size];
                stdout.read_exact(&mut data).map_err(|e| {
                    Error::video(&origin, format!("ffmpeg gave no frame {index}: {e}"))
                })?;
                sink(RgbImage::from_raw(self.width, self.height, data).unwrap_or_default())?;
            }
            Ok(())
        })
    }
}

impl Clip for ExternalClip {
    fn info(&self) -> ClipInfo {
        self.info
    }

    fn visit(&mut self, indices: &[usize], sink: &mut Sink<'_>) -> Result<(), Error> {
        if indices.is_empty() {
            return Ok(());
        }
        match self.decode(indices, "-fps_mode", sink) {
            // Versions before 5.1 refuse the option before they write anything; they call it -vsync.
            Err(Error::ExternalProgram { reason, .. }) if reason.contains("fps_mode") => {
                self.decode(indices, "-vsync", sink)
            }
            result => result,
        }
    }
}

#[cfg(all(test, unix))]
#[path = "ffmpeg_tests.rs"]
mod tests;
