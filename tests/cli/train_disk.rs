//! A disk that takes no more while a run writes its checkpoint, and gradients that are not finite: what is
//! said, and what is left.

use crate::program::{Said, assert_clear_error};
use crate::train::{Place, bytes};
use std::process::Command;

/// The run with files of at most `blocks` times 512 bytes: what is longer fails to be written, as on a
/// full disk.
#[cfg(target_os = "linux")]
fn limited(place: &Place, out: &str, blocks: u64, more: &[&str]) -> Said {
    let command = place.command(out, more);
    let mut shell = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    shell.args(["-c", &script, "sh"]).arg(command.get_program());
    shell.args(command.get_args()).output().unwrap().into()
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_and_leaves_the_last_checkpoint() {
    let place = Place::new();
    let settings = ["--set", "train.steps=3", "--set", "rhythm.save_every=3"];
    let first = place.train("run", &settings);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let whole = bytes(&place.checkpoint("run", 3));
    let largest = whole.iter().map(|(_, data)| data.len()).max().unwrap();
    let on = [
        "--resume",
        "--set",
        "train.steps=6",
        "--set",
        "rhythm.save_every=1",
    ];
    let said = limited(&place, "run", (largest / 2 / 512) as u64, &on);
    assert_clear_error(
        &said,
        &["model.safetensors", "step-00000003", "after step 4"],
    );
    assert_eq!(place.steps("run"), ["step-00000003"]);
    assert_eq!(bytes(&place.checkpoint("run", 3)), whole);
    let partial = place.path("run/checkpoints/.partial-00000004");
    assert!(!partial.exists(), "what was half written is gone");
    // With room again the run goes on, as if nothing had been.
    let said = place.train("run", &on);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let straight = ["--set", "train.steps=6", "--set", "rhythm.save_every=3"];
    assert_eq!(place.train("other", &straight).code, Some(0));
    let (a, b) = (place.checkpoint("run", 6), place.checkpoint("other", 6));
    assert_eq!(bytes(&a), bytes(&b));
    // The limit is what failed: with twice as much the same run ends well.
    let enough = limited(&place, "third", (largest * 2 / 512) as u64, &settings);
    assert_eq!(enough.code, Some(0), "{}", enough.stderr);
}

#[test]
fn gradients_that_are_not_finite_name_step_file_and_checkpoint() {
    let place = Place::new();
    let wild = [
        "train.schedule.rate=1e38",
        "train.schedule.warmup=0",
        "train.patience=2",
        "rhythm.save_every=1",
    ];
    let more: Vec<&str> = wild.iter().flat_map(|set| ["--set", set]).collect();
    let said = place.train("run", &more);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert_clear_error(
        &said,
        &[
            "not finite",
            "2 steps in a row, up to step",
            "train.jsonl:",
            "last complete checkpoint",
        ],
    );
}

#[test]
fn means_of_eight_bits_resume_byte_for_byte() {
    let place = Place::new();
    let coded = ["--set", "train.adamw.states=8bit"];
    let run = |out: &str, more: &[&str]| {
        let said = place.train(out, &[&coded[..], more].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    };
    run("whole", &["--set", "train.steps=10"]);
    // As if the process had died behind the checkpoint of step 5.
    let early = place.checkpoint("whole", 5);
    for (name, data) in bytes(&early) {
        let path = place.checkpoint("parts", 5).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }
    run("parts", &["--resume", "--set", "train.steps=10"]);
    let (a, b) = (place.checkpoint("whole", 10), place.checkpoint("parts", 10));
    assert!(bytes(&a) == bytes(&b), "the resumed run differs");
    assert!(bytes(&early) != bytes(&b), "the control");
    // f32 means make other weights and larger files.
    let said = place.train("float", &["--set", "train.steps=10"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let float = bytes(&place.checkpoint("float", 10));
    assert!(float != bytes(&a));
    let size = |files: &[(std::path::PathBuf, Vec<u8>)]| -> usize {
        let of = files
            .iter()
            .filter(|(name, _)| name.starts_with("optimizer"));
        of.map(|(_, data)| data.len()).sum()
    };
    assert!(size(&bytes(&a)) * 2 < size(&float));
}
