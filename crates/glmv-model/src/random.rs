//! Random checkpoints of any configuration in the hub layout, for benches and tests: written into a
//! folder, or made up while they are loaded.

use crate::checkpoint::Stored;
use crate::schema::{TensorSpec, tensors};
use crate::writer::{StoreAs, write_sharded};
use crate::{Config, Error};
use half::{bf16, f16};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use safetensors::tensor::Dtype;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest shard of a random checkpoint, in bytes.
const MAX_SHARD_BYTES: u64 = 2 << 30;
/// Standard deviation of the matrices, HF's `initializer_range`.
const INITIALIZER_RANGE: f32 = 0.02;
/// Files that make a checkpoint usable and that lie beside its config.
pub(crate) const SIDE_FILES: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "special_tokens_map.json",
];

/// How wide the random matrices are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// Normal with deviation 0.02, Hugging Face's `initializer_range`.
    #[default]
    Hf,
    /// Normal with deviation `1/√inputs`, embeddings 1, the position table 0.2: every layer of a narrow
    /// model hands on as much as it gets, so that it can be trained from nothing.
    Scaled,
}

/// What a random checkpoint is made from beside its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomOptions<'a> {
    /// The same seed gives the same bytes.
    pub seed: u64,
    pub spread: Spread,
    /// Folder whose tokenizer and processor files are copied; without one, those beside the config.
    pub like: Option<&'a Path>,
}

impl RandomOptions<'_> {
    /// A seed, and Hugging Face's spread.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }
}

/// Writes a checkpoint of the configuration `config_file` into `dir`: matrices normal, norms 1, biases 0,
/// in the type the configuration names (f32 without one).
///
/// # Errors
/// As [`Config::from_json`]; [`Error::File`] if `dir` cannot be written or holds a checkpoint.
pub fn write_random(
    config_file: &Path,
    dir: &Path,
    options: RandomOptions<'_>,
) -> Result<Config, Error> {
    let fail = |path: &Path, e: std::io::Error| Error::File {
        path: path.to_path_buf(),
        reason: e.to_string(),
    };
    let text = std::fs::read_to_string(config_file).map_err(|e| fail(config_file, e))?;
    let config = Config::from_json(&text, &config_file.display().to_string())?;
    let store = match config.dtype.as_deref() {
        Some("bfloat16") => StoreAs::BF16,
        Some("float16") => StoreAs::F16,
        _ => StoreAs::F32,
    };
    write_sharded(
        dir,
        &tensors(&config),
        store,
        MAX_SHARD_BYTES,
        &mut |spec| Ok(values(spec, options.seed, options.spread)),
    )?;
    let target = dir.join("config.json");
    std::fs::write(&target, text).map_err(|e| fail(&target, e))?;
    let beside = config_file.parent().unwrap_or(Path::new(""));
    copy_side_files(options.like.unwrap_or(beside), dir, &SIDE_FILES)?;
    Ok(config)
}

/// Copies those of `files` that lie in `source`.
pub(crate) fn copy_side_files(source: &Path, dir: &Path, files: &[&str]) -> Result<(), Error> {
    for file in files.iter().map(|file| source.join(file)) {
        if file.is_file() {
            let target = dir.join(file.file_name().unwrap_or_default());
            std::fs::copy(&file, target).map_err(|e| Error::File {
                path: file.clone(),
                reason: e.to_string(),
            })?;
        }
    }
    Ok(())
}

/// Copies `config.json` and the tokenizer's and processor's files of a checkpoint beside weights that
/// were written by themselves.
///
/// # Errors
/// [`Error::File`] if a file cannot be copied or there is no `config.json`.
pub fn copy_sidecars(source: &Path, dir: &Path) -> Result<(), Error> {
    let config = source.join("config.json");
    std::fs::copy(&config, dir.join("config.json")).map_err(|e| Error::File {
        path: config,
        reason: e.to_string(),
    })?;
    copy_side_files(source, dir, &SIDE_FILES)
}

/// What a random checkpoint puts into a tensor.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    Zeros,
    Ones,
    Normal,
}

fn fill_of(spec: &TensorSpec) -> Fill {
    let norm = spec.name.ends_with("norm.weight") || spec.name.contains(".norm");
    match spec.shape.len() {
        1 if norm && !spec.name.ends_with("bias") => Fill::Ones,
        1 => Fill::Zeros,
        _ => Fill::Normal,
    }
}

fn values(spec: &TensorSpec, seed: u64, spread: Spread) -> Vec<f32> {
    match fill_of(spec) {
        Fill::Zeros => vec![0.0; spec.len()],
        Fill::Ones => vec![1.0; spec.len()],
        Fill::Normal => normals(spec.len(), seed ^ fnv(&spec.name), deviation(spec, spread)),
    }
}

fn deviation(spec: &TensorSpec, spread: Spread) -> f32 {
    let inputs: usize = spec.shape.iter().skip(1).product();
    match spread {
        Spread::Hf => INITIALIZER_RANGE,
        Spread::Scaled if spec.name.contains("position_embedding") => 0.2,
        Spread::Scaled if spec.name.ends_with("embed_tokens.weight") => 1.0,
        Spread::Scaled => (inputs.max(1) as f32).sqrt().recip(),
    }
}

fn normals(len: usize, seed: u64, deviation: f32) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut out = Vec::with_capacity(len + 1);
    while out.len() < len {
        // Box-Muller: two normals from two uniforms.
        let (u, v): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random::<f32>());
        let radius = (-2.0 * u.ln()).sqrt() * deviation;
        let angle = std::f32::consts::TAU * v;
        out.extend([radius * angle.cos(), radius * angle.sin()]);
    }
    out.truncate(len);
    out
}

/// Different normals of a [`Synthetic`]: a prime, so that no two rows of a matrix are equal.
const DISTINCT: usize = 1_048_573;

/// Tensors of a random checkpoint that is never written: windows of one block of normals, of ones
/// or of zeros, at an offset that follows from the tensor's name.
pub(crate) struct Synthetic {
    specs: Vec<TensorSpec>,
    dtype: Dtype,
    normals: Vec<u8>,
    ones: Vec<u8>,
    zeros: Vec<u8>,
}

impl Synthetic {
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        let specs = tensors(config);
        let dtype = match config.dtype.as_deref() {
            Some("bfloat16") => Dtype::BF16,
            Some("float16") => Dtype::F16,
            _ => Dtype::F32,
        };
        let longest = |fill: Fill| {
            let of = specs.iter().filter(|s| fill_of(s) == fill);
            of.map(TensorSpec::len).max().unwrap_or(0)
        };
        let block = encode(&normals(DISTINCT, seed, INITIALIZER_RANGE), dtype);
        let bytes = longest(Fill::Normal) * block.len() / DISTINCT + block.len();
        let normals = block.iter().copied().cycle().take(bytes).collect();
        // Correction biases are f32 in every checkpoint: zeros of the widest type serve both.
        Synthetic {
            normals,
            ones: encode(&vec![1.0; longest(Fill::Ones)], dtype),
            zeros: vec![0; longest(Fill::Zeros) * 4],
            dtype,
            specs,
        }
    }

    pub(crate) fn names(&self) -> BTreeMap<String, usize> {
        let names = self.specs.iter().map(|s| s.name.clone());
        names.zip(0..).collect()
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        let bytes = |s: &TensorSpec| (s.len() * width(self.dtype_of(s))) as u64;
        self.specs.iter().map(bytes).sum()
    }

    fn dtype_of(&self, spec: &TensorSpec) -> Dtype {
        match spec.always_f32() {
            true => Dtype::F32,
            false => self.dtype,
        }
    }

    pub(crate) fn get(&self, at: usize) -> Stored<'_> {
        let spec = &self.specs[at];
        let dtype = self.dtype_of(spec);
        let len = spec.len() * width(dtype);
        let bytes = match fill_of(spec) {
            Fill::Zeros => &self.zeros[..len],
            Fill::Ones => &self.ones[..len],
            Fill::Normal => {
                let start = (fnv(&spec.name) % DISTINCT as u64) as usize * width(dtype);
                &self.normals[start..start + len]
            }
        };
        Stored {
            dtype,
            shape: &spec.shape,
            bytes,
        }
    }
}

fn width(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F32 => 4,
        _ => 2,
    }
}

/// Little-endian elements.
fn encode(values: &[f32], dtype: Dtype) -> Vec<u8> {
    let values = values.iter();
    match dtype {
        Dtype::F32 => values.flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F16 => values
            .flat_map(|v| f16::from_f32(*v).to_le_bytes())
            .collect(),
        _ => values
            .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
            .collect(),
    }
}

/// FNV-1a, so that a tensor's values depend on its name and not on its place.
fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Part;

    #[test]
    fn values_have_the_stated_spread_and_follow_the_seed() {
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.into(),
            shape: shape.into(),
            part: Part::Decoder,
        };
        let matrix = spec("a.weight", &[101, 99]);
        let values = |spec: &TensorSpec, seed| values(spec, seed, Spread::Hf);
        let a = values(&matrix, 1);
        assert_eq!(a, values(&matrix, 1));
        assert_ne!(a, values(&matrix, 2));
        assert_ne!(a, values(&spec("b.weight", &[101, 99]), 1));
        let variance = a.iter().map(|v| v * v).sum::<f32>() / a.len() as f32;
        assert!(
            (variance.sqrt() - 0.02).abs() < 0.0005,
            "{}",
            variance.sqrt()
        );
        assert_eq!(values(&spec("x.input_layernorm.weight", &[3]), 1), [1.0; 3]);
        assert_eq!(values(&spec("x.norm1.weight", &[3]), 1), [1.0; 3]);
        assert_eq!(values(&spec("x.q_proj.bias", &[3]), 1), [0.0; 3]);
        assert_eq!(
            values(&spec("x.post_projection_norm.bias", &[3]), 1),
            [0.0; 3]
        );
    }

    #[test]
    fn scaled_matrices_keep_the_size_of_what_goes_through() {
        let deviation = |name: &str, shape: &[usize]| {
            let spec = TensorSpec {
                name: name.into(),
                shape: shape.into(),
                part: Part::Decoder,
            };
            let all = values(&spec, 1, Spread::Scaled);
            (all.iter().map(|v| v * v).sum::<f32>() / all.len() as f32).sqrt()
        };
        let close = |got: f32, want: f32| assert!((got / want - 1.0).abs() < 0.03, "{got} {want}");
        close(deviation("x.q_proj.weight", &[100, 400]), 0.05);
        close(
            deviation("x.patch_embed.proj.weight", &[64, 3, 2, 14, 14]),
            1.0 / 1176_f32.sqrt(),
        );
        close(
            deviation("model.language_model.embed_tokens.weight", &[300, 100]),
            1.0,
        );
        close(deviation("x.position_embedding.weight", &[300, 100]), 0.2);
    }

    #[test]
    fn a_synthetic_checkpoint_has_every_tensor_of_the_schema() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../assets/configs/mid-moe.json"
        );
        let config = Config::from_json(&std::fs::read_to_string(path).unwrap(), path).unwrap();
        let checkpoint = crate::Checkpoint::random(&config, 3);
        let specs = tensors(&config);
        assert_eq!(checkpoint.names().count(), specs.len());
        let mut total = 0;
        for spec in &specs {
            let stored = checkpoint.get(&spec.name).unwrap();
            assert_eq!(stored.shape, spec.shape, "{}", spec.name);
            assert_eq!(stored.bytes.len(), spec.len() * width(stored.dtype));
            assert_eq!(stored.dtype == Dtype::F32, spec.always_f32());
            total += stored.bytes.len() as u64;
        }
        assert_eq!(checkpoint.total_bytes(), total);
        let bytes = |seed, name: &str| {
            let checkpoint = crate::Checkpoint::random(&config, seed);
            checkpoint.get(name).unwrap().bytes[..1024].to_vec()
        };
        let name = "model.language_model.layers.1.self_attn.q_proj.weight";
        assert_eq!(bytes(3, name), bytes(3, name));
        assert_ne!(bytes(3, name), bytes(4, name));
        assert_ne!(bytes(3, name), bytes(3, "lm_head.weight"));
        let norm = bytes(3, "model.language_model.norm.weight");
        assert_eq!(norm[..2], bf16::ONE.to_le_bytes());
    }
}
