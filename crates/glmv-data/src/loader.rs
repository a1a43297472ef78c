//! Packs, made ahead of time by a thread of its own while the device works. The order of packs and
//! errors follows from the data, seed and options alone, whatever the number of threads; each pack
//! brings the state to go on behind it. Called by the trainers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};

use crate::encode::{Encoded, Encoder};
use crate::error::Error;
use crate::mixture::{Cursor, Mixture, MixtureSpec};
use crate::truncate::LongPolicy;
use crate::window::Windows;

/// How packs are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Most tokens of a pack.
    pub max_tokens: usize,
    /// What becomes of samples longer than that.
    pub long: LongPolicy,
    /// How many packs' worth of tokens are read before they are packed, and held in memory with
    /// their pictures: more fills packs better.
    pub window_packs: usize,
    /// Bad rows to leave out before one is an error; they are reported with the packs.
    pub max_bad_rows: u64,
    /// Threads that encode.
    pub threads: usize,
    /// Packs that wait ready.
    pub prefetch: usize,
}

impl LoaderOptions {
    /// Packs of at most `max_tokens`; a sample that is longer and a bad row are errors, four packs
    /// are made at a time by one thread, two wait ready.
    #[must_use]
    pub fn new(max_tokens: usize) -> Self {
        Self {
            max_tokens,
            long: LongPolicy::Error,
            window_packs: 4,
            max_bad_rows: 0,
            threads: 1,
            prefetch: 2,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let counts = [
            ("max_tokens", self.max_tokens),
            ("window_packs", self.window_packs),
            ("threads", self.threads),
        ];
        for (key, value) in counts {
            if value == 0 {
                return Err(Error::Setting {
                    key,
                    expected: "at least 1",
                    found: value.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// What was read so far, over all packs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Rows read, bad ones included.
    pub records: u64,
    /// Bad rows left out.
    pub bad_rows: u64,
    /// Samples left out because they are too long.
    pub dropped: u64,
    /// Samples cut because they are too long.
    pub cut: u64,
    /// Tokens cut off.
    pub cut_tokens: u64,
}

/// What is needed to go on behind a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// Where the window begins that the next pack is of.
    pub cursor: Cursor,
    /// Packs of that window that were handed out.
    pub packs: usize,
    /// What was read before that window.
    pub totals: Totals,
}

/// Samples that share a sequence, encoded.
#[derive(Debug)]
pub struct LoadedPack {
    /// The samples, in the order they were read.
    pub samples: Vec<Encoded>,
    /// Where each sample starts in the sequence, and where the last ends.
    pub offsets: Vec<usize>,
    /// What to hand to [`Loader::start`] to go on behind this pack.
    pub state: LoaderState,
    /// What was read up to the end of this pack's window.
    pub totals: Totals,
    /// Bad rows left out since the pack before.
    pub bad_rows: Vec<Error>,
}

impl LoadedPack {
    /// Number of tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// `[tokens]`: ids of all samples.
    #[must_use]
    pub fn input_ids(&self) -> Vec<u32> {
        let ids = self.samples.iter().flat_map(|sample| &sample.input_ids);
        ids.copied().collect()
    }

    /// `[tokens]`: loss masks of all samples. The first token of each has no loss, so that nothing
    /// is predicted across samples.
    #[must_use]
    pub fn loss_mask(&self) -> Vec<bool> {
        let masks = self.samples.iter().flat_map(|sample| &sample.loss_mask);
        masks.copied().collect()
    }
}

/// A stream of packs. An error ends it; it comes behind the packs of all samples before it.
#[derive(Debug)]
pub struct Loader {
    packs: Option<Receiver<Result<LoadedPack, Error>>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Loader {
    /// Opens the files, at their start or where a state left them, and starts the thread.
    ///
    /// # Errors
    /// Those of [`Mixture::open`] and [`Mixture::resume`], [`Error::Setting`], [`Error::Thread`].
    pub fn start(
        mixture: MixtureSpec,
        encoder: Encoder,
        options: LoaderOptions,
        state: Option<LoaderState>,
    ) -> Result<Self, Error> {
        options.check()?;
        let (mixture, skip, totals) = match state {
            None => (Mixture::open(mixture)?, 0, Totals::default()),
            Some(at) => (Mixture::resume(mixture, at.cursor)?, at.packs, at.totals),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = sync_channel(options.prefetch);
        let mut windows = Windows::new(mixture, encoder, options, totals, Arc::clone(&stop));
        let work = move || {
            let mut skip = skip;
            while let Some(packs) = windows.next() {
                for pack in packs.into_iter().skip(skip) {
                    if sender.send(pack).is_err() {
                        return;
                    }
                }
                skip = 0;
            }
        };
        let thread = Builder::new().name("glmv-data".to_owned()).spawn(work);
        Ok(Self {
            packs: Some(receiver),
            thread: Some(thread.map_err(|source| Error::Thread { source })?),
            stop,
        })
    }

    /// Waits for the thread; whether it ended well.
    fn join(&mut self) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        self.packs = None;
        self.thread
            .take()
            .is_none_or(|thread| thread.join().is_ok())
    }
}

impl Iterator for Loader {
    type Item = Result<LoadedPack, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.packs.as_ref()?.recv() {
            Ok(Ok(pack)) => Some(Ok(pack)),
            Ok(Err(error)) => {
                self.join();
                Some(Err(error))
            }
            Err(_) => (!self.join()).then_some(Err(Error::LoaderPanicked)),
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.join();
    }
}
