//! Loading and writing back gives the bytes of the original tensors.

use crate::support::{checkpoint, devices};
use glmv::engine::Precision;
use glmv::model::{Checkpoint, Glm4v, StoreAs, save};

#[test]
fn f32_checkpoints_are_written_back_byte_equal() {
    for device in devices() {
        for name in ["glm4v-f32", "glm4v_moe-f32"] {
            let dir = tempfile::tempdir().unwrap();
            let (model, _) =
                Glm4v::load(&checkpoint(name), &device, Precision::F32, &|_, _| {}).unwrap();
            // Small shards, so that the index is exercised.
            save(&model, dir.path(), StoreAs::F32, 500_000).unwrap();
            assert!(dir.path().join("model.safetensors.index.json").is_file());
            let (old, new) = (
                Checkpoint::open(&checkpoint(name)).unwrap(),
                Checkpoint::open(dir.path()).unwrap(),
            );
            assert_eq!(
                old.names().collect::<Vec<_>>(),
                new.names().collect::<Vec<_>>()
            );
            for tensor in old.names() {
                let (a, b) = (old.get(tensor).unwrap(), new.get(tensor).unwrap());
                assert_eq!(a.shape, b.shape, "{tensor}");
                assert!(a.bytes == b.bytes, "{tensor} differs");
            }
        }
    }
}

#[test]
fn bf16_survives_a_trip_through_f32() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint("glm4v_moe-bf16");
    let device = burn::tensor::Device::flex();
    let (model, _) = Glm4v::load(&source, &device, Precision::F32, &|_, _| {}).unwrap();
    save(&model, dir.path(), StoreAs::BF16, u64::MAX).unwrap();
    let (old, new) = (
        Checkpoint::open(&source).unwrap(),
        Checkpoint::open(dir.path()).unwrap(),
    );
    for tensor in old.names() {
        assert!(
            old.get(tensor).unwrap().bytes == new.get(tensor).unwrap().bytes,
            "{tensor} differs"
        );
    }
}

#[test]
fn f16_files_load_as_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint("glm4v-f32");
    let device = burn::tensor::Device::flex();
    let (model, _) = Glm4v::load(&source, &device, Precision::F32, &|_, _| {}).unwrap();
    save(&model, dir.path(), StoreAs::F16, u64::MAX).unwrap();
    std::fs::copy(source.join("config.json"), dir.path().join("config.json")).unwrap();
    let (half, _) = Glm4v::load(dir.path(), &device, Precision::F32, &|_, _| {}).unwrap();
    let read = |m: &Glm4v| glmv::kernels::device::read(m.embed(&[1, 2, 3])).unwrap();
    let (full, half) = (read(&model), read(&half));
    for (f, h) in full.iter().zip(&half) {
        assert_eq!(half::f16::from_f32(*f).to_f32(), *h);
    }
    assert_ne!(full, half, "f16 must have rounded something");
}

#[test]
fn an_existing_checkpoint_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.safetensors"), b"precious").unwrap();
    let device = burn::tensor::Device::flex();
    let (model, _) = Glm4v::load(
        &checkpoint("glm4v-f32"),
        &device,
        Precision::F32,
        &|_, _| {},
    )
    .unwrap();
    let error = save(&model, dir.path(), StoreAs::F32, u64::MAX)
        .unwrap_err()
        .to_string();
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(
        std::fs::read(dir.path().join("model.safetensors")).unwrap(),
        b"precious"
    );
}

#[test]
fn a_fused_expert_layout_loads_like_the_split_one() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint("glm4v_moe-f32");
    let old = Checkpoint::open(&source).unwrap();
    let mut raw = glmv_testkit::RawSafetensors {
        metadata: Default::default(),
        tensors: vec![],
    };
    let mut push = |name: String, shape: Vec<usize>, data: Vec<u8>| {
        raw.tensors.push(glmv_testkit::RawTensor {
            name,
            dtype: "F32".into(),
            shape,
            data,
        });
    };
    for name in old.names().filter(|n| !n.contains(".experts.")) {
        let stored = old.get(name).unwrap();
        push(
            name.to_string(),
            stored.shape.to_vec(),
            stored.bytes.to_vec(),
        );
    }
    for layer in 1..3 {
        let prefix = format!("model.language_model.layers.{layer}.mlp.experts");
        let part = |e: usize, part: &str| {
            old.get(&format!("{prefix}.{e}.{part}.weight"))
                .unwrap()
                .bytes
                .to_vec()
        };
        let gate_up = (0..16)
            .flat_map(|e| [part(e, "gate_proj"), part(e, "up_proj")].concat())
            .collect();
        push(format!("{prefix}.gate_up_proj"), vec![16, 64, 64], gate_up);
        let down = (0..16).flat_map(|e| part(e, "down_proj")).collect();
        push(format!("{prefix}.down_proj"), vec![16, 64, 32], down);
    }
    raw.write(&dir.path().join("model.safetensors")).unwrap();
    std::fs::copy(source.join("config.json"), dir.path().join("config.json")).unwrap();
    let device = burn::tensor::Device::flex();
    let load = |dir: &std::path::Path| {
        Glm4v::load(dir, &device, Precision::F32, &|_, _| {})
            .unwrap()
            .0
    };
    let (fused, out) = (load(dir.path()), tempfile::tempdir().unwrap());
    save(&fused, out.path(), StoreAs::F32, u64::MAX).unwrap();
    let new = Checkpoint::open(out.path()).unwrap();
    for tensor in old.names() {
        assert!(
            old.get(tensor).unwrap().bytes == new.get(tensor).unwrap().bytes,
            "{tensor} differs"
        );
    }
}
