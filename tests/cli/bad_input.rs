//! Bad pictures, prompts, outputs and usage: a clear error that names the thing, exit 1 or 2.

use crate::program::{assert_clear_error, golden, say};
use std::path::Path;

fn run_with(args: &[&str]) -> crate::program::Said {
    let model = golden().join("glm4v-f32");
    let base = [
        "run",
        "--model",
        model.to_str().unwrap(),
        "--device",
        "cpu",
        "--max-new-tokens",
        "1",
    ];
    say(&[&base[..], args].concat())
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = Vec::new();
    let blank = image::RgbImage::new(1, 1);
    blank
        .write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)
        .unwrap();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
        })
    })
}

#[test]
fn bad_pictures_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_string()
    };
    let good = std::fs::read(golden().join("media/grad.png")).unwrap();
    let tall = dir.path().join("tall.png");
    image::RgbImage::new(1, 400).save(&tall).unwrap();
    let cases = [
        (write("corrupt.png", &good[..good.len() / 2]), "corrupt.png"),
        (write("garbage.png", b"not a picture at all"), "garbage.png"),
        (write("empty.png", b""), "empty.png"),
        (write("bomb.png", &png_header(30_000, 30_000)), "bomb.png"),
        (tall.to_str().unwrap().to_string(), "tall.png"),
        (
            dir.path().join("absent.png").to_str().unwrap().to_string(),
            "absent.png",
        ),
        (dir.path().to_str().unwrap().to_string(), "error"),
    ];
    for (path, name) in cases {
        assert_clear_error(&run_with(&["--image", &path, "What is this?"]), &[name]);
    }
}

#[test]
fn empty_and_too_long_prompts() {
    assert_clear_error(&run_with(&[""]), &["prompt is empty"]);
    assert_clear_error(&run_with(&["  \n"]), &["prompt is empty"]);
    let long = "word ".repeat(5000);
    assert_clear_error(&run_with(&[&long]), &["4096"]);
}

#[test]
fn unwritable_output_is_refused_before_the_model_runs() {
    let image = golden().join("media/grad.png");
    let image = image.to_str().unwrap();
    let cases = ["/nonexistent/folder/out.png", "out.jpg"];
    for out in cases {
        let said = run_with(&["--image", image, "--draw-boxes", out, "Where?"]);
        assert_clear_error(&said, &[]);
        assert!(said.stdout.is_empty(), "{}", said.stdout);
    }
    assert!(!Path::new("out.jpg").exists());
    assert_clear_error(
        &run_with(&["--draw-boxes", "out.png", "Where?"]),
        &["--image"],
    );
}

#[test]
fn usage_errors_have_code_2() {
    assert_eq!(say(&["run", "--no-such-flag"]).code, Some(2));
    assert_eq!(say(&["dance"]).code, Some(2));
    let said = say(&["gym", "eval"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("--model"), "{}", said.stderr);
    assert_eq!(say(&["--help"]).code, Some(0));
    assert_clear_error(
        &run_with(&["--temperature", "-1", "Hello"]),
        &["temperature"],
    );
    assert_clear_error(&run_with(&["--top-p", "2", "Hello"]), &["top_p"]);
}

#[test]
fn boxes_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("boxes.png");
    let image = golden().join("media/grad.png");
    let said = run_with(&[
        "--image",
        image.to_str().unwrap(),
        "--draw-boxes",
        out.to_str().unwrap(),
        "Where?",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(image::open(&out).is_ok());
}
