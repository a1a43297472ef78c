//! The whole preprocessing of one prompt: template, pictures, videos, placeholder expansion, ids.
//! Called by the engine and the trainer.

use std::path::Path;

use crate::config::{JsonFile, require_json};
use crate::conversation::{Conversation, ImageSource, VideoSource};
use crate::error::Error;
use crate::expand::{Modality, PlaceholderIds, VideoLayout, expand_placeholders};
use crate::patches::{PatchGeometry, VisualPatches};
use crate::picture::ImageProcessor;
use crate::template::{ChatTemplate, RenderOptions};
use crate::tokenizer::Tokenizer;
use crate::video::{ProcessedVideo, VideoProcessor};

/// What the model takes for one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInputs {
    /// The rendered prompt, before placeholders are expanded.
    pub prompt: String,
    /// `[seq]`: ids of the expanded prompt.
    pub input_ids: Vec<u32>,
    /// `[seq]`: what each id stands for.
    pub modality: Vec<Modality>,
    /// Patches of all pictures in prompt order, if there are any.
    pub images: Option<VisualPatches>,
    /// Patches of all videos in prompt order, if there are any.
    pub videos: Option<VisualPatches>,
}

/// A checkpoint's preprocessing.
#[derive(Debug, Clone)]
pub struct Processor {
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// Conversations to prompts.
    pub template: ChatTemplate,
    /// Pictures to patches.
    pub image: ImageProcessor,
    /// Videos to patches.
    pub video: VideoProcessor,
    /// Ids of the placeholder tokens.
    pub placeholders: PlaceholderIds,
}

impl Processor {
    /// Reads config.json, tokenizer.json, the chat template and the preprocessor settings of a
    /// checkpoint directory and checks that they agree.
    ///
    /// # Errors
    /// [`Error`] naming the file and key: missing or malformed files, placeholder tokens the
    /// tokenizer lacks or numbers differently, patch sizes that differ from the model's.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let config = require_json(dir, "config.json")?;
        let tokenizer_path = dir.join("tokenizer.json");
        if !tokenizer_path.exists() {
            return Err(Error::MissingFile {
                dir: dir.to_owned(),
                wanted: "tokenizer.json".to_owned(),
            });
        }
        let tokenizer = Tokenizer::from_file(&tokenizer_path)?;
        let placeholders = PlaceholderIds::new(&config, &tokenizer)?;
        let image = ImageProcessor::from_dir(dir)?;
        let video = VideoProcessor::from_dir(dir)?;
        check_geometry(&config, image.geometry(), "preprocessor_config.json")?;
        check_geometry(&config, video.geometry(), "video_preprocessor_config.json")?;
        Ok(Self {
            tokenizer,
            template: ChatTemplate::from_dir(dir)?,
            image,
            video,
            placeholders,
        })
    }

    /// Renders a conversation and makes the model's inputs from it.
    ///
    /// # Errors
    /// [`Error::Template`] when the template refuses the conversation, and those of
    /// [`Self::process_prompt`].
    pub fn process(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> Result<ModelInputs, Error> {
        let prompt = self.template.render(conversation, options)?;
        let images: Vec<&ImageSource> = conversation.images().collect();
        let videos: Vec<&VideoSource> = conversation.videos().collect();
        self.inputs(&prompt, &images, &videos)
    }

    /// Makes the model's inputs from a rendered prompt; pictures and videos in the order of their
    /// placeholders.
    ///
    /// # Errors
    /// [`Error::PlaceholderCount`] when the prompt has another number of placeholders, and whatever
    /// is wrong with a picture or video.
    pub fn process_prompt(
        &self,
        prompt: &str,
        images: &[ImageSource],
        videos: &[VideoSource],
    ) -> Result<ModelInputs, Error> {
        let images: Vec<&ImageSource> = images.iter().collect();
        let videos: Vec<&VideoSource> = videos.iter().collect();
        self.inputs(prompt, &images, &videos)
    }

    /// The prompt as it is tokenized: every placeholder replaced by what the grids and seconds ask
    /// for.
    ///
    /// # Errors
    /// [`Error::PlaceholderCount`] when the prompt has another number of placeholders.
    pub fn expand_prompt(
        &self,
        prompt: &str,
        image_grids: &[[u32; 3]],
        videos: &[ProcessedVideo],
    ) -> Result<String, Error> {
        let tokens: Vec<usize> = image_grids
            .iter()
            .map(|&g| self.image.geometry().tokens_per_frame(g))
            .collect();
        let layouts: Vec<VideoLayout> = videos.iter().map(|v| self.layout(v)).collect();
        expand_placeholders(prompt, &tokens, &layouts)
    }

    fn layout(&self, video: &ProcessedVideo) -> VideoLayout {
        let grid = video.patches.grid_thw.first().copied().unwrap_or_default();
        VideoLayout {
            tokens_per_pair: self.video.geometry().tokens_per_frame(grid),
            pair_seconds: video.pair_seconds.clone(),
        }
    }

    fn inputs(
        &self,
        prompt: &str,
        images: &[&ImageSource],
        videos: &[&VideoSource],
    ) -> Result<ModelInputs, Error> {
        // A wrong number of placeholders shows before anything is decoded.
        let no_video = VideoLayout {
            tokens_per_pair: 0,
            pair_seconds: Vec::new(),
        };
        expand_placeholders(
            prompt,
            &vec![0; images.len()],
            &vec![no_video; videos.len()],
        )?;
        let mut image_patches: Option<VisualPatches> = None;
        for source in images {
            let patches = self.image.process(source)?;
            image_patches.get_or_insert_default().append(patches);
        }
        let mut layouts = Vec::with_capacity(videos.len());
        let mut video_patches: Option<VisualPatches> = None;
        for source in videos {
            let video = self.video.process(source)?;
            layouts.push(self.layout(&video));
            video_patches.get_or_insert_default().append(video.patches);
        }
        let grids = image_patches.iter().flat_map(|p| &p.grid_thw);
        let tokens: Vec<usize> = grids
            .map(|&g| self.image.geometry().tokens_per_frame(g))
            .collect();
        let input_ids = self
            .tokenizer
            .encode(&expand_placeholders(prompt, &tokens, &layouts)?)?;
        Ok(ModelInputs {
            prompt: prompt.to_owned(),
            modality: self.placeholders.modalities(&input_ids),
            input_ids,
            images: image_patches,
            videos: video_patches,
        })
    }
}

/// Fails when the preprocessor cuts other patches than the vision tower expects.
fn check_geometry(config: &JsonFile, geometry: PatchGeometry, file: &str) -> Result<(), Error> {
    let pairs = [
        ("vision_config.patch_size", geometry.patch_size),
        (
            "vision_config.temporal_patch_size",
            geometry.temporal_patch_size,
        ),
        ("vision_config.spatial_merge_size", geometry.merge_size),
    ];
    for (key, value) in pairs {
        if config
            .get(key)
            .is_some_and(|v| v.as_u64() != Some(value.into()))
        {
            return Err(config.wrong(key, &format!("{value} as in {file}")));
        }
    }
    Ok(())
}
