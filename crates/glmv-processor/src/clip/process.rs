//! Runs an external program with its output piped here, a time limit, and its complaints kept for
//! the error message.

use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Most bytes of complaints that are kept.
const MAX_COMPLAINT_BYTES: u64 = 2048;
/// How often the end of a program that closed its output is looked for.
const POLL: Duration = Duration::from_millis(5);
/// How long a program may take to fail by itself after its output ended.
const GRACE: Duration = Duration::from_millis(300);

type Shared = Arc<Mutex<Child>>;

fn lock(child: &Shared) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `command` for the file `path`, hands its output to `consume`, and waits for its end.
///
/// # Errors
/// [`Error::ExternalProgram`] when it is not installed, fails, or runs longer than `timeout`;
/// otherwise what `consume` returns.
pub(super) fn run<T>(
    mut command: Command,
    path: &Path,
    timeout: Duration,
    consume: impl FnOnce(&mut ChildStdout) -> Result<T, Error>,
) -> Result<T, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let fail = |reason: String| Error::ExternalProgram {
        path: path.to_owned(),
        program: program.clone(),
        reason,
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| fail(start_failure(&e)))?;
    let (Some(mut stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(fail("has no output".to_owned()));
    };
    let child: Shared = Arc::new(Mutex::new(child));
    let complaints = std::thread::spawn(move || read_complaints(stderr));
    let (done, waiting) = channel::<()>();
    let watched = Arc::clone(&child);
    let watchdog = std::thread::spawn(move || watch(&watched, &waiting, timeout));

    let result = consume(&mut stdout);
    if result.is_err() {
        end_soon(&child);
    }
    drop(stdout);
    let status = wait(&child);
    drop(done);
    if watchdog.join().unwrap_or(false) {
        return Err(fail(format!(
            "took longer than {} s",
            timeout.as_secs_f64()
        )));
    }
    let complaints = complaints.join().unwrap_or_default();
    match (status, result) {
        (Err(e), _) => Err(fail(e.to_string())),
        // A program that ended by itself with a complaint explains missing output better than the
        // reader can.
        (Ok(status), result) if status.code().is_some_and(|code| code != 0) => {
            let ours = result.err().map_or(String::new(), |e| format!(" ({e})"));
            Err(fail(format!(
                "failed with {status}: {}{ours}",
                complaints.trim()
            )))
        }
        (Ok(_), result) => result,
    }
}

/// Why a program did not start.
fn start_failure(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "not found; install ffmpeg, or give the video as a folder of \
             pictures, an animated GIF or WebP, or .y4m"
                .to_owned()
        }
        _ => format!("cannot be started: {error}"),
    }
}

/// Ends a program whose output is no longer wanted. One that is just failing by itself gets a
/// moment to do so, because its own status says more than ours.
fn end_soon(child: &Shared) {
    let end = Instant::now() + GRACE;
    while Instant::now() < end {
        if !matches!(lock(child).try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(POLL);
    }
    // A program that ended in between cannot be killed, which is just as well.
    let _ = lock(child).kill();
}

/// Waits for the end of a program without holding the lock, so that the watchdog can still end it.
fn wait(child: &Shared) -> std::io::Result<ExitStatus> {
    loop {
        if let Some(status) = lock(child).try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(POLL);
    }
}

/// Ends the program when nobody reports its end in time; says whether it did.
fn watch(child: &Shared, waiting: &Receiver<()>, timeout: Duration) -> bool {
    match waiting.recv_timeout(timeout) {
        Err(RecvTimeoutError::Timeout) => {
            let _ = lock(child).kill();
            true
        }
        Ok(()) | Err(RecvTimeoutError::Disconnected) => false,
    }
}

/// The start of what a program complains about; the rest is read and dropped so that it is not held
/// up.
fn read_complaints(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let _ = stderr
        .by_ref()
        .take(MAX_COMPLAINT_BYTES)
        .read_to_end(&mut kept);
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}
