//! The interactive chat: history, /image, /video, /clear, /exit.

use super::{turn, user_message};
use crate::args::RunArgs;
use crate::session::Session;
use glmv_engine::{Conversation, Message, Role};
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "/image FILE and /video FILE add to the next question, /clear starts anew, \
                    /exit or end of input leaves";

/// Reads questions line by line until the end of input. An error in one turn is printed and the
/// chat goes on with the history before it.
pub fn run(args: &RunArgs, session: &mut Session) -> anyhow::Result<ExitCode> {
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        eprintln!("{HELP}");
    }
    let mut conversation = Conversation::default();
    let (mut images, mut videos) = (args.image.clone(), args.video.clone());
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if interactive {
            eprint!("> ");
            std::io::stderr().flush()?;
        }
        let Some(line) = lines.next().transpose()? else {
            break;
        };
        let line = line.trim();
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "" => {}
            "/exit" => break,
            "/help" => eprintln!("{HELP}"),
            "/clear" => {
                conversation = Conversation::default();
                (images, videos) = (Vec::new(), Vec::new());
            }
            "/image" => attach(&mut images, rest),
            "/video" => attach(&mut videos, rest),
            _ if command.starts_with('/') => eprintln!("error: unknown command {command}; {HELP}"),
            _ => {
                conversation
                    .messages
                    .push(user_message(&images, &videos, line));
                match turn::run(args, session, &conversation) {
                    Ok(answer) => {
                        (images, videos) = (Vec::new(), Vec::new());
                        conversation.messages.push(assistant(answer));
                    }
                    Err(error) => {
                        conversation.messages.pop();
                        eprintln!("error: {error:#}");
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn attach(list: &mut Vec<PathBuf>, path: &str) {
    let path = PathBuf::from(path.trim());
    if path.as_os_str().is_empty() {
        eprintln!("error: name a file after the command");
    } else if path.exists() {
        eprintln!("{} goes with the next question", path.display());
        list.push(path);
    } else {
        eprintln!("error: {}: no such file", path.display());
    }
}

fn assistant(answer: turn::Answer) -> Message {
    let text = answer.parts.answer.unwrap_or_default();
    let mut message = Message::text(Role::Assistant, text);
    let reasoning = answer.parts.reasoning;
    message.reasoning = (!reasoning.is_empty()).then_some(reasoning);
    message
}
