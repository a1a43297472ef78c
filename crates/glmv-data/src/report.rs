//! What a check found out about a file, for people and as JSON. Made by `check`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::layout::Layout;

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadRow {
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// A row that encodes to what an earlier one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// Its line, from 1.
    pub line: u64,
    /// Line of the first such row.
    pub first: u64,
}

/// Smallest, middle and largest of some numbers. All are 0 when there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The median (the lower one of two).
    pub median: u64,
    /// 95 of 100 are at most this.
    pub p95: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// The spread of the given numbers, in any order.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn of(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        let count = numbers.len();
        // The smallest number that `percent` of all do not exceed.
        let at = |percent: usize| {
            let rank = (count * percent).div_ceil(100).max(1) - 1;
            numbers.get(rank).copied().unwrap_or(0)
        };
        Self {
            min: numbers.first().copied().unwrap_or(0),
            mean: numbers.iter().map(|&n| n as f64).sum::<f64>() / count.max(1) as f64,
            median: at(50),
            p95: at(95),
            max: numbers.last().copied().unwrap_or(0),
        }
    }
}

/// Lengths in classes that double.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// Largest length of a class (a power of two) to the number of samples in it.
    pub classes: BTreeMap<u64, u64>,
}

impl Histogram {
    /// Counts a length.
    pub fn add(&mut self, length: u64) {
        let class = length.max(1).next_power_of_two();
        *self.classes.entry(class).or_default() += 1;
    }
}

/// The pictures or videos of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct MediaReport {
    /// How many.
    pub count: u64,
    /// Tokens that stand for their contents, begin and end tokens included.
    pub tokens: u64,
    /// Width of the files in pixels; pictures only.
    pub source_width_px: Spread,
    /// Height of the files in pixels; pictures only.
    pub source_height_px: Spread,
    /// Width that the model sees, in pixels.
    pub width_px: Spread,
    /// Height that the model sees, in pixels.
    pub height_px: Spread,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// Its layout.
    pub layout: Layout,
    /// Rows, bad ones included.
    pub rows: u64,
    /// Rows that cannot be used.
    pub bad_rows: u64,
    /// The first of them.
    pub bad: Vec<BadRow>,
    /// Rows that encode to what an earlier one does.
    pub duplicate_rows: u64,
    /// The first of them.
    pub duplicates: Vec<Duplicate>,
    /// Samples or tasks that the good rows make.
    pub samples: u64,
    /// Rows whose answers come with reasoning.
    pub thinking_rows: u64,
    /// Tokens of all samples.
    pub tokens: u64,
    /// Tokens with loss.
    pub loss_tokens: u64,
    /// Samples longer than the sequence, if one was given.
    pub too_long: Option<u64>,
    /// Tokens per sample.
    pub length: Spread,
    /// Tokens per sample, in classes.
    pub lengths: Histogram,
    /// Pictures.
    pub images: MediaReport,
    /// Videos.
    pub videos: MediaReport,
    /// Rows per subject; rows that name none are not in it.
    pub domains: BTreeMap<String, u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} rows, layout {}",
            self.file,
            self.rows,
            self.layout.name()
        )?;
        writeln!(
            f,
            "samples     {} ({} rows with reasoning)",
            self.samples, self.thinking_rows
        )?;
        writeln!(
            f,
            "tokens      {} ({} with loss)",
            self.tokens, self.loss_tokens
        )?;
        writeln!(f, "length      {}", self.length)?;
        for (upto, count) in &self.lengths.classes {
            writeln!(f, "  ≤ {upto:<8}{count}")?;
        }
        if let Some(count) = self.too_long {
            writeln!(f, "too long    {count}")?;
        }
        if self.images.count > 0 {
            let images = &self.images;
            writeln!(f, "images      {} ({} tokens)", images.count, images.tokens)?;
            writeln!(f, "  file      width {}", images.source_width_px)?;
            writeln!(f, "            height {}", images.source_height_px)?;
            writeln!(f, "  model     width {}", images.width_px)?;
            writeln!(f, "            height {}", images.height_px)?;
        }
        if self.videos.count > 0 {
            let videos = &self.videos;
            writeln!(f, "videos      {} ({} tokens)", videos.count, videos.tokens)?;
            writeln!(f, "  model     width {}", videos.width_px)?;
            writeln!(f, "            height {}", videos.height_px)?;
        }
        for (domain, count) in &self.domains {
            writeln!(f, "domain      {domain}: {count}")?;
        }
        writeln!(f, "duplicates  {}", self.duplicate_rows)?;
        for row in &self.duplicates {
            writeln!(f, "  line {} repeats line {}", row.line, row.first)?;
        }
        writeln!(f, "bad rows    {}", self.bad_rows)?;
        for row in &self.bad {
            writeln!(f, "  line {}: {}", row.line, row.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to {}, mean {:.1}, median {}, 95 % up to {}",
            self.min, self.max, self.mean, self.median, self.p95
        )
    }
}
