//! Pictures and videos in samples: their patches, their tokens without loss, cutting around them.

use glmv_data::{Fit, LongPolicy, VisualKind, fit};
use glmv_processor::{Modality, RenderOptions};
use serde_json::{Value, json};

use crate::support::{Folder, MOE, encoder, learnt, sample};

fn ask(images: usize) -> Value {
    let markers = "<image> and ".repeat(images);
    json!({
        "messages": [
            {"role": "user", "content": format!("{markers}what?")},
            {"role": "assistant", "content": "Red.", "reasoning_content": "see"},
        ],
        "images": (0..images).map(|i| format!("{i}.png")).collect::<Vec<_>>(),
    })
}

#[test]
fn patches_and_tokens_are_the_processors() {
    let folder = Folder::new();
    folder.picture("0.png", 80, 60, 10);
    folder.picture("1.png", 120, 40, 200);
    let encoder = encoder(MOE);
    let sample = sample(&folder, &ask(2));
    let encoded = encoder.encode(&sample).expect("encodes");
    let glmv_data::Body::Chat(conversation) = &sample.body else {
        panic!("a dialogue expected");
    };
    let inputs = encoder
        .processor()
        .process(conversation, &RenderOptions::default());
    let inputs = inputs.expect("inputs");
    // All but the end token, which no template writes behind the last answer.
    let own = encoded.input_ids.len() - 1;
    assert_eq!(encoded.input_ids[..own], inputs.input_ids);
    assert_eq!(encoded.modality[..own], inputs.modality);
    let patches = inputs.images.expect("pictures");
    let values = encoded.visuals.iter().flat_map(|v| &v.patches.pixel_values);
    assert!(values.eq(&patches.pixel_values));
    let grids: Vec<[u32; 3]> = encoded
        .visuals
        .iter()
        .map(|v| v.patches.grid_thw[0])
        .collect();
    assert_eq!(grids, patches.grid_thw);
    assert_eq!(encoded.visuals[1].source_size, Some([120, 40]));
    for visual in &encoded.visuals {
        let inner = &encoded.modality[visual.span.start + 1..visual.span.end - 1];
        assert!(inner.iter().all(|m| *m == Modality::Image));
        let ids = &encoder.processor().placeholders;
        assert_eq!(encoded.input_ids[visual.span.start], ids.image_start);
        assert_eq!(encoded.input_ids[visual.span.end - 1], ids.image_end);
    }
    let visual_tokens = encoded
        .modality
        .iter()
        .filter(|m| **m != Modality::Text)
        .count();
    let spans: usize = encoded.visuals.iter().map(|v| v.span.len() - 2).sum();
    assert_eq!(visual_tokens, spans);
}

#[test]
fn pictures_and_videos_in_running_text_have_no_loss() {
    let folder = Folder::new();
    folder.picture("a.png", 60, 60, 10);
    std::fs::create_dir(folder.path().join("clip")).expect("writable");
    for i in 0..4 {
        folder.picture(&format!("clip/{i}.png"), 60, 60, 20 * i);
    }
    let row = json!({"text": "one <image> two <video> three",
        "images": ["a.png"], "videos": ["clip"]});
    let encoder = encoder(MOE);
    let encoded = encoder.encode(&sample(&folder, &row)).expect("encodes");
    assert_eq!(
        learnt(&encoder, &encoded),
        "one ‖ two ‖ three<|endoftext|>‖"
    );
    let kinds: Vec<VisualKind> = encoded.visuals.iter().map(|v| v.kind).collect();
    assert_eq!(kinds, [VisualKind::Image, VisualKind::Video]);
    let video = encoded.modality[encoded.visuals[1].span.clone()].iter();
    assert!(video.filter(|m| **m == Modality::Video).count() > 0);
}

#[test]
fn a_cut_takes_whole_pictures() {
    let folder = Folder::new();
    folder.picture("a.png", 120, 120, 10);
    folder.picture("b.png", 120, 120, 20);
    let row = json!({"text": "one <image> two <image> three", "images": ["a.png", "b.png"]});
    let encoder = encoder(MOE);
    let encoded = encoder.encode(&sample(&folder, &row)).expect("encodes");
    let second = encoded.visuals[1].span.clone();
    assert!(second.len() > 4, "{second:?}");
    let mut inside = 0;
    for max in 3..encoded.input_ids.len() {
        let (left, gone) = match fit(encoded.clone(), max, LongPolicy::Cut).expect("no error") {
            Fit::Cut {
                encoded, visuals, ..
            } => (encoded, visuals),
            other => panic!("{max}: {other:?}"),
        };
        let tokens = left.input_ids.len();
        assert!(tokens <= max);
        assert_eq!(left.visuals.len() + gone, 2);
        assert!(left.visuals.iter().all(|v| v.span.end <= tokens));
        // As many visual tokens as the patches that are left ask for.
        let asked: usize = left.visuals.iter().map(|v| v.span.len() - 2).sum();
        assert_eq!(
            left.modality
                .iter()
                .filter(|m| **m != Modality::Text)
                .count(),
            asked
        );
        if second.start < max && max < second.end {
            assert_eq!((tokens, gone), (second.start, 1));
            inside += 1;
        }
    }
    assert_eq!(inside, second.len() - 1);
}

#[test]
fn media_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    folder.picture("0.png", 60, 60, 10);
    let encoder = encoder(MOE);
    let said = |row: &Value| {
        let error = encoder.encode(&sample(&folder, row)).expect_err("unusable");
        error.to_string()
    };
    let missing = said(&ask(2));
    let expected = "row.jsonl:1: image 2 (";
    assert!(
        missing.contains(expected) && missing.contains("1.png): cannot read"),
        "{missing}"
    );
    folder.text("1.png", "no picture");
    let broken = said(&ask(2));
    assert!(
        broken.contains("image 2 (") && broken.contains("1.png): picture"),
        "{broken}"
    );
    let mut written = ask(1);
    written["messages"][0]["content"] = json!("<|image|> is <image>");
    let error = said(&written);
    assert!(
        error.ends_with("2 pictures and videos in the tokens but 1 in the row"),
        "{error}"
    );
}
