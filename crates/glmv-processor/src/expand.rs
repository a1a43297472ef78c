//! The text side of pictures and videos: each placeholder of a rendered prompt becomes as many
//! image tokens as the model gets features, and ids get their modality. Called by the processor.

use crate::config::JsonFile;
use crate::error::Error;
use crate::tokenizer::Tokenizer;

/// What the feature at a position comes from: HF's `mm_token_type_ids`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Modality {
    /// An ordinary token.
    Text = 0,
    /// A visual token of a picture.
    Image = 1,
    /// A visual token of a video frame.
    Video = 2,
}

/// The text of one frame group of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoLayout {
    /// Image tokens per frame pair.
    pub tokens_per_pair: usize,
    /// Whole seconds written after each frame pair.
    pub pair_seconds: Vec<u64>,
}

/// The placeholder tokens of a checkpoint: texts are fixed, ids come from config.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceholderIds {
    /// `<|image|>`: every visual token, of pictures and video frames alike.
    pub image: u32,
    /// `<|video|>`: stands for a video in the prompt, never reaches the model.
    pub video: u32,
    /// `<|begin_of_image|>`.
    pub image_start: u32,
    /// `<|end_of_image|>`.
    pub image_end: u32,
    /// `<|begin_of_video|>`.
    pub video_start: u32,
    /// `<|end_of_video|>`.
    pub video_end: u32,
}

/// Text of the picture placeholder.
pub const IMAGE_TOKEN: &str = "<|image|>";
/// Text of the video placeholder.
pub const VIDEO_TOKEN: &str = "<|video|>";
const IMAGE_START: &str = "<|begin_of_image|>";
const IMAGE_END: &str = "<|end_of_image|>";

impl PlaceholderIds {
    /// Reads the ids from config.json and checks each against the tokenizer.
    pub(crate) fn new(config: &JsonFile, tokenizer: &Tokenizer) -> Result<Self, Error> {
        let checked = |key: &str, token: &str| {
            let expected = config.token_id(key)?;
            match tokenizer.id(token) {
                Some(id) if id == expected => Ok(id),
                found => Err(Error::TokenId {
                    token: token.to_owned(),
                    key: key.to_owned(),
                    expected,
                    found,
                }),
            }
        };
        Ok(Self {
            image: checked("image_token_id", IMAGE_TOKEN)?,
            video: checked("video_token_id", VIDEO_TOKEN)?,
            image_start: checked("image_start_token_id", IMAGE_START)?,
            image_end: checked("image_end_token_id", IMAGE_END)?,
            video_start: checked("video_start_token_id", "<|begin_of_video|>")?,
            video_end: checked("video_end_token_id", "<|end_of_video|>")?,
        })
    }

    /// Modality of every id: an image token inside a begin-of-video .. end-of-video span is
    /// [`Modality::Video`], any other is [`Modality::Image`].
    ///
    /// Source: HF `Glm4vProcessor.create_mm_token_type_ids`.
    #[must_use]
    pub fn modalities(&self, input_ids: &[u32]) -> Vec<Modality> {
        let (mut begins, mut ends) = (0_usize, 0_usize);
        let modality = |&id: &u32| {
            begins += usize::from(id == self.video_start);
            ends += usize::from(id == self.video_end);
            match id == self.image {
                false => Modality::Text,
                true if begins > ends => Modality::Video,
                true => Modality::Image,
            }
        };
        input_ids.iter().map(modality).collect()
    }
}

/// `prompt` with the i-th `<|image|>` replaced by `image_tokens[i]` of them and the i-th
/// `<|video|>` by its frame pairs: begin of image, image tokens, end of image, whole seconds.
///
/// Source: HF `Glm4vProcessor.__call__`.
///
/// # Errors
/// [`Error::PlaceholderCount`] when the prompt has another number of placeholders than there are
/// pictures or videos.
pub fn expand_placeholders(
    prompt: &str,
    image_tokens: &[usize],
    videos: &[VideoLayout],
) -> Result<String, Error> {
    for (token, expected) in [
        (IMAGE_TOKEN, image_tokens.len()),
        (VIDEO_TOKEN, videos.len()),
    ] {
        let found = prompt.matches(token).count();
        if found != expected {
            return Err(Error::PlaceholderCount {
                token: token.to_owned(),
                expected,
                found,
            });
        }
    }
    let mut out = String::with_capacity(prompt.len());
    let mut images = image_tokens.iter();
    for (i, piece) in prompt.split(IMAGE_TOKEN).enumerate() {
        if i > 0 {
            out.extend(images.next().map(|&n| IMAGE_TOKEN.repeat(n)));
        }
        out.push_str(piece);
    }
    // Video text brings image tokens of its own, so pictures come first.
    let with_images = std::mem::take(&mut out);
    let mut videos = videos.iter();
    for (i, piece) in with_images.split(VIDEO_TOKEN).enumerate() {
        if i > 0 {
            out.extend(videos.next().map(video_text));
        }
        out.push_str(piece);
    }
    Ok(out)
}

fn video_text(video: &VideoLayout) -> String {
    let images = IMAGE_TOKEN.repeat(video.tokens_per_pair);
    let pairs = video.pair_seconds.iter();
    pairs
        .map(|seconds| format!("{IMAGE_START}{images}{IMAGE_END}{seconds}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_tokens_in_order() {
        let videos = [VideoLayout {
            tokens_per_pair: 1,
            pair_seconds: vec![0, 12],
        }];
        let text = expand_placeholders("a<|image|>b<|video|>c<|image|>", &[2, 1], &videos)
            .expect("counts match");
        let pair = "<|begin_of_image|><|image|><|end_of_image|>";
        assert_eq!(
            text,
            format!("a<|image|><|image|>b{pair}0{pair}12c<|image|>")
        );
    }

    #[test]
    fn a_written_placeholder_without_a_picture_is_an_error() {
        let error = expand_placeholders("see <|image|>", &[], &[])
            .expect_err("one too many")
            .to_string();
        assert_eq!(error, "the prompt holds 1 `<|image|>` but 0 were given");
    }

    #[test]
    fn spans_decide_between_picture_and_video() {
        let ids = PlaceholderIds {
            image: 1,
            video: 2,
            image_start: 3,
            image_end: 4,
            video_start: 5,
            video_end: 6,
        };
        let found = ids.modalities(&[9, 3, 1, 4, 5, 3, 1, 4, 9, 6, 1]);
        let numbers: Vec<u8> = found.into_iter().map(|m| m as u8).collect();
        assert_eq!(numbers, [0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1]);
    }
}
