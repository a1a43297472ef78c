//! Videos to patches: which frames, at which size, with which seconds in the text. Called by the
//! processor for every `<|video|>` of a prompt.

use std::path::Path;

use image::RgbImage;

use crate::clip::{self, Clip, ExternalDecoder, frame_files};
use crate::config::{VisualConfig, preprocessor};
use crate::conversation::VideoSource;
use crate::decode::{MAX_FILE_BYTES, decode_rgb, read_file};
use crate::error::Error;
use crate::patches::{PatchGeometry, VisualPatches, append_group};
use crate::picture::target;
use crate::resample::resample;
use crate::resize::ResizeArgs;
use crate::sampling::{SamplingArgs, pair_seconds, sample_frames};

/// Rate assumed for the seconds in the text when a video has none.
const DEFAULT_FPS: f64 = 24.0;

/// Most frames of a video without a rate, all of which are used.
const MAX_UNSAMPLED_FRAMES: usize = 65_536;

impl VideoSource {
    /// The pictures of a folder, in natural order of their names, as frames with a rate given by
    /// the caller (instead of the folder's `metadata.json`).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Video`] when the folder holds no pictures, and those of
    /// `decode_rgb`.
    pub fn from_folder(dir: &Path, fps: Option<f64>) -> Result<Self, Error> {
        let files = frame_files(dir)?;
        let decode = |path: &std::path::PathBuf| {
            decode_rgb(
                &read_file(path, MAX_FILE_BYTES)?,
                &path.display().to_string(),
            )
        };
        let frames = files.iter().map(decode).collect::<Result<_, _>>()?;
        Ok(Self::Frames {
            frames,
            fps,
            duration_secs: None,
        })
    }
}

/// A video as the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessedVideo {
    /// Rows and one grid `[t, h, w]`, `t` frame pairs.
    pub patches: VisualPatches,
    /// Indices of the frames shown, ascending, before padding to whole pairs.
    pub frames_indices: Vec<usize>,
    /// Time of every frame shown: index over rate, in seconds.
    pub timestamps_secs: Vec<f64>,
    /// Whole seconds written after each of the `t` frame pairs.
    pub pair_seconds: Vec<u64>,
}

/// Videos to patches (`video_preprocessor_config.json`).
#[derive(Debug, Clone)]
pub struct VideoProcessor {
    config: VisualConfig,
    /// Frames per second shown to the model (2 for the released models).
    pub target_fps: f64,
    /// Longest video sampled at `target_fps`, in seconds (300); longer ones get as many frames
    /// spread evenly.
    pub max_duration_secs: f64,
    /// The programs for containers this crate does not read itself.
    pub decoder: ExternalDecoder,
}

impl VideoProcessor {
    /// Reads the settings of a checkpoint directory; absent keys take HF's class defaults.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Json`], [`Error::Io`] or [`Error::Config`].
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let file = preprocessor(dir, "video_preprocessor_config.json", "video_processor")?;
        Ok(Self {
            config: VisualConfig::from_json(&file, 47_040_000)?,
            target_fps: file.positive_float("fps", 2.0)?,
            max_duration_secs: file.positive_float("max_duration", 300.0)?,
            decoder: ExternalDecoder::default(),
        })
    }

    /// The patch sizes.
    #[must_use]
    pub fn geometry(&self) -> PatchGeometry {
        self.config.geometry
    }

    /// Samples, resizes and cuts a video into patches. A video without a rate is taken as already
    /// sampled. Only frames that are shown are kept, at the size the model sees.
    ///
    /// # Errors
    /// [`Error::Video`], [`Error::Image`], [`Error::Io`] or [`Error::ExternalProgram`] when it
    /// cannot be read, [`Error::Resize`] when its size is impossible or it has too few frames.
    pub fn process(&self, source: &VideoSource) -> Result<ProcessedVideo, Error> {
        let origin = match source {
            VideoSource::Path(path) => path.display().to_string(),
            VideoSource::Frames { frames, .. } => format!("given as {} frames", frames.len()),
        };
        let mut clip = clip::open(source, &self.decoder)?;
        let info = clip.info();
        let frames_indices = match info.fps {
            Some(fps) => sample_frames(&SamplingArgs {
                total_num_frames: info.num_frames,
                fps,
                duration_secs: info.duration_secs,
                target_fps: self.target_fps,
                max_duration_secs: self.max_duration_secs,
            })
            .map_err(|e| Error::video(&origin, e.to_string()))?,
            None if info.num_frames > MAX_UNSAMPLED_FRAMES => {
                let reason = format!("{} frames and no rate to sample them by", info.num_frames);
                return Err(Error::video(&origin, reason));
            }
            None => (0..info.num_frames).collect(),
        };
        let patches = self.patches(clip.as_mut(), &frames_indices, &origin)?;
        let fps = info.fps.unwrap_or(DEFAULT_FPS);
        let mut seconds = pair_seconds(&frames_indices, fps);
        let pairs = patches.grid_thw.first().map_or(0, |grid| grid[0] as usize);
        seconds.resize(pairs, seconds.last().copied().unwrap_or(0));
        Ok(ProcessedVideo {
            patches,
            timestamps_secs: frames_indices.iter().map(|&i| i as f64 / fps).collect(),
            frames_indices,
            pair_seconds: seconds,
        })
    }

    /// The rows of the frames at `indices` (ascending, repeats allowed), the last frame repeated to
    /// fill its group.
    fn patches(
        &self,
        clip: &mut dyn Clip,
        indices: &[usize],
        origin: &str,
    ) -> Result<VisualPatches, Error> {
        let mut distinct = indices.to_vec();
        distinct.dedup();
        let mut builder = Builder {
            config: &self.config,
            num_frames: indices.len(),
            origin,
            size: None,
            group: Vec::new(),
            rows: Vec::new(),
            groups: 0,
        };
        let mut rest = indices;
        clip.visit(&distinct, &mut |frame| {
            let repeats = rest.iter().take_while(|i| Some(*i) == rest.first()).count();
            rest = &rest[repeats..];
            builder.push(&frame, repeats)
        })?;
        if !rest.is_empty() {
            let reason = format!("the video ends before frame {}", rest[0]);
            return Err(Error::video(origin, reason));
        }
        builder.finish()
    }
}

/// Collects frames into groups of `temporal_patch_size` and cuts each full group into rows.
struct Builder<'a> {
    config: &'a VisualConfig,
    /// Frames that will be pushed, repeats included.
    num_frames: usize,
    origin: &'a str,
    /// Source size (width, height) and target size (height, width) in pixels, once the first frame
    /// is seen.
    size: Option<((u32, u32), (u32, u32))>,
    group: Vec<RgbImage>,
    rows: Vec<f32>,
    groups: u32,
}

impl Builder<'_> {
    fn push(&mut self, frame: &RgbImage, repeats: usize) -> Result<(), Error> {
        let (source, (height, width)) = match self.size {
            Some(size) => size,
            None => {
                let size = (
                    frame.dimensions(),
                    self.target(self.num_frames, frame.dimensions())?,
                );
                *self.size.insert(size)
            }
        };
        if source != frame.dimensions() {
            let reason = format!(
                "frames differ in size: {source:?} and {:?} (width, height)",
                frame.dimensions()
            );
            return Err(Error::video(self.origin, reason));
        }
        let resized = resample(frame, height, width);
        for _ in 0..repeats {
            self.group.push(resized.clone());
            if self.group.len() == self.config.geometry.temporal_patch_size as usize {
                self.flush();
            }
        }
        Ok(())
    }

    fn target(&self, num_frames: usize, (width, height): (u32, u32)) -> Result<(u32, u32), Error> {
        let geometry = self.config.geometry;
        let args = ResizeArgs {
            num_frames: num_frames as u64,
            height: height.into(),
            width: width.into(),
            temporal_factor: geometry.temporal_patch_size.into(),
            factor: geometry.factor().into(),
            min_pixels: self.config.min_pixels,
            max_pixels: self.config.max_pixels,
        };
        target(&args, self.origin)
    }

    fn flush(&mut self) {
        let group: Vec<&RgbImage> = self.group.iter().collect();
        append_group(
            &mut self.rows,
            &group,
            self.config.geometry,
            &self.config.normalizer,
        );
        self.group.clear();
        self.groups += 1;
    }

    fn finish(mut self) -> Result<VisualPatches, Error> {
        let geometry = self.config.geometry;
        if let Some(last) = self.group.last().cloned() {
            self.group
                .resize(geometry.temporal_patch_size as usize, last);
            self.flush();
        }
        let Some((_, (height, width))) = self.size else {
            return Err(Error::video(self.origin, "the video has no frames"));
        };
        let grid = [
            self.groups,
            height / geometry.patch_size,
            width / geometry.patch_size,
        ];
        Ok(VisualPatches {
            pixel_values: self.rows,
            row_len: geometry.row_len(),
            grid_thw: vec![grid],
        })
    }
}
