//! Picture and video files that are damaged, extreme or in a folder.

use glmv_processor::{Error, ImageSource, RgbImage, VideoSource};

use crate::refusals::{assert_mentions, checkpoint};
use crate::support::golden_dir;

/// A PNG header that claims the given size, with no picture behind it.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut crc = u32::MAX;
    for &byte in &chunk {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    [
        b"\x89PNG\r\n\x1a\n",
        13_u32.to_be_bytes().as_slice(),
        &chunk,
        &(!crc).to_be_bytes(),
        &[0, 0, 0, 0],
        b"IDAT",
        &[0x35, 0xAF, 0x06, 0x1E],
    ]
    .concat()
}

#[test]
fn bad_pictures_name_their_file() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).expect("writable");
        ImageSource::Path(dir.path().join(name))
    };
    let image = checkpoint().image;
    let bomb = write("bomb.png", &png_header(30_000, 30_000));
    let error = image.process(&bomb).expect_err("too large");
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_mentions(&error, &["bomb.png", "30000x30000"]);

    let mut damaged = std::fs::read(golden_dir().join("media/large.png")).expect("golden");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    assert_mentions(
        &image
            .process(&write("damaged.png", &damaged))
            .expect_err("damaged"),
        &["damaged.png"],
    );
    damaged.truncate(middle);
    assert_mentions(
        &image.process(&write("cut.png", &damaged)).expect_err("cut"),
        &["cut.png"],
    );
    assert_mentions(
        &image
            .process(&write("text.png", b"hello"))
            .expect_err("text"),
        &["text.png"],
    );
    let missing = ImageSource::Path(dir.path().join("missing.png"));
    assert_mentions(
        &image.process(&missing).expect_err("missing"),
        &["missing.png"],
    );

    let thin = dir.path().join("thin.png");
    RgbImage::new(400, 1).save(&thin).expect("writable");
    let error = image
        .process(&ImageSource::Path(thin))
        .expect_err("too thin");
    assert_mentions(&error, &["thin.png", "aspect ratio 400", "1x400"]);
    let dot = image
        .process(&ImageSource::Rgb(RgbImage::new(1, 1)))
        .expect("one pixel works");
    assert_eq!(dot.grid_thw, [[1, 4, 4]]);
}

#[test]
fn bad_videos_say_why() {
    let video = checkpoint().video;
    let frames = |frames: Vec<RgbImage>, fps| VideoSource::Frames {
        frames,
        fps,
        duration_secs: None,
    };
    let refuse = |source: &VideoSource, words: &[&str]| {
        assert_mentions(&video.process(source).expect_err("must be refused"), words);
    };
    let frame = || RgbImage::new(40, 40);
    refuse(&frames(vec![], None), &["0 frame"]);
    refuse(&frames(vec![], Some(5.0)), &["no frames"]);
    refuse(&frames(vec![frame()], None), &["1 frame(s)", "at least 2"]);
    refuse(
        &frames(vec![frame(), frame()], Some(f64::NAN)),
        &["fps", "NaN"],
    );
    refuse(
        &frames(vec![frame(), RgbImage::new(41, 40)], None),
        &["differ in size"],
    );
    refuse(
        &frames(vec![RgbImage::new(900, 2); 2], None),
        &["aspect ratio"],
    );
    let dir = tempfile::tempdir().expect("temporary folder");
    refuse(&VideoSource::Path(dir.path().to_owned()), &["no frames"]);
    refuse(
        &VideoSource::Path(dir.path().join("none.mp4")),
        &["none.mp4"],
    );
    let tensor = dir.path().join("clip.safetensors");
    std::fs::write(&tensor, b"12345678").expect("writable");
    refuse(&VideoSource::Path(tensor), &["clip.safetensors"]);
    // One frame at a rate is shown twice.
    let single = video
        .process(&frames(vec![frame()], Some(30.0)))
        .expect("one frame with a rate works");
    assert_eq!(single.frames_indices, [0, 0]);
}

#[test]
fn a_folder_of_frames_is_the_same_as_its_frames() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let frames: Vec<RgbImage> = (0..12_u8)
        .map(|i| RgbImage::from_pixel(40, 30, image::Rgb([i * 20, 5, 9])))
        .collect();
    for (i, frame) in frames.iter().enumerate() {
        frame
            .save(dir.path().join(format!("f{i}.png")))
            .expect("writable");
    }
    std::fs::write(dir.path().join("metadata.json"), r#"{"fps": 4.0}"#).expect("writable");
    let video = checkpoint().video;
    let from_folder = video
        .process(&VideoSource::Path(dir.path().to_owned()))
        .expect("valid");
    let direct = VideoSource::Frames {
        frames,
        fps: Some(4.0),
        duration_secs: None,
    };
    assert_eq!(from_folder, video.process(&direct).expect("valid"));
    assert_eq!(
        from_folder.frames_indices,
        [0_usize, 2, 4, 6, 8, 10, 11, 11].as_slice()
    );
    let given = VideoSource::from_folder(dir.path(), Some(2.0)).expect("valid");
    assert_ne!(video.process(&given).expect("valid"), from_folder);
}
