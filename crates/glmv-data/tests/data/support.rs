//! Temporary data files, pictures and encoders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use glmv_data::{EncodeOptions, Encoded, Encoder, Record, Sample, Source, SourceSpec};
use glmv_processor::Processor;
use serde_json::Value;
use tempfile::TempDir;

/// A folder that goes away with the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file of JSON lines.
    pub fn rows(&self, name: &str, rows: &[Value]) -> PathBuf {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        self.text(name, &lines.join("\n"))
    }

    pub fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    }

    /// A PNG of one colour.
    pub fn picture(&self, name: &str, width: u32, height: u32, red: u8) -> PathBuf {
        let path = self.path().join(name);
        let pixels = image::RgbImage::from_pixel(width, height, image::Rgb([red, 90, 30]));
        pixels.save(&path).expect("writable");
        path
    }
}

/// The encoder of a golden checkpoint: `glm4v-f32` or `glm4v_moe-f32`.
pub fn encoder(checkpoint: &str) -> Encoder {
    with_options(checkpoint, EncodeOptions::default())
}

pub fn with_options(checkpoint: &str, options: EncodeOptions) -> Encoder {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/golden");
    let processor = Processor::from_dir(&Path::new(golden).join(checkpoint));
    let processor = processor.expect("a golden checkpoint");
    Encoder::new(Arc::new(processor), options).expect("a usable template")
}

pub const MOE: &str = "glm4v_moe-f32";
pub const DENSE: &str = "glm4v-f32";

/// The only record of a file with one row.
pub fn only(path: &Path) -> Record {
    let mut source = Source::open(&SourceSpec::new(path)).expect("opens");
    assert_eq!(source.len(), 1);
    source.read(0).expect("a good row")
}

/// A row as the sample it makes.
pub fn sample(folder: &Folder, row: &Value) -> Sample {
    let record = only(&folder.rows("row.jsonl", std::slice::from_ref(row)));
    record.into_sample().expect("a sample")
}

/// What is wrong with the first row of a file: when it is opened or when it is read.
pub fn problem(folder: &Folder, row: &Value) -> String {
    let path = folder.rows("row.jsonl", std::slice::from_ref(row));
    let read = Source::open(&SourceSpec::new(&path)).and_then(|mut source| source.read(0));
    let error = read.expect_err("a bad row").to_string();
    let place = format!("{}:1: ", path.display());
    let reason = error.strip_prefix(&place);
    reason.expect("names file and line").to_owned()
}

/// The text of the learnt tokens, and of the others, with `‖` between pieces.
pub fn learnt(encoder: &Encoder, encoded: &Encoded) -> String {
    let mut out = String::new();
    let mut from = 0;
    let masks = &encoded.loss_mask;
    while from < masks.len() {
        let to = (from..masks.len()).find(|&i| masks[i] != masks[from]);
        let to = to.unwrap_or(masks.len());
        if masks[from] {
            let ids = &encoded.input_ids[from..to];
            let text = encoder.processor().tokenizer.decode(ids, false);
            out.push_str(&text.expect("decodes"));
            out.push('‖');
        }
        from = to;
    }
    out
}

/// The text of all tokens.
pub fn text(encoder: &Encoder, ids: &[u32]) -> String {
    let text = encoder.processor().tokenizer.decode(ids, false);
    text.expect("decodes")
}
