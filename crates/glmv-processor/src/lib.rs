//! Conversations, pictures and videos to the inputs of GLM-4.1V and GLM-4.5V, equal to what Hugging
//! Face transformers computes: the same token ids, the same grids and the same pixel values.
//!
//! The principal type is [`Processor`]; it reads a checkpoint directory and knows nothing of
//! tensors or devices.
//!
//! ```no_run
//! use glmv_processor::{Conversation, ImageSource, Message, Part, Processor, RenderOptions, Role};
//!
//! # fn main() -> Result<(), glmv_processor::Error> {
//! let processor = Processor::from_dir("GLM-4.1V-9B-Thinking".as_ref())?;
//! let question = Message::new(
//!     Role::User,
//!     vec![
//!         Part::Image(ImageSource::Path("cat.png".into())),
//!         Part::Text("What is in this picture?".to_owned()),
//!     ],
//! );
//! let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
//! let inputs = processor.process(&Conversation::new(vec![question]), &options)?;
//! println!("{} tokens", inputs.input_ids.len());
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: `processor` (the whole path), `template`, `picture` and `video`, `resize` →
//! `resample` → `patches`, `expand`, `tokenizer`; `clip` holds the video containers.

mod base64;
mod clip;
mod config;
mod conversation;
mod conversation_json;
mod conversation_write;
mod decode;
mod error;
mod expand;
mod patches;
mod picture;
mod processor;
mod python_json;
mod resample;
mod resize;
mod sampling;
mod template;
mod template_functions;
mod tokenizer;
mod video;

pub use clip::ExternalDecoder;
pub use conversation::{Conversation, ImageSource, Message, Part, Role, VideoSource};
pub use conversation_json::MediaAccess;
pub use decode::{MAX_FILE_BYTES, MAX_SOURCE_PIXELS, decode_rgb};
pub use error::Error;
pub use expand::{
    IMAGE_TOKEN, Modality, PlaceholderIds, VIDEO_TOKEN, VideoLayout, expand_placeholders,
};
pub use image::RgbImage;
pub use patches::{Normalizer, PatchGeometry, VisualPatches};
pub use picture::ImageProcessor;
pub use processor::{ModelInputs, Processor};
pub use resample::resample;
pub use resize::{MAX_ASPECT_RATIO, ResizeArgs, ResizeError, smart_resize};
pub use sampling::{SamplingArgs, SamplingError, pair_seconds, sample_frames};
pub use template::{ChatTemplate, RenderOptions};
pub use tokenizer::{StreamDecoder, Tokenizer};
pub use video::{ProcessedVideo, VideoProcessor};
