//! Tests of the `.y4m` reader.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn parse(bytes: Vec<u8>) -> Result<Y4m<Cursor<Vec<u8>>>, Error> {
    Y4m::new(Cursor::new(bytes), "test.y4m".to_owned())
}

fn file(header: &str, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("YUV4MPEG2 {header}\n").into_bytes();
    for frame in frames {
        out.extend(b"FRAME\n");
        out.extend(frame);
    }
    out
}

fn pixels(clip: &mut impl Clip, indices: &[usize]) -> Vec<RgbImage> {
    let mut out = Vec::new();
    clip.visit(indices, &mut |frame| {
        out.push(frame);
        Ok(())
    })
    .expect("valid");
    out
}

#[test]
fn every_layout_is_read() {
    // 3x3 pixels: chroma planes are 2x2, 2x3, 3x3 and absent.
    for (name, chroma) in [("C420jpeg", 4), ("C422", 6), ("C444", 9), ("Cmono", 0)] {
        let frames: Vec<Vec<u8>> = [16_u8, 126, 235]
            .map(|y| [vec![y; 9], vec![128; 2 * chroma]].concat())
            .to_vec();
        let mut clip =
            parse(file(&format!("W3 H3 F30000:1001 Ip A1:1 {name}"), &frames)).expect("valid");
        let info = clip.info();
        assert_eq!(info.num_frames, 3);
        assert!((info.fps.expect("known") - 29.97).abs() < 0.001);
        let out = pixels(&mut clip, &[0, 1, 2]);
        assert!(out[0].pixels().all(|p| p.0 == [0; 3]), "{name}");
        assert!(out[1].pixels().all(|p| p.0 == [128; 3]), "{name}");
        assert!(out[2].pixels().all(|p| p.0 == [255; 3]), "{name}");
    }
}

#[test]
fn colours_are_bt601() {
    // Pure red in limited range is (81, 90, 240), in full range (76, 85, 255).
    let mut limited = parse(file("W1 H1 C444", &[vec![81, 90, 240]])).expect("valid");
    assert_eq!(pixels(&mut limited, &[0])[0].get_pixel(0, 0).0, [255, 0, 0]);
    let mut full = parse(file("W1 H1 C444 XCOLORRANGE=FULL", &[vec![76, 85, 255]])).expect("valid");
    assert_eq!(pixels(&mut full, &[0])[0].get_pixel(0, 0).0, [254, 0, 0]);
}

#[test]
fn chroma_belongs_to_its_block() {
    // 4x2 pixels, 4:2:0: the left block is grey, the right one strongly red.
    let samples = vec![126, 126, 126, 126, 126, 126, 126, 126, 128, 128, 128, 240];
    let out = &pixels(&mut parse(file("W4 H2", &[samples])).expect("valid"), &[0])[0];
    assert_eq!(out.get_pixel(1, 1).0, [128; 3]);
    assert_eq!(out.get_pixel(2, 0).0[0], 255);
}

#[test]
fn malformed_files_are_errors_that_say_why() {
    let truncated = file("W4 H4 F5:1", &[vec![0; 24], vec![0; 23]]);
    let cases = [
        (
            truncated,
            "frame 1 is truncated: expected 24 bytes, found 23",
        ),
        (file("W4 H4 C420p10", &[]), "C420p10"),
        (file("H4", &[]), "W and H"),
        (file("W0 H4", &[]), "width"),
        (file("W4 H4 F0:5", &[]), "rate"),
        (file("W60000 H60000", &[]), "exceed"),
        (b"YUV4MPEG2 W4 H4".to_vec(), "cut off"),
        (b"YUV4MPEG2 W4 H4\nFRUME\n".to_vec(), "expected FRAME"),
    ];
    for (bytes, reason) in cases {
        let error = parse(bytes).err().expect("malformed").to_string();
        assert!(
            error.contains(reason) && error.contains("test.y4m"),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), header in 0..3_usize) {
        let headers: [&[u8]; 3] = [b"", b"YUV4MPEG2 ", b"YUV4MPEG2 W2 H2 F5:1\nFRAME\n"];
        bytes.splice(0..0, headers[header].iter().copied());
        if let Ok(mut clip) = parse(bytes) {
            let all: Vec<usize> = (0..clip.info().num_frames).collect();
            let _ = clip.visit(&all, &mut |_| Ok(()));
        }
    }
}
