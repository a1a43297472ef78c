//! The binary, spawned.

use serde_json::Value;
use std::fmt;
use std::path::Path;
use std::process::Command;

/// Every kind.
pub const KINDS: [&str; 18] = [
    "smart_resize",
    "video_sampling",
    "image_processor",
    "video_processor",
    "chat_template",
    "rope_index",
    "rotary_text",
    "rotary_vision",
    "vision",
    "router",
    "moe",
    "model",
    "model_batch",
    "model_mixed",
    "model_bf16",
    "sft_grads",
    "sft_adamw",
    "grpo",
];

/// What a run left.
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The object that `--json` printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs `glmv verify DIR ARGS`; a panic of the program fails the test.
pub fn verify(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glmv"));
    let output = command
        .arg("verify")
        .arg(dir)
        .args(args)
        .output()
        .expect("glmv starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let output = Output {
        code: output.status.code().expect("no signal"),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    assert!(!output.stderr.contains("panicked"), "{output}");
    output
}
