//! Pictures and videos to rows and grids.

use glmv_processor::{ImageSource, Processor, VideoSource};
use serde_json::{Value, json};

use crate::support::{
    Tensors, cases, golden_dir, list, modality_ids, processor, same_bits, string, unsigned,
    with_control,
};

fn picture(file: &Value) -> ImageSource {
    ImageSource::Path(golden_dir().join(string(file)))
}

fn check_picture(processor: &Processor, name: &str, info: &Value, tensors: &Tensors) {
    let source = picture(&info["file"]);
    let resized = processor.image.resized(&source).expect("a valid picture");
    let want = tensors.u8(&format!("{name}.resized_u8_torchvision"));
    let shape = [resized.height() as usize, resized.width() as usize, 3];
    assert_eq!(
        tensors.shape(&format!("{name}.resized_u8_torchvision")),
        shape,
        "{name}"
    );
    let differing = |got: &[u8]| got.iter().zip(want).filter(|(g, w)| g != w).count();
    assert_eq!(
        differing(resized.as_raw()),
        0,
        "{name}: resized bytes differ"
    );
    let mut perturbed = resized.as_raw().clone();
    perturbed[5] ^= 1;
    assert_eq!(
        differing(&perturbed),
        1,
        "{name}: the comparison misses a wrong byte"
    );

    let patches = processor.image.process(&source).expect("a valid picture");
    assert_eq!(
        patches.grid_thw,
        tensors.grids(&format!("{name}.grid_thw")),
        "{name}"
    );
    let want = tensors.f32(&format!("{name}.pixel_values"));
    assert_eq!(
        patches.row_len,
        tensors.shape(&format!("{name}.pixel_values"))[1],
        "{name}"
    );
    let total: u32 = patches.grid_thw[0].iter().product();
    assert_eq!(patches.num_patches(), total as usize, "{name}");
    let stored = &patches.pixel_values[..want.len()];
    with_control(stored, name, |got| same_bits(got, &want));
}

#[test]
fn pictures_match_bit_for_bit() {
    let mut checked = 0;
    for case in cases(&["image_processor"]) {
        let (processor, tensors) = (processor(&case), Tensors::of(&case));
        for (name, info) in case["images"].as_object().expect("pictures") {
            if name == "batch" {
                check_batch(&processor, info, &tensors);
            } else {
                check_picture(&processor, name, info, &tensors);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 12, "pictures checked");
}

/// Two pictures in one call: rows one after the other.
fn check_batch(processor: &Processor, info: &Value, tensors: &Tensors) {
    let images: Vec<ImageSource> = list(&info["files"]).iter().map(picture).collect();
    let prompt = "<|image|> <|image|>";
    let patches = processor
        .process_prompt(prompt, &images, &[])
        .expect("valid")
        .images
        .expect("pictures");
    assert_eq!(patches.grid_thw, tensors.grids("batch.grid_thw"));
    assert_eq!(patches.num_patches() as u64, unsigned(&info["rows"]));
    let sum: f64 = patches.pixel_values.iter().map(|&v| f64::from(v)).sum();
    let want = info["sum"].as_f64().expect("a sum");
    assert!(
        (sum - want).abs() <= 1e-6 * want.abs(),
        "{sum} instead of {want}"
    );
}

/// The frames of a golden clip with the rate and length of the case.
pub fn clip(file: &Value, fps: &Value, duration: &Value) -> VideoSource {
    let bytes = std::fs::read(golden_dir().join(string(file))).expect("clip");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let frames = tensors.tensor("frames").expect("frames");
    let &[_, height, width, 3] = frames.shape() else {
        panic!("shape {:?}", frames.shape())
    };
    let side = |n: usize| u32::try_from(n).expect("small");
    let frame = |data: &[u8]| {
        glmv_processor::RgbImage::from_raw(side(width), side(height), data.to_vec())
            .expect("a frame")
    };
    VideoSource::Frames {
        frames: frames
            .data()
            .chunks_exact(height * width * 3)
            .map(frame)
            .collect(),
        fps: fps.as_f64(),
        duration_secs: duration.as_f64(),
    }
}

#[test]
fn videos_match_bit_for_bit() {
    for case in cases(&["video_processor"]) {
        let (processor, tensors) = (processor(&case), Tensors::of(&case));
        let id = string(&case["id"]);
        let source = clip(
            &case["file_in"],
            &case["metadata"]["fps"],
            &case["metadata"]["duration"],
        );
        let video = processor.video.process(&source).expect("a valid clip");
        assert_eq!(json!(video.frames_indices), case["frames_indices"], "{id}");
        assert_eq!(json!(video.timestamps_secs), case["timestamps"], "{id}");
        assert_eq!(
            json!(video.pair_seconds),
            case["frame_seconds_in_text"],
            "{id}"
        );
        assert_eq!(
            video.patches.grid_thw,
            tensors.grids("video_grid_thw"),
            "{id}"
        );
        let want = tensors.f32("pixel_values_videos");
        with_control(&video.patches.pixel_values, id, |got| same_bits(got, &want));

        let prompt = "[gMASK]<sop><|user|>\n<|begin_of_video|><|video|><|end_of_video|>Describe.<|assistant|>\n";
        let expanded = processor
            .expand_prompt(prompt, &[], &[video])
            .expect("one video");
        assert_eq!(expanded, string(&case["expanded_text"]), "{id}");
        let inputs = processor
            .process_prompt(prompt, &[], &[source])
            .expect("valid");
        assert_eq!(inputs.input_ids, tensors.u32("input_ids"), "{id}");
        assert_eq!(
            modality_ids(&inputs.modality),
            tensors.u32("mm_token_type_ids"),
            "{id}"
        );
    }
}

#[test]
fn a_tensor_file_is_the_same_as_its_frames() {
    let case = &cases(&["video_processor"])[0];
    let processor = processor(case);
    let path = VideoSource::Path(golden_dir().join(string(&case["file_in"])));
    let frames = clip(&case["file_in"], &Value::Null, &Value::Null);
    let from_path = processor.video.process(&path).expect("readable");
    assert_eq!(from_path, processor.video.process(&frames).expect("valid"));
    // 23 frames without a rate: all are shown, the last twice, at 24 frames per second.
    assert_eq!(from_path.frames_indices.len(), 23);
    assert_eq!(from_path.patches.grid_thw[0][0], 12);
    assert_eq!(from_path.pair_seconds, [0; 12]);
}
