//! Random checkpoints of any configuration in the hub layout, for benches and tests.

use crate::schema::{TensorSpec, tensors};
use crate::writer::{StoreAs, write_sharded};
use crate::{Config, Error};
use rand::{RngExt, SeedableRng, rngs::StdRng};
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

/// Writes a checkpoint of the configuration `config_file` into `dir`: matrices normal with
/// deviation 0.02, norms 1, biases 0, in the type the configuration names (f32 without one). The
/// same seed gives the same bytes. Tokenizer and processor files beside `config_file` are copied.
///
/// # Errors
/// As [`Config::from_json`]; [`Error::File`] if `dir` cannot be written or holds a checkpoint.
pub fn write_random(config_file: &Path, dir: &Path, seed: u64) -> Result<Config, Error> {
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
        &mut |spec| Ok(values(spec, seed)),
    )?;
    let target = dir.join("config.json");
    std::fs::write(&target, text).map_err(|e| fail(&target, e))?;
    let folder = config_file.parent().unwrap_or(Path::new(""));
    copy_side_files(folder, dir, &SIDE_FILES)?;
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

fn values(spec: &TensorSpec, seed: u64) -> Vec<f32> {
    if spec.shape.len() == 1 {
        let norm = spec.name.ends_with("norm.weight") || spec.name.contains(".norm");
        return vec![
            if norm && !spec.name.ends_with("bias") {
                1.0
            } else {
                0.0
            };
            spec.len()
        ];
    }
    let mut rng = StdRng::seed_from_u64(seed ^ fnv(&spec.name));
    let mut out = Vec::with_capacity(spec.len() + 1);
    while out.len() < spec.len() {
        // Box-Muller: two normals from two uniforms.
        let (u, v): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random::<f32>());
        let radius = (-2.0 * u.ln()).sqrt() * INITIALIZER_RANGE;
        let angle = std::f32::consts::TAU * v;
        out.extend([radius * angle.cos(), radius * angle.sin()]);
    }
    out.truncate(spec.len());
    out
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
}
