//! The documents name what the program has.

use crate::root;
use std::process::Command;

fn help(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_glmv"))
        .args(args)
        .output()
        .expect("glmv starts");
    assert!(output.status.success(), "glmv {args:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The subcommands that `glmv --help` lists.
fn subcommands(help: &str) -> Vec<&str> {
    let list = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "));
    let names = list.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

/// The long options that `glmv COMMAND --help` lists.
fn options(help: &str) -> Vec<&str> {
    let lines = help.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with('-'));
    let words = lines.filter_map(|line| line.split([' ', ',']).find(|w| w.starts_with("--")));
    words.filter(|word| *word != "--help").collect()
}

/// True where `text` has `word` with no letter, digit or hyphen beside it.
fn mentions(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '-';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).expect("a readable document")
}

#[test]
fn the_documents_name_every_subcommand_and_option() {
    let (readme, architecture) = (document("README.md"), document("ARCHITECTURE.md"));
    let top = help(&["--help"]);
    let commands = subcommands(&top);
    assert!(commands.contains(&"run"), "{top}");
    let mut missing = Vec::new();
    for command in commands {
        let name = format!("glmv {command}");
        for (file, text) in [("README.md", &readme), ("ARCHITECTURE.md", &architecture)] {
            if !mentions(text, &name) {
                missing.push(format!("{file}: {name}"));
            }
        }
        for option in options(&help(&[command, "--help"])) {
            if !mentions(&readme, option) {
                missing.push(format!("README.md: {name} {option}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_documents_name_every_operation() {
    let architecture = document("ARCHITECTURE.md");
    for op in glmv::kernels::Op::ALL {
        assert!(mentions(&architecture, op.name()), "{}", op.name());
    }
}

/// What stands between backticks and looks like a path of this repository: it begins with one of its folders, or
/// with the name of a crate. Braces and stars stand for several names, capitals for any.
fn paths(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    let path = |span: &&str| {
        let first = span.split_once('/').map(|(first, _)| first);
        let ours = first.is_some_and(|first| {
            [
                "crates", "shaders", "assets", "tests", "benches", "examples",
            ]
            .contains(&first)
                || !first.is_empty() && root().join("crates").join(first).is_dir()
        });
        let general = |c: char| "{*".contains(c) || c.is_whitespace() || c.is_uppercase();
        ours && !span.contains(general)
    };
    spans.filter(path).collect()
}

#[test]
fn every_path_in_the_architecture_leads_somewhere() {
    let text = document("ARCHITECTURE.md");
    let paths = paths(&text);
    assert!(paths.len() > 40, "{}", paths.len());
    let bases = [root().to_owned(), root().join("crates")];
    let exists = |path: &str| bases.iter().any(|base| base.join(path).exists());
    let lost: Vec<&str> = paths.into_iter().filter(|path| !exists(path)).collect();
    assert_eq!(lost, Vec::<&str>::new());
}

#[test]
fn a_path_is_told_from_other_words() {
    let text = "`shaders/rope.wgsl` and `glmv-rl/src/gone.rs`, not `N/A`, `/nothink`, `glmv run`, `crates/NAME.rs`, `shaders/{a,b}.rs`, `a/b.rs`";
    assert_eq!(paths(text), ["shaders/rope.wgsl", "glmv-rl/src/gone.rs"]);
    assert!(!root().join("crates/glmv-rl/src/gone.rs").exists());
}

#[test]
fn a_missing_word_would_be_seen() {
    let text = "Use `glmv run --image FILE` or `glmv inspect`.";
    assert!(mentions(text, "glmv run") && mentions(text, "--image"));
    assert!(!mentions(text, "glmv ru") && !mentions(text, "--imag"));
    assert!(!mentions(text, "glmv doctor"));
    let help = "Commands:\n  run   Ask\n  help  Print\n\nOptions:\n  -h, --help  Print\n      --json  Object\n";
    assert_eq!(subcommands(help), ["run"]);
    assert_eq!(options(help), ["--json"]);
}
