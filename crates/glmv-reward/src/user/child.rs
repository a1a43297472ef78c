//! One child process and the threads at its pipes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process_wrap::std::{ChildWrapper, CommandWrap};

use super::protocol;
use super::{ProcessConfig, UserError};
use crate::judge::net::{excerpt, lock};

/// Lines that may wait to be read before the child has to wait.
const LINES_AHEAD: usize = 1024;
/// Longest line of stderr that is passed on, in bytes.
const STDERR_LINE_BYTES: u64 = 4096;
/// Lines of stderr that error messages quote.
const STDERR_LINES: usize = 5;
/// How long a child that closed its stdout may take to exit by itself.
const EXIT_WAIT: Duration = Duration::from_millis(300);

type LastLines = Arc<Mutex<VecDeque<String>>>;

/// What a pipe gives.
enum Line {
    Text(String),
    Bad(&'static str),
    End,
}

/// A running child after its handshake. Killed, with everything it started, when dropped.
pub(super) struct Child {
    process: Box<dyn ChildWrapper>,
    /// To the thread that writes to stdin; none once stdin is closed.
    requests: Option<Sender<Vec<u8>>>,
    lines: Receiver<Line>,
    stderr: LastLines,
    command: String,
}

impl Child {
    /// Starts the child and shakes hands.
    ///
    /// # Errors
    /// [`UserError::Start`] if either fails.
    pub(super) fn start(config: &ProcessConfig, worker: usize) -> Result<Self, UserError> {
        let command = config.command.join(" ");
        let fail = |reason: String| UserError::Start {
            command: command.clone(),
            reason,
        };
        let mut process = spawn(config).map_err(|error| fail(error.to_string()))?;
        let pipes = (
            process.stdin().take(),
            process.stdout().take(),
            process.stderr().take(),
        );
        let (requests, to_write) = channel();
        let (found, lines) = sync_channel(LINES_AHEAD);
        let stderr = LastLines::default();
        let mut child = Self {
            process,
            requests: Some(requests),
            lines,
            stderr: Arc::clone(&stderr),
            command: command.clone(),
        };
        let (Some(stdin), Some(stdout), Some(errors)) = pipes else {
            return Err(fail("its pipes are missing".to_owned()));
        };
        let max_bytes = config.max_line_bytes;
        let spawned = thread("stdin", move || write_lines(stdin, &to_write))
            .and_then(|()| thread("stdout", move || read_lines(stdout, max_bytes, &found)))
            .and_then(|()| thread("stderr", move || log_lines(errors, worker, &stderr)));
        spawned.map_err(|error| fail(error.to_string()))?;
        child.send(protocol::handshake());
        let timeout = Duration::from_secs_f64(config.start_timeout_secs);
        match child.receive(timeout) {
            Ok(Some(line)) => protocol::check_handshake(&line).map_err(fail)?,
            Ok(None) => {
                let secs = config.start_timeout_secs;
                return Err(fail(format!("no handshake within {secs} s")));
            }
            Err(error) => return Err(fail(error.to_string())),
        }
        Ok(child)
    }

    /// Sends a line. A child that is gone is found out by [`Self::receive`].
    pub(super) fn send(&mut self, line: Vec<u8>) {
        if let Some(requests) = &self.requests
            && requests.send(line).is_err()
        {
            self.requests = None;
        }
    }

    /// The next line, or `None` after `timeout`.
    ///
    /// # Errors
    /// If the child ended or wrote what is not a line of text.
    pub(super) fn receive(&mut self, timeout: Duration) -> Result<Option<String>, UserError> {
        match self.lines.recv_timeout(timeout) {
            Ok(Line::Text(line)) => Ok(Some(line)),
            Ok(Line::Bad(reason)) => Err(protocol::protocol(reason, "")),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Ok(Line::End) | Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// The error for a child whose stdout ended.
    fn ended(&mut self) -> UserError {
        let start = Instant::now();
        let mut status = self.process.try_wait();
        while matches!(status, Ok(None)) && start.elapsed() < EXIT_WAIT {
            std::thread::sleep(Duration::from_millis(5));
            status = self.process.try_wait();
        }
        let status = match status {
            Ok(Some(status)) => status.to_string(),
            Ok(None) => "it closed its stdout but runs on".to_owned(),
            Err(error) => error.to_string(),
        };
        // The thread that reads stderr lets go of the lines at its end; what the child started may
        // hold the pipe open for longer.
        while Arc::strong_count(&self.stderr) > 1 && start.elapsed() < EXIT_WAIT {
            std::thread::sleep(Duration::from_millis(1));
        }
        let last: Vec<_> = lock(&self.stderr).iter().cloned().collect();
        UserError::Exit {
            command: self.command.clone(),
            status,
            stderr: last.join(" | "),
        }
    }

    /// Closes stdin and gives the child `grace` to end by itself before it is killed.
    pub(super) fn stop(mut self, grace: Duration) {
        self.requests = None;
        let until = Instant::now() + grace;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(Line::Text(_) | Line::Bad(_)) if !left.is_zero() => {}
                _ => break, // it ended, or the time is over
            }
        }
        // It is waited for by `drop`, after its group has been killed.
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.requests = None;
        // Fails where everything has ended already.
        let _ = self.process.start_kill();
        if let Err(error) = self.process.wait() {
            tracing::debug!(command = self.command, "cannot wait for a child: {error}");
        }
    }
}

fn spawn(config: &ProcessConfig) -> std::io::Result<Box<dyn ChildWrapper>> {
    let Some((program, arguments)) = config.command.split_first() else {
        return Err(std::io::Error::other("the command is empty"));
    };
    let mut wrap = CommandWrap::with_new(program, |command| {
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(dir) = &config.dir {
            command.current_dir(dir);
        }
    });
    #[cfg(unix)]
    wrap.wrap(process_wrap::std::ProcessGroup::leader());
    #[cfg(windows)]
    wrap.wrap(process_wrap::std::JobObject);
    wrap.spawn()
}

fn thread(pipe: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let name = format!("reward {pipe}");
    std::thread::Builder::new().name(name).spawn(work).map(drop)
}

/// Ends, and so closes stdin, when the sender is dropped or the child does not read any more.
fn write_lines(mut stdin: impl Write, lines: &Receiver<Vec<u8>>) {
    for line in lines {
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            break;
        }
    }
}

fn read_lines(stdout: impl Read, max_bytes: u64, found: &SyncSender<Line>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut reader)
            .take(max_bytes)
            .read_until(b'\n', &mut bytes);
        let line = match read {
            Ok(0) | Err(_) => Line::End,
            Ok(_) if !bytes.ends_with(b"\n") && bytes.len() as u64 == max_bytes => {
                Line::Bad("a line is longer than `max_line_bytes`")
            }
            Ok(_) => String::from_utf8(bytes).map_or(Line::Bad("not UTF-8"), Line::Text),
        };
        let is_last = !matches!(line, Line::Text(_));
        if found.send(line).is_err() || is_last {
            break;
        }
    }
}

fn log_lines(stderr: impl Read, worker: usize, last: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(stderr);
    loop {
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut reader)
            .take(STDERR_LINE_BYTES)
            .read_until(b'\n', &mut bytes);
        if !matches!(read, Ok(1..)) {
            break;
        }
        let text = String::from_utf8_lossy(&bytes); // a log, not data
        let line = excerpt(text.trim_end(), 500);
        tracing::info!(target: "glmv_reward::user", worker, "{line}");
        let mut last = lock(last);
        if last.len() == STDERR_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}
