//! Weights of 8 and 4 bits: equal to f32 on the dequantised weights, the same from a quantised
//! folder as from the original, close to the original, and clear errors for broken folders.

use crate::support::{checkpoint, devices, engine, max_diff, prompt};
use burn::tensor::Device;
use glmv::engine::left_pad;
use glmv::kernels::device::read;
use glmv::model::*;
use glmv::processor::{Modality, ModelInputs, VisualPatches};
use glmv::quant::Format;
use std::path::Path;

const NAMES: [&str; 2] = ["glm4v-f32", "glm4v_moe-f32"];
const PRECISIONS: [Precision; 2] = [Precision::Q8, Precision::Q4];

fn load(dir: &Path, device: &Device, precision: Precision) -> Glm4v {
    Glm4v::load(dir, device, precision, &|_, _| {}).unwrap().0
}

/// Logits of every position, `[seq, vocab]`.
fn logits(model: &Glm4v, inputs: &ModelInputs) -> Vec<f32> {
    let (sequences, _) = left_pad(&[inputs], 0, 2).unwrap();
    fn pixels(patches: &VisualPatches) -> Pixels<'_> {
        Pixels {
            values: &patches.pixel_values,
            grids: &patches.grid_thw,
        }
    }
    let (images, videos) = (inputs.images.as_ref(), inputs.videos.as_ref());
    let batch = Batch {
        sequences: &sequences,
        images: images.map(pixels),
        videos: videos.map(pixels),
    };
    let hidden = model.forward(&batch, None, &mut Probe::off()).unwrap();
    read(model.logits(hidden)).unwrap()
}

/// Prompts of a few and of many tokens, so that every kernel runs.
fn prompts(name: &str) -> Vec<ModelInputs> {
    let engine = engine(name, &Device::flex(), Precision::F32);
    vec![
        prompt(&engine, "Hello, who are you?", false),
        prompt(&engine, "What is in this picture?", true),
    ]
}

fn best(row: &[f32]) -> usize {
    let (mut at, mut most) = (0, f32::MIN);
    for (i, v) in row.iter().enumerate() {
        if *v > most {
            (at, most) = (i, *v);
        }
    }
    at
}

fn choices(logits: &[f32], vocab: usize) -> Vec<usize> {
    logits.chunks(vocab).map(best).collect()
}

#[test]
fn codes_answer_like_f32_on_the_dequantised_weights() {
    for name in NAMES {
        let prompts = prompts(name);
        for device in devices() {
            for precision in PRECISIONS {
                let model = load(&checkpoint(name), &device, precision);
                let dir = tempfile::tempdir().unwrap();
                save(&model, dir.path(), StoreAs::F32, u64::MAX).unwrap();
                let config = checkpoint(name).join("config.json");
                std::fs::copy(config, dir.path().join("config.json")).unwrap();
                let plain = load(dir.path(), &device, Precision::F32);
                for inputs in &prompts {
                    let (codes, floats) = (logits(&model, inputs), logits(&plain, inputs));
                    let diff = max_diff(&codes, &floats);
                    assert!(diff <= 2e-4, "{name} {precision:?}: {diff}");
                    let vocab = model.config().text.vocab_size;
                    assert_eq!(choices(&codes, vocab), choices(&floats, vocab), "{name}");
                }
                // A control: the original is not within that distance.
                let original = load(&checkpoint(name), &device, Precision::F32);
                let diff = max_diff(
                    &logits(&model, &prompts[0]),
                    &logits(&original, &prompts[0]),
                );
                assert!(diff > 2e-4, "{name} {precision:?}: {diff}");
            }
        }
    }
}

#[test]
fn a_quantised_folder_gives_the_same_bits() {
    for name in [NAMES[0], NAMES[1], "glm4v_moe-bf16"] {
        let prompts = prompts(name);
        for (format, vision) in [
            (Format::Q8, Precision::F16),
            (Format::Q4, Precision::F16),
            (Format::Q4, Precision::Q8),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let what = Quantisation {
                weights: format,
                vision,
            };
            // Small shards, so that the index is exercised.
            quantise_checkpoint(&checkpoint(name), dir.path(), what, 100_000, &|_, _| {}).unwrap();
            assert!(dir.path().join("model.safetensors.index.json").is_file());
            assert!(dir.path().join("tokenizer.json").is_file());
            for device in devices() {
                let stored = load(dir.path(), &device, format.into());
                let source = Checkpoint::open(&checkpoint(name)).unwrap();
                let config = Config::from_dir(&checkpoint(name)).unwrap();
                let loader = Loader::new(&source, &device, format.into(), &|_, _| {});
                let loader = loader.with_vision(vision);
                let (fresh, _) = Glm4v::from_loader(config, &loader).unwrap();
                for inputs in &prompts {
                    assert_eq!(logits(&stored, inputs), logits(&fresh, inputs), "{name}");
                }
                // In shards, as on a device with small buffers.
                let files = Checkpoint::open(dir.path()).unwrap();
                assert_eq!(files.precision(), Some(format.into()));
                let config = Config::from_dir(dir.path()).unwrap();
                let loader = Loader::new(&files, &device, format.into(), &|_, _| {});
                let (split, _) = Glm4v::from_loader(config, &loader.with_limit(12_000)).unwrap();
                assert!(split.embed_tokens.len() > 1);
                let diff = max_diff(&logits(&split, &prompts[1]), &logits(&stored, &prompts[1]));
                assert!(diff < 2e-5, "{name}: {diff}");
            }
        }
    }
}

#[test]
fn a_quantised_folder_also_loads_as_floats() {
    let dir = tempfile::tempdir().unwrap();
    let what = Quantisation {
        weights: Format::Q4,
        vision: Precision::F16,
    };
    let name = NAMES[1];
    quantise_checkpoint(&checkpoint(name), dir.path(), what, u64::MAX, &|_, _| {}).unwrap();
    let device = Device::flex();
    let (codes, floats) = (
        load(dir.path(), &device, Precision::Q4),
        load(dir.path(), &device, Precision::F32),
    );
    let inputs = &prompts(name)[0];
    let diff = max_diff(&logits(&codes, inputs), &logits(&floats, inputs));
    assert!(diff <= 2e-4, "{diff}");
    // Other codes than the file's would lose twice.
    let error = Glm4v::load(dir.path(), &device, Precision::Q8, &|_, _| {}).unwrap_err();
    assert!(
        error.to_string().contains("holds q4, q8 was asked for"),
        "{error}"
    );
    // And so would quantising again.
    let again = tempfile::tempdir().unwrap();
    let error = quantise_checkpoint(dir.path(), again.path(), what, u64::MAX, &|_, _| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains("quantised already"), "{error}");
}

/// A golden prompt with the tokens that transformers answered, and where its answer begins.
struct Forced {
    inputs: ModelInputs,
    answer: Vec<i64>,
    start: usize,
}

/// Every golden case of one prompt with an answer.
fn forced(name: &str) -> Vec<Forced> {
    let set = glmv_testkit::GoldenSet::open(&glmv_testkit::golden_dir()).unwrap();
    let cases = set
        .of_kind("model")
        .filter(|case| case.model.as_deref() == Some(name));
    let read = |case: &glmv_testkit::Case| {
        let tensors = case.load(&set).unwrap();
        let ints = |name: &str| tensors.i64(name).unwrap().0;
        if tensors.shape("input_ids").unwrap()[0] != 1 {
            return None;
        }
        let patches = |values: &str, grids: &str| {
            tensors.contains(values).then(|| VisualPatches {
                pixel_values: tensors.f32(values).unwrap().0,
                row_len: tensors.shape(values).unwrap()[1],
                grid_thw: ints(grids)
                    .chunks(3)
                    .map(|g| [g[0] as u32, g[1] as u32, g[2] as u32])
                    .collect(),
            })
        };
        let kinds = [Modality::Text, Modality::Image, Modality::Video];
        let mut inputs = ModelInputs {
            prompt: String::new(),
            input_ids: ints("input_ids").iter().map(|id| *id as u32).collect(),
            modality: ints("mm_token_type_ids")
                .iter()
                .map(|k| kinds[*k as usize])
                .collect(),
            images: patches("pixel_values", "image_grid_thw"),
            videos: patches("pixel_values_videos", "video_grid_thw"),
        };
        let (answer, start) = (ints("generated"), inputs.input_ids.len() - 1);
        for token in &answer[..answer.len() - 1] {
            inputs.input_ids.push(*token as u32);
            inputs.modality.push(Modality::Text);
        }
        Some(Forced {
            inputs,
            answer,
            start,
        })
    };
    cases.filter_map(read).collect()
}

#[test]
fn eight_bits_choose_the_golden_tokens() {
    for name in NAMES {
        let cases = forced(name);
        assert_eq!(cases.len(), 4, "text, image, two images, video");
        for device in devices() {
            let agreement = |precision| {
                let model = load(&checkpoint(name), &device, precision);
                let (mut same, mut all) = (0, 0);
                for case in &cases {
                    let rows = choices(
                        &logits(&model, &case.inputs),
                        model.config().text.vocab_size,
                    );
                    let got = rows[case.start..].iter().zip(&case.answer);
                    same += got.filter(|(g, w)| **g as i64 == **w).count();
                    all += case.answer.len();
                }
                same as f64 / all as f64
            };
            let shares = Precision::ALL.map(agreement);
            println!("{name}: argmax agreement with transformers, f32 f16 q8 q4: {shares:.3?}");
            assert_eq!(shares[0], 1.0, "{name}: f32");
            assert!(shares[2] >= 0.9, "{name}: {shares:?}");
            // A control: four bits of such narrow rows must show.
            assert!(shares[3] < 1.0, "{name}: {shares:?}");
        }
    }
}

#[test]
fn broken_folders_are_named() {
    let source = checkpoint(NAMES[1]);
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let what = Quantisation {
            weights: Format::Q8,
            vision: Precision::F16,
        };
        quantise_checkpoint(&source, dir.path(), what, u64::MAX, &|_, _| {}).unwrap();
        dir
    };
    let fails = |dir: &Path| {
        let device = Device::flex();
        Glm4v::load(dir, &device, Precision::Q8, &|_, _| {})
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    // Rewrites the header in place; the replacement is as long as what it replaces.
    let edit = |dir: &Path, from: &str, to: &str| {
        let path = dir.join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes());
        let at = at.expect("the header has it");
        assert_eq!(from.len(), to.len());
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, bytes).unwrap();
    };

    let dir = make();
    let path = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    assert!(fails(dir.path()).contains("not a valid safetensors file"));

    let dir = make();
    edit(dir.path(), "\"version\":\"1\"", "\"version\":\"9\"");
    assert!(
        fails(dir.path()).contains("layout version 9"),
        "{}",
        fails(dir.path())
    );

    let dir = make();
    edit(dir.path(), "lm_head.weight.scales", "lm_head.weight.scalez");
    assert!(
        fails(dir.path()).contains("codes but no scales"),
        "{}",
        fails(dir.path())
    );

    let dir = make();
    edit(
        dir.path(),
        "\"lm_head.weight\":\"q8\"",
        "\"lm_head.weight\":\"q4\"",
    );
    assert!(
        fails(dir.path()).contains("codes are U32"),
        "{}",
        fails(dir.path())
    );

    let dir = make();
    edit(
        dir.path(),
        "\"lm_head.weight\":\"q8\"",
        "\"lm_head.weight\":\"q5\"",
    );
    assert!(
        fails(dir.path()).contains("unknown storage"),
        "{}",
        fails(dir.path())
    );

    // The scales of the last tensor, the head's, lie at the end of the file: one becomes infinite.
    let dir = make();
    let path = dir.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&0x7c00u16.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(
        fails(dir.path()).contains("scale is infinite"),
        "{}",
        fails(dir.path())
    );

    // A folder that holds weights is left alone.
    let dir = make();
    let what = Quantisation {
        weights: Format::Q4,
        vision: Precision::F16,
    };
    let error = quantise_checkpoint(&source, dir.path(), what, u64::MAX, &|_, _| {});
    assert!(error.unwrap_err().to_string().contains("exists already"));
}
