//! Tensors above the device's buffer limit are split and still give the same numbers.

use crate::support::{checkpoint, devices, engine, max_diff, prompt};
use glmv::engine::{Precision, left_pad};
use glmv::kernels::device::read;
use glmv::model::{Batch, Checkpoint, Config, Glm4v, Loader, Pixels, Probe};

fn logits(model: &Glm4v, inputs: &glmv::processor::ModelInputs) -> Vec<f32> {
    let (sequences, _) = left_pad(&[inputs], 0, 2).unwrap();
    let images = inputs.images.as_ref().unwrap();
    let pixels = Pixels {
        values: &images.pixel_values,
        grids: &images.grid_thw,
    };
    let batch = Batch {
        sequences: &sequences,
        images: Some(pixels),
        videos: None,
    };
    let hidden = model.forward(&batch, None, &mut Probe::off()).unwrap();
    read(model.logits(hidden)).unwrap()
}

#[test]
fn a_small_buffer_limit_changes_nothing() {
    for device in devices() {
        for name in ["glm4v-f32", "glm4v_moe-f32"] {
            let engine = engine(name, &device, Precision::F32);
            let inputs = prompt(&engine, "What is in this picture?", true);
            let dir = checkpoint(name);
            let (config, stored) = (
                Config::from_dir(&dir).unwrap(),
                Checkpoint::open(&dir).unwrap(),
            );
            let loader =
                Loader::new(&stored, &device, Precision::F32, &|_, _| {}).with_limit(40_000);
            let (sharded, _) = Glm4v::from_loader(config, &loader).unwrap();
            assert!(
                sharded.embed_tokens.len() > 1,
                "the limit must split the embedding"
            );
            let (a, b) = (logits(engine.model(), &inputs), logits(&sharded, &inputs));
            let diff = max_diff(&a, &b);
            assert!(diff < 2e-5, "{name}: {diff}");
            let damaged: Vec<f32> = b.iter().map(|v| v * 1.01).collect();
            assert!(
                max_diff(&a, &damaged) > 2e-5,
                "the check must be able to fail"
            );
        }
    }
}

#[test]
fn a_limit_below_one_row_is_an_error() {
    let dir = checkpoint("glm4v-f32");
    let (config, stored) = (
        Config::from_dir(&dir).unwrap(),
        Checkpoint::open(&dir).unwrap(),
    );
    let device = burn::tensor::Device::flex();
    let loader = Loader::new(&stored, &device, Precision::F32, &|_, _| {}).with_limit(64);
    let error = Glm4v::from_loader(config, &loader).unwrap_err().to_string();
    assert!(error.contains("one row of"), "{error}");
}
