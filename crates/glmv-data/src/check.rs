//! The check of a file before it is used: every row is read, tokenized and its pictures are decoded;
//! bad rows are listed and do not end it. Called by `glmv data check`.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::encode::{Encoded, Encoder};
use crate::error::{Error, RowError};
use crate::report::{BadRow, Duplicate, Histogram, MediaReport, Report, Spread};
use crate::sample::{Record, Sample};
use crate::source::{Source, SourceSpec};
use crate::visual::{Visual, VisualKind};

/// How a file is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Length of the sequence that samples should fit into, if they should.
    pub max_tokens: Option<usize>,
    /// Most bad rows, and most duplicates, that are listed; all are counted.
    pub listed: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            max_tokens: None,
            listed: 100,
        }
    }
}

/// Checks every row of a file. `progress` hears the rows done and all rows after each row.
///
/// # Errors
/// Those of [`Source::open`]: a file that cannot be read or whose layout is not clear. Bad rows are
/// in the report.
pub fn check(
    spec: &SourceSpec,
    encoder: &Encoder,
    options: &CheckOptions,
    progress: &mut dyn FnMut(u32, u32),
) -> Result<Report, Error> {
    let mut source = Source::open(spec)?;
    let mut tally = Tally::new(options);
    let rows = source.len();
    for row in 0..rows {
        let line = source.place(row).line;
        match read(&mut source, row, encoder) {
            Ok(checked) => tally.good(line, &checked, encoder),
            Err(error) => tally.bad(line, error),
        }
        progress(row + 1, rows);
    }
    let mut report = Report {
        file: spec.path.display().to_string(),
        layout: source.layout(),
        rows: rows.into(),
        bad_rows: tally.bad_rows,
        bad: tally.bad,
        duplicate_rows: tally.duplicate_rows,
        duplicates: tally.duplicates,
        samples: tally.lengths.len() as u64,
        thinking_rows: tally.thinking_rows,
        tokens: tally.lengths.iter().sum(),
        loss_tokens: tally.loss_tokens,
        too_long: options.max_tokens.map(|_| tally.too_long),
        length: Spread::default(),
        lengths: Histogram::default(),
        images: tally.images.report(),
        videos: tally.videos.report(),
        domains: tally.domains,
    };
    tally.lengths.iter().for_each(|&n| report.lengths.add(n));
    report.length = Spread::of(tally.lengths);
    Ok(report)
}

/// A good row.
struct Checked {
    samples: Vec<Encoded>,
    reasons: bool,
    domain: Option<String>,
}

fn read(source: &mut Source, row: u32, encoder: &Encoder) -> Result<Checked, Error> {
    match source.read(row)? {
        Record::Task(task) => Ok(Checked {
            samples: vec![encoder.encode_task(&task)?],
            reasons: false,
            domain: Some(task.domain.unwrap_or(task.data_source)),
        }),
        Record::Sample(sample) => {
            let (reasons, domain) = (sample.has_reasoning(), sample.domain.clone());
            let pieces: Vec<Sample> = encoder.expand(sample);
            let samples: Result<Vec<_>, _> = pieces.iter().map(|p| encoder.encode(p)).collect();
            Ok(Checked {
                samples: samples?,
                reasons,
                domain,
            })
        }
    }
}

/// Everything counted so far.
struct Tally<'a> {
    options: &'a CheckOptions,
    bad_rows: u64,
    bad: Vec<BadRow>,
    duplicate_rows: u64,
    duplicates: Vec<Duplicate>,
    /// Digest of a row's ids and patches to the first line that has it.
    seen: HashMap<[u8; 32], u64>,
    thinking_rows: u64,
    loss_tokens: u64,
    too_long: u64,
    lengths: Vec<u64>,
    images: MediaTally,
    videos: MediaTally,
    domains: std::collections::BTreeMap<String, u64>,
}

impl<'a> Tally<'a> {
    fn new(options: &'a CheckOptions) -> Self {
        Self {
            options,
            bad_rows: 0,
            bad: Vec::new(),
            duplicate_rows: 0,
            duplicates: Vec::new(),
            seen: HashMap::new(),
            thinking_rows: 0,
            loss_tokens: 0,
            too_long: 0,
            lengths: Vec::new(),
            images: MediaTally::default(),
            videos: MediaTally::default(),
            domains: std::collections::BTreeMap::new(),
        }
    }

    fn bad(&mut self, line: u64, error: Error) {
        self.bad_rows += 1;
        if self.bad.len() < self.options.listed {
            // The line has a field of its own.
            let reason = match error {
                Error::Row { problem, .. } => RowError::to_string(&problem),
                other => other.to_string(),
            };
            self.bad.push(BadRow { line, reason });
        }
    }

    fn good(&mut self, line: u64, row: &Checked, encoder: &Encoder) {
        self.thinking_rows += u64::from(row.reasons);
        if let Some(domain) = &row.domain {
            *self.domains.entry(domain.clone()).or_default() += 1;
        }
        for sample in &row.samples {
            let tokens = sample.input_ids.len();
            self.lengths.push(tokens as u64);
            self.loss_tokens += sample.loss_tokens() as u64;
            self.too_long += u64::from(self.options.max_tokens.is_some_and(|max| tokens > max));
            for visual in &sample.visuals {
                match visual.kind {
                    VisualKind::Image => {
                        let patch = encoder.processor().image.geometry().patch_size;
                        self.images.add(visual, patch);
                    }
                    VisualKind::Video => {
                        let patch = encoder.processor().video.geometry().patch_size;
                        self.videos.add(visual, patch);
                    }
                }
            }
        }
        self.repeated(line, &row.samples);
    }

    fn repeated(&mut self, line: u64, samples: &[Encoded]) {
        let mut hash = Sha256::new();
        for sample in samples {
            for (id, learnt) in sample.input_ids.iter().zip(&sample.loss_mask) {
                hash.update(id.to_le_bytes());
                hash.update([u8::from(*learnt)]);
            }
            for value in sample.visuals.iter().flat_map(|v| &v.patches.pixel_values) {
                hash.update(value.to_le_bytes());
            }
        }
        let first = *self.seen.entry(hash.finalize().into()).or_insert(line);
        if first != line {
            self.duplicate_rows += 1;
            if self.duplicates.len() < self.options.listed {
                self.duplicates.push(Duplicate { line, first });
            }
        }
    }
}

/// Pictures or videos counted so far.
#[derive(Default)]
struct MediaTally {
    tokens: u64,
    source: [Vec<u64>; 2],
    seen: [Vec<u64>; 2],
}

impl MediaTally {
    fn add(&mut self, visual: &Visual, patch_size: u32) {
        self.tokens += visual.span.len() as u64;
        if let Some(size) = visual.source_size {
            for (side, list) in size.into_iter().zip(&mut self.source) {
                list.push(u64::from(side));
            }
        }
        if let Some([_, height, width]) = visual.patches.grid_thw.first() {
            for (patches, list) in [width, height].into_iter().zip(&mut self.seen) {
                list.push(u64::from(*patches) * u64::from(patch_size));
            }
        }
    }

    fn report(self) -> MediaReport {
        let [source_width, source_height] = self.source;
        let [width, height] = self.seen;
        MediaReport {
            count: width.len() as u64,
            tokens: self.tokens,
            source_width_px: Spread::of(source_width),
            source_height_px: Spread::of(source_height),
            width_px: Spread::of(width),
            height_px: Spread::of(height),
        }
    }
}
