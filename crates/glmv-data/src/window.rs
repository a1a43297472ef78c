//! Windows of samples that are packed together: reads records, encodes several at a time and closes a
//! window when it holds enough tokens. Runs on the loader's thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::encode::{Encoded, Encoder};
use crate::error::Error;
use crate::loader::{LoadedPack, LoaderOptions, LoaderState, Totals};
use crate::mixture::{Cursor, Mixture};
use crate::pack::best_fit;
use crate::sample::Record;
use crate::truncate::{Fit, fit};

/// What one record became.
struct Item {
    samples: Vec<Encoded>,
    /// What it adds to the totals.
    totals: Totals,
    bad: Option<Error>,
    /// Where reading stood behind the record.
    after: Cursor,
}

/// The windows of a mixture, in order.
pub(crate) struct Windows {
    mixture: Mixture,
    encoder: Encoder,
    options: LoaderOptions,
    totals: Totals,
    stop: Arc<AtomicBool>,
    /// Encoded, but of a later window.
    ready: VecDeque<Item>,
    /// Behind the last record that was put into a window.
    cursor: Cursor,
    fruitless: u64,
    ended: bool,
}

impl Windows {
    pub(crate) fn new(
        mixture: Mixture,
        encoder: Encoder,
        options: LoaderOptions,
        totals: Totals,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            cursor: mixture.cursor().clone(),
            mixture,
            encoder,
            options,
            totals,
            stop,
            ready: VecDeque::new(),
            fruitless: 0,
            ended: false,
        }
    }

    /// The packs of the next window; an error is the last thing of the last window.
    pub(crate) fn next(&mut self) -> Option<Vec<Result<LoadedPack, Error>>> {
        if self.ended {
            return None;
        }
        let start = LoaderState {
            cursor: self.cursor.clone(),
            packs: 0,
            totals: self.totals,
        };
        let (mut samples, mut bad, mut tokens) = (Vec::new(), Vec::new(), 0);
        let limit = self
            .options
            .max_tokens
            .saturating_mul(self.options.window_packs);
        let error = loop {
            let Some(item) = self.peek() else {
                self.ended = true;
                break None;
            };
            // A window takes in the fruitless records behind it, so that their errors have a pack
            // to come with.
            if tokens >= limit && !item.samples.is_empty() {
                break None;
            }
            let Some(item) = self.ready.pop_front() else {
                break None;
            };
            if let Err(error) = self.admit(&item) {
                self.ended = true;
                break Some(item.bad.unwrap_or(error));
            }
            self.cursor = item.after;
            tokens += item
                .samples
                .iter()
                .map(|s| s.input_ids.len())
                .sum::<usize>();
            samples.extend(item.samples);
            bad.extend(item.bad);
        };
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        // Without a pack to come with, the first bad row is the error itself.
        let lost = samples.is_empty() && error.is_none() && !bad.is_empty();
        let error = if lost { Some(bad.remove(0)) } else { error };
        let mut packs = self.packs(samples, &start);
        if let Some(Ok(first)) = packs.first_mut() {
            first.bad_rows = bad;
        }
        packs.extend(error.map(Err));
        Some(packs)
    }

    /// Counts an item; an error ends the stream. A bad row beyond the tolerated number is its own
    /// error, which the caller takes from the item.
    fn admit(&mut self, item: &Item) -> Result<(), Error> {
        let totals = self.totals.plus(item.totals);
        self.fruitless = if item.samples.is_empty() {
            self.fruitless + 1
        } else {
            0
        };
        let rows: u64 = self
            .mixture
            .sources()
            .iter()
            .map(|s| u64::from(s.len()))
            .sum();
        let fruitless = self.fruitless > rows.saturating_mul(16);
        let too_many = item.bad.is_some() && totals.bad_rows > self.options.max_bad_rows;
        if !fruitless && !too_many {
            self.totals = totals;
            return Ok(());
        }
        Err(Error::Fruitless {
            records: self.fruitless,
            last: match &item.bad {
                Some(error) => error.to_string(),
                None => format!("longer than {} tokens", self.options.max_tokens),
            },
        })
    }

    fn packs(&self, samples: Vec<Encoded>, start: &LoaderState) -> Vec<Result<LoadedPack, Error>> {
        let lengths: Vec<usize> = samples.iter().map(|s| s.input_ids.len()).collect();
        let packs = match best_fit(&lengths, self.options.max_tokens) {
            Ok(packs) => packs,
            Err(error) => return vec![Err(error)],
        };
        let mut samples: Vec<Option<Encoded>> = samples.into_iter().map(Some).collect();
        let count = packs.len();
        let loaded = packs.into_iter().enumerate().map(|(i, pack)| {
            let own = pack.samples.iter();
            let state = if i + 1 < count {
                LoaderState {
                    packs: i + 1,
                    ..start.clone()
                }
            } else {
                LoaderState {
                    cursor: self.cursor.clone(),
                    packs: 0,
                    totals: self.totals,
                }
            };
            Ok(LoadedPack {
                samples: own.filter_map(|&i| samples.get_mut(i)?.take()).collect(),
                offsets: pack.offsets,
                state,
                totals: self.totals,
                bad_rows: Vec::new(),
            })
        });
        loaded.collect()
    }

    /// The next item, encoded.
    fn peek(&mut self) -> Option<&Item> {
        if self.ready.is_empty() && !self.stop.load(Ordering::Relaxed) {
            let mut records = Vec::with_capacity(self.options.threads);
            while records.len() < self.options.threads {
                let Some(record) = self.mixture.next() else {
                    break;
                };
                records.push((record, self.mixture.cursor().clone()));
            }
            let (encoder, options) = (&self.encoder, &self.options);
            self.ready = std::thread::scope(|scope| {
                let one = |(record, after)| scope.spawn(|| encode(encoder, options, record, after));
                let threads: Vec<_> = records.into_iter().map(one).collect();
                let items = threads.into_iter().map(|thread| match thread.join() {
                    Ok(item) => item,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                items.collect()
            });
        }
        self.ready.front()
    }
}

fn encode(
    encoder: &Encoder,
    options: &LoaderOptions,
    record: Result<Record, Error>,
    after: Cursor,
) -> Item {
    let mut item = Item {
        samples: Vec::new(),
        totals: Totals {
            records: 1,
            ..Totals::default()
        },
        bad: None,
        after,
    };
    if let Err(error) = encode_into(&mut item, encoder, options, record) {
        // A row is used as a whole or not at all.
        item.samples.clear();
        item.totals = Totals {
            records: 1,
            bad_rows: 1,
            ..Totals::default()
        };
        item.bad = Some(error);
    }
    item
}

fn encode_into(
    item: &mut Item,
    encoder: &Encoder,
    options: &LoaderOptions,
    record: Result<Record, Error>,
) -> Result<(), Error> {
    let record = record?;
    let place = record.place().clone();
    let sample = record.into_sample();
    let sample = sample.map_err(|problem| place.error(problem))?;
    for piece in encoder.expand(sample) {
        match fit(encoder.encode(&piece)?, options.max_tokens, options.long)? {
            Fit::Whole(encoded) => item.samples.push(encoded),
            Fit::Cut {
                encoded, tokens, ..
            } => {
                item.totals.cut += 1;
                item.totals.cut_tokens += tokens as u64;
                item.samples.push(encoded);
            }
            Fit::Dropped => item.totals.dropped += 1,
        }
    }
    Ok(())
}

impl Totals {
    fn plus(self, more: Self) -> Self {
        Self {
            records: self.records + more.records,
            bad_rows: self.bad_rows + more.bad_rows,
            dropped: self.dropped + more.dropped,
            cut: self.cut + more.cut,
            cut_tokens: self.cut_tokens + more.cut_tokens,
        }
    }
}
