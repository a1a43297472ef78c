//! A child of the user-reward protocol for the tests: scores 1 if the response is the reference,
//! and misbehaves where a response starts with `!`. The first argument may spoil the handshake.

use std::io::Write;
use std::time::Duration;

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let mut lines = std::io::stdin().lines();
    lines.next();
    match mode.as_str() {
        "silent" => std::thread::sleep(Duration::from_secs(60)),
        "version" => say("{\"protocol\":\"glmv-reward\",\"version\":2}"),
        "chatty" => say("Loading the model"),
        "dies" => {
            eprintln!("cannot find my weights");
            std::process::exit(7);
        }
        _ => say("{\"protocol\":\"glmv-reward\",\"version\":1}"),
    }
    for line in lines {
        let Ok(line) = line else { break };
        let request: serde_json::Value = serde_json::from_str(&line).expect("a request");
        let id = &request["id"];
        let text = |name: &str| request["sample"][name].as_str().expect("a text").to_owned();
        let response = text("response");
        let (fault, argument) = response.split_once(' ').unwrap_or((&response, ""));
        match fault {
            "!exit" => {
                eprintln!("Traceback: boom");
                std::process::exit(3);
            }
            "!exit-once" if std::fs::metadata(argument).is_err() => {
                std::fs::write(argument, "").expect("writable");
                std::process::exit(3);
            }
            "!hang" => std::thread::sleep(Duration::from_secs(60)),
            "!garbage" => say("I think it is good"),
            "!bytes" => {
                let mut out = std::io::stdout();
                out.write_all(b"\xff\xfe\n")
                    .and_then(|()| out.flush())
                    .expect("open");
            }
            "!long" => say(&"x".repeat(3 << 20)),
            "!nan" => say(&format!("{{\"id\": {id}, \"reward\": NaN}}")),
            "!huge" => say(&format!("{{\"id\": {id}, \"reward\": 1e300}}")),
            "!unknown" => say("{\"id\": 123456789, \"reward\": 1}"),
            "!twice" => {
                say(&format!("{{\"id\": {id}, \"reward\": 0.25}}"));
                say(&format!("{{\"id\": {id}, \"reward\": 0.75}}"));
            }
            "!error" => say(&format!("{{\"id\": {id}, \"error\": \"no reference\"}}")),
            "!pid" => say(&format!(
                "{{\"id\": {id}, \"reward\": {}}}",
                std::process::id()
            )),
            "!slow" => {
                std::thread::sleep(Duration::from_millis(100));
                say(&format!("{{\"id\": {id}, \"reward\": 1}}"));
            }
            // A child of the child that would outlive it.
            "!orphan" => {
                let own = std::env::current_exe().expect("a path");
                let mut child = std::process::Command::new(own)
                    .arg("silent")
                    .stdin(std::process::Stdio::null())
                    .spawn()
                    .expect("starts");
                std::fs::write(argument, child.id().to_string()).expect("writable");
                child.wait().expect("runs");
            }
            _ => {
                let reward = u8::from(response == text("ground_truth"));
                say(&format!("{{\"id\": {id}, \"reward\": {reward}}}"));
            }
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // A program that is gone is not this child's problem.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
