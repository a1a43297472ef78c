use super::*;
use crate::{Tensors, workspace_golden_dir};

const NORM: &str = "model.language_model.norm.weight";

fn copy(model: &str) -> CheckpointCopy {
    CheckpointCopy::of(&workspace_golden_dir().join(model)).expect("a golden checkpoint")
}

fn find(copy: &CheckpointCopy, name: &str) -> Option<RawTensor> {
    let shards = copy.shards().expect("readable");
    let all = shards
        .iter()
        .flat_map(|path| RawSafetensors::read(path).expect("valid").tensors);
    all.into_iter().find(|tensor| tensor.name == name)
}

fn index_of(copy: &CheckpointCopy, name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(copy.path().join("model.safetensors.index.json"));
    let index: Value = serde_json::from_str(&text.expect("an index")).expect("JSON");
    index["weight_map"].get(name).cloned()
}

#[test]
fn rewriting_keeps_everything() {
    for model in ["glm4v-f32", "glm4v_moe-bf16"] {
        let copy = copy(model);
        for shard in copy.shards().expect("readable") {
            let before = RawSafetensors::read(&shard).expect("valid");
            assert!(!before.tensors.is_empty());
            before.write(&shard).expect("writable");
            assert_eq!(RawSafetensors::read(&shard).expect("valid"), before);
        }
    }
}

#[test]
fn bytes_can_be_broken() {
    let copy = copy("glm4v-f32");
    let shards = copy.shards().expect("readable");
    assert_eq!(shards.len(), 3);
    let len = std::fs::metadata(&shards[1]).expect("there").len();
    copy.truncate_shard(1).expect("writable");
    assert_eq!(std::fs::metadata(&shards[1]).expect("there").len(), len - 1);
    assert!(matches!(
        RawSafetensors::read(&shards[1]),
        Err(Error::Safetensors { .. })
    ));
    copy.set_header_len(0, 1 << 60).expect("writable");
    let bytes = std::fs::read(&shards[0]).expect("readable");
    assert_eq!(bytes[..8], (1_u64 << 60).to_le_bytes());
    assert!(Tensors::read(&shards[0]).is_err());
    assert!(copy.truncate_shard(9).is_err());
    copy.remove("config.json").expect("there");
    assert!(copy.remove("config.json").is_err());
}

#[test]
fn tensors_can_be_broken() {
    let copy = copy("glm4v-f32");
    let before = find(&copy, NORM).expect("there");
    copy.poison_tensor(NORM, 1).expect("floats");
    let poisoned = find(&copy, NORM).expect("there");
    let value =
        |at: usize| f32::from_le_bytes(poisoned.data[4 * at..4 * at + 4].try_into().expect("4"));
    assert!(value(1).is_nan() && !value(0).is_nan() && poisoned.shape == before.shape);
    assert!(copy.poison_tensor(NORM, 1 << 20).is_err());
    copy.reshape_tensor(NORM, &[3, 5]).expect("there");
    let reshaped = find(&copy, NORM).expect("there");
    assert_eq!((reshaped.shape, reshaped.data.len()), (vec![3, 5], 60));
    copy.drop_tensor(NORM).expect("there");
    assert!(find(&copy, NORM).is_none() && index_of(&copy, NORM).is_none());
    assert!(matches!(copy.drop_tensor(NORM), Err(Error::Tensor { .. })));
    copy.add_tensor("extra.weight", &[2, 2]).expect("writable");
    assert_eq!(find(&copy, "extra.weight").expect("there").data.len(), 16);
    assert!(index_of(&copy, "extra.weight").is_some());
}

#[test]
fn half_precision_gets_its_own_nan() {
    let copy = copy("glm4v-bf16");
    copy.poison_tensor(NORM, 0).expect("floats");
    let tensor = find(&copy, NORM).expect("there");
    assert_eq!(tensor.dtype, "BF16");
    assert!(bf16::from_le_bytes([tensor.data[0], tensor.data[1]]).is_nan());
}

#[test]
fn config_can_be_edited() {
    let copy = copy("glm4v-f32");
    copy.edit_config(|config| config["model_type"] = "other".into())
        .expect("JSON");
    let text = std::fs::read_to_string(copy.path().join("config.json")).expect("readable");
    assert!(text.contains(r#""model_type":"other""#));
    let original = workspace_golden_dir().join("glm4v-f32/config.json");
    assert!(
        !std::fs::read_to_string(original)
            .expect("readable")
            .contains("other")
    );
}
