//! The model that the program carries, and a picture with a question for it.

use anyhow::Context;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What [`PICTURE`] shows, for a person at a terminal.
pub const SHOWS: &str = "a chart with three bars: A 1, B 7, C 4";
/// Asked where no question is given.
pub const QUESTION: &str = "Which label has the highest value?";

/// Of the test split: `glmv gym make --domain chart --level 1 --split test --seed 8 -n 1`.
const PICTURE: &[u8] = include_bytes!("../../assets/images/tiny.png");

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../assets/models/glmv-tiny/", $name)).as_slice())),*]
    };
}

/// The checkpoint folder glmv-tiny, file by file.
const MODEL: [(&str, &[u8]); 8] = files![
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
];

/// The bundled model as a folder, which is removed at the end.
pub struct Bundled(TempDir);

impl Bundled {
    /// Writes it among the temporary files.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn unpack() -> anyhow::Result<Self> {
        let why = || {
            format!(
                "cannot unpack the bundled model in {}",
                std::env::temp_dir().display()
            )
        };
        let dir = TempDir::with_prefix("glmv-tiny-").with_context(why)?;
        for (name, bytes) in MODEL.into_iter().chain([("tiny.png", PICTURE)]) {
            std::fs::write(dir.path().join(name), bytes).with_context(why)?;
        }
        Ok(Bundled(dir))
    }

    /// The checkpoint folder.
    pub fn model(&self) -> &Path {
        self.0.path()
    }

    /// A picture of the gym.
    pub fn picture(&self) -> PathBuf {
        self.0.path().join("tiny.png")
    }
}
