//! Pictures and videos of a sample: their patches, and the tokens that stand for them. Used by the
//! encoder; cutting looks at the spans.

use std::ops::Range;

use glmv_processor::{
    ImageSource, PlaceholderIds, ProcessedVideo, Processor, VideoSource, VisualPatches,
};

use crate::error::RowError;

/// What a visual is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisualKind {
    /// A picture.
    Image,
    /// A video.
    Video,
}

/// A picture or video of an encoded sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Visual {
    /// What it is.
    pub kind: VisualKind,
    /// Its patches, with one grid.
    pub patches: VisualPatches,
    /// Its tokens in the sample, the begin and end tokens included: never cut inside.
    pub span: Range<usize>,
    /// Width and height of a picture's file in pixels; none for a video.
    pub source_size: Option<[u32; 2]>,
}

/// A picture that was decoded and cut into patches.
pub(crate) struct Picture {
    pub(crate) patches: VisualPatches,
    pub(crate) size: [u32; 2],
}

/// Pictures of a row, in the order of the prompt.
pub(crate) fn pictures<'a>(
    processor: &Processor,
    sources: impl Iterator<Item = &'a ImageSource>,
) -> Result<Vec<Picture>, RowError> {
    let mut pictures = Vec::new();
    for (i, source) in sources.enumerate() {
        let failed = |error| RowError::Media {
            kind: "image",
            number: i + 1,
            origin: match source {
                ImageSource::Path(path) => path.display().to_string(),
                ImageSource::Bytes(bytes) => format!("{} bytes in the row", bytes.len()),
                ImageSource::Rgb(_) => "pixels in memory".to_owned(),
            },
            source: Box::new(error),
        };
        let pixels = processor.image.load(source).map_err(failed)?.into_owned();
        let size = [pixels.width(), pixels.height()];
        let patches = processor.image.process(&ImageSource::Rgb(pixels));
        pictures.push(Picture {
            patches: patches.map_err(failed)?,
            size,
        });
    }
    Ok(pictures)
}

/// Videos of a row, in the order of the prompt.
pub(crate) fn clips<'a>(
    processor: &Processor,
    sources: impl Iterator<Item = &'a VideoSource>,
) -> Result<Vec<ProcessedVideo>, RowError> {
    let mut clips = Vec::new();
    for (i, source) in sources.enumerate() {
        let clip = processor.video.process(source);
        clips.push(clip.map_err(|error| RowError::Media {
            kind: "video",
            number: i + 1,
            origin: match source {
                VideoSource::Path(path) => path.display().to_string(),
                VideoSource::Frames { frames, .. } => format!("{} frames in the row", frames.len()),
            },
            source: Box::new(error),
        })?);
    }
    Ok(clips)
}

/// Spans of the pictures and videos in `input_ids`, begin and end tokens included. A span that does
/// not end reaches to the end of the ids.
pub(crate) fn spans(ids: &PlaceholderIds, input_ids: &[u32]) -> Vec<(VisualKind, Range<usize>)> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(&id) = input_ids.get(from) {
        let (kind, end) = if id == ids.image_start {
            (VisualKind::Image, ids.image_end)
        } else if id == ids.video_start {
            (VisualKind::Video, ids.video_end)
        } else {
            from += 1;
            continue;
        };
        let rest = input_ids.get(from..).unwrap_or_default();
        let length = rest.iter().position(|&id| id == end);
        let to = length.map_or(input_ids.len(), |length| from + length + 1);
        spans.push((kind, from..to));
        from = to;
    }
    spans
}

/// The visuals of a sample at their places.
///
/// # Errors
/// [`RowError::Visuals`] when the tokens have another number of them.
pub(crate) fn place(
    ids: &PlaceholderIds,
    input_ids: &[u32],
    pictures: Vec<Picture>,
    clips: Vec<ProcessedVideo>,
) -> Result<Vec<Visual>, RowError> {
    let expected = pictures.len() + clips.len();
    let (mut pictures, mut clips) = (pictures.into_iter(), clips.into_iter());
    let mut visuals = Vec::with_capacity(expected);
    let spans = spans(ids, input_ids);
    let found = spans.len();
    for (kind, span) in spans {
        let (patches, source_size) = match kind {
            VisualKind::Image => match pictures.next() {
                Some(picture) => (picture.patches, Some(picture.size)),
                None => return Err(RowError::Visuals { expected, found }),
            },
            VisualKind::Video => match clips.next() {
                Some(clip) => (clip.patches, None),
                None => return Err(RowError::Visuals { expected, found }),
            },
        };
        visuals.push(Visual {
            kind,
            patches,
            span,
            source_size,
        });
    }
    if found != expected {
        return Err(RowError::Visuals { expected, found });
    }
    Ok(visuals)
}
