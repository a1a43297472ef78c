//! Prompts with pictures and videos to everything the model takes.

use glmv_processor::{ImageSource, ModelInputs, VideoSource, VisualPatches};
use serde_json::Value;

use crate::support::{
    Tensors, cases, golden_dir, list, modality_ids, processor, same_bits, string, with_control,
};
use crate::visual::clip;

fn process(case: &Value) -> ModelInputs {
    let images = list(&case["images"]).iter();
    let images: Vec<ImageSource> = images
        .map(|file| ImageSource::Path(golden_dir().join(string(file))))
        .collect();
    let video = &case["video"];
    let videos: Vec<VideoSource> = match video.is_object() {
        true => vec![clip(&video["file"], &video["fps"], &video["duration"])],
        false => Vec::new(),
    };
    let inputs = processor(case).process_prompt(string(&case["prompt"]), &images, &videos);
    inputs.unwrap_or_else(|e| panic!("{}: {e}", case["id"]))
}

fn check_patches(
    patches: Option<&VisualPatches>,
    tensors: &Tensors,
    values: &str,
    grids: &str,
    id: &str,
) {
    match patches {
        None => assert!(!tensors.has(values), "{id}: {values} is missing"),
        Some(patches) => {
            assert_eq!(patches.grid_thw, tensors.grids(grids), "{id}: {grids}");
            let want = tensors.f32(values);
            with_control(&patches.pixel_values, id, |got| same_bits(got, &want));
        }
    }
}

#[test]
fn prompts_match() {
    let cases = cases(&["model", "model_mixed", "model_bf16"]);
    assert_eq!(cases.len(), 12, "cases with a prompt");
    for case in &cases {
        let (id, inputs, tensors) = (string(&case["id"]), process(case), Tensors::of(case));
        assert_eq!(inputs.prompt, string(&case["prompt"]), "{id}");
        let want = tensors.u32("input_ids");
        assert_eq!(inputs.input_ids, want, "{id}: input_ids");
        let kinds = tensors.u32("mm_token_type_ids");
        assert_eq!(
            modality_ids(&inputs.modality),
            kinds,
            "{id}: mm_token_type_ids"
        );
        if kinds.iter().any(|&k| k != 0) {
            let mut flipped = inputs.modality.clone();
            flipped.reverse();
            assert_ne!(
                modality_ids(&flipped),
                kinds,
                "{id}: the order does not matter to the comparison"
            );
        }
        check_patches(
            inputs.images.as_ref(),
            &tensors,
            "pixel_values",
            "image_grid_thw",
            id,
        );
        check_patches(
            inputs.videos.as_ref(),
            &tensors,
            "pixel_values_videos",
            "video_grid_thw",
            id,
        );
    }
}

#[test]
fn placeholders_equal_patches_over_merge_squared() {
    for case in &cases(&["model", "model_mixed"]) {
        let inputs = process(case);
        let patches = [&inputs.images, &inputs.videos].into_iter().flatten();
        let total: usize = patches.map(VisualPatches::num_patches).sum();
        let visual = modality_ids(&inputs.modality)
            .iter()
            .filter(|&&k| k != 0)
            .count();
        assert_eq!(visual * 4, total, "{}", case["id"]);
    }
}

#[test]
fn left_padded_batches_match_their_rows() {
    let prompts = cases(&["model"]);
    for batch in cases(&["model_batch"]) {
        let tensors = Tensors::of(&batch);
        let seq = tensors.shape("input_ids")[1];
        let (batch_ids, mask) = (tensors.u32("input_ids"), tensors.u32("attention_mask"));
        let kinds = tensors.u32("mm_token_type_ids");
        for (row, name) in ["text", "two_images"].into_iter().enumerate() {
            let id = format!(
                "{}.{name}",
                string(&batch["id"]).replace(".batch_left_pad", "")
            );
            let case = prompts
                .iter()
                .find(|c| c["id"] == id.as_str())
                .expect("the row's own case");
            let inputs = process(case);
            let start = row * seq + mask[row * seq..][..seq].iter().filter(|&&m| m == 0).count();
            assert_eq!(inputs.input_ids, batch_ids[start..(row + 1) * seq], "{id}");
            assert_ne!(
                inputs.input_ids,
                batch_ids[row * seq..(row + 1) * seq - 1],
                "{id}: control"
            );
            assert_eq!(
                modality_ids(&inputs.modality),
                kinds[start..(row + 1) * seq],
                "{id}"
            );
            if inputs.images.is_some() {
                check_patches(
                    inputs.images.as_ref(),
                    &tensors,
                    "pixel_values",
                    "image_grid_thw",
                    &id,
                );
            }
        }
    }
}
