//! Tests of the external decoder with shell scripts in place of the programs.

use std::os::unix::fs::PermissionsExt;

use super::*;

struct Fake {
    dir: tempfile::TempDir,
    decoder: ExternalDecoder,
}

/// Programs that run the given shell lines.
fn fake(ffprobe: &str, ffmpeg: &str) -> Fake {
    let dir = tempfile::tempdir().expect("temporary folder");
    let script = |name: &str, body: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("own file");
        path
    };
    std::fs::write(dir.path().join("clip.mp4"), "not really").expect("writable");
    let decoder = ExternalDecoder {
        ffprobe: script("ffprobe", ffprobe),
        ffmpeg: script("ffmpeg", ffmpeg),
        timeout: Duration::from_secs(20),
    };
    Fake { dir, decoder }
}

const REPORT: &str = r#"cat <<'END'
{"streams": [{"width": 2, "height": 1, "avg_frame_rate": "30000/1001", "nb_read_packets": "7",
 "side_data_list": [{"rotation": -90}]}], "format": {"duration": "0.25"}}
END"#;

impl Fake {
    fn open(&self) -> Result<ExternalClip, Error> {
        self.decoder.open(&self.dir.path().join("clip.mp4"))
    }

    fn visit(&self, indices: &[usize]) -> Result<Vec<RgbImage>, Error> {
        let mut out = Vec::new();
        self.open()?.visit(indices, &mut |frame| {
            out.push(frame);
            Ok(())
        })?;
        Ok(out)
    }
}

#[test]
fn frames_come_over_the_pipe() {
    let fake = fake(REPORT, "printf 'abcdefghijkl'");
    let info = fake.open().expect("described").info();
    assert_eq!((info.num_frames, info.duration_secs), (7, Some(0.25)));
    assert!((info.fps.expect("known") - 29.97).abs() < 0.001);
    let frames = fake.visit(&[0, 5]).expect("two frames");
    // The rotation makes 2x1 into 1x2.
    assert_eq!(frames[0].dimensions(), (1, 2));
    assert_eq!(frames[1].as_raw(), b"ghijkl");
}

#[test]
fn an_old_ffmpeg_gets_its_own_option() {
    let refuse =
        r#"case "$*" in *fps_mode*) echo "Unrecognized option 'fps_mode'." >&2; exit 1;; esac"#;
    let fake = fake(REPORT, &format!("{refuse}\nprintf 'abcdef'"));
    let frames = fake.visit(&[3]).expect("one frame");
    assert_eq!(frames[0].as_raw(), b"abcdef");
}

#[test]
fn failures_say_which_program_and_why() {
    let cases = [
        (fake(REPORT, "printf 'abc'"), "gave no frame 0"),
        (
            fake(REPORT, "echo 'moov atom not found' >&2; exit 1"),
            "moov atom not found",
        ),
        (fake("exit 3", ""), "ffprobe"),
        (fake("echo '{}'", ""), "no readable video stream"),
        (fake("echo nonsense", ""), "not JSON"),
    ];
    for (fake, reason) in cases {
        let error = fake.visit(&[0]).expect_err("fails").to_string();
        assert!(
            error.contains(reason) && error.contains("clip.mp4"),
            "{error}"
        );
    }
}

#[test]
fn a_missing_program_is_named() {
    let mut fake = fake("", "");
    fake.decoder.ffprobe = "glmv-no-such-program".into();
    let error = fake.open().expect_err("missing").to_string();
    assert!(
        error.contains("glmv-no-such-program") && error.contains("install ffmpeg"),
        "{error}"
    );
}

#[test]
fn a_program_that_hangs_is_ended() {
    let mut fake = fake(REPORT, "exec sleep 60");
    fake.decoder.timeout = Duration::from_secs(1);
    let start = std::time::Instant::now();
    let error = fake.visit(&[0]).expect_err("hangs").to_string();
    assert!(error.contains("took longer"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn neighbours_become_one_term() {
    assert_eq!(
        selection(&[0, 1, 2, 5, 9, 10]),
        "between(n,0,2)+between(n,5,5)+between(n,9,10)"
    );
}
