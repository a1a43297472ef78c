//! The `glmv` program: parse, dispatch, exit code. The only place that prints errors.

mod args;
mod bundled;
mod cmd;
mod fit;
mod session;

use clap::Parser;
use std::process::ExitCode;

/// Exit code where nobody reads stdout any more, as a shell shows it for programs that a pipe ends.
const BROKEN_PIPE: i32 = 141;

/// `println!` panics where the reader of a pipe has gone, as `glmv inspect DIR | head` lets it: this ends
/// the program without a word.
fn end_with_the_pipe() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") {
            std::process::exit(BROKEN_PIPE);
        }
        usual(panic);
    }));
}

fn main() -> ExitCode {
    end_with_the_pipe();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let args = match args::Cli::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to stdout with code 0, usage errors to stderr with code 2.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match args.command {
        args::Command::Run(args) => cmd::run::run(&args),
        args::Command::Verify(args) => cmd::verify::run(&args),
        args::Command::Doctor(args) => cmd::doctor::run(&args),
        args::Command::Inspect(args) => cmd::inspect::run(&args),
        args::Command::Bench(args) => cmd::bench::run(&args),
        args::Command::Quantize(args) => cmd::quantize::run(&args),
        args::Command::Merge(args) => cmd::merge::run(&args),
        args::Command::Reward(command) => cmd::reward::run(&command),
        args::Command::Train(command) => cmd::train::run(&command),
        args::Command::Rl(command) => cmd::rl::run(&command),
        args::Command::Data(command) => cmd::data::run(&command),
        args::Command::Gym(command) => cmd::gym::run(&command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.downcast_ref::<fit::DoesNotFit>() {
                Some(_) => ExitCode::from(2),
                None => ExitCode::FAILURE,
            }
        }
    }
}
