//! What `glmv bench` prints: Markdown for people, one JSON object for programs.

use crate::fit::bytes;
use glmv_kernels::device::{Info, Memory};
use glmv_kernels::{Counts, QueueCounts};
use serde::Serialize;

/// Median, least and greatest of some repetitions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` without values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Spread {
            median: *values.get(values.len() / 2)?,
            min: *values.first()?,
            max: *values.last()?,
        })
    }
}

/// One measured setting.
#[derive(Debug, Serialize)]
pub struct Row {
    /// `pp512`, `tg128`, `image 336`, …
    pub test: String,
    /// Sequences at once, or tokens of the picture.
    pub batch: usize,
    pub seconds: Spread,
    /// Tokens per second over all sequences.
    pub tokens_per_second: Spread,
}

/// From the start of the program to the first token, in seconds.
#[derive(Debug, Serialize)]
pub struct Start {
    pub load_s: f64,
    /// Building pipelines behind the loading bar; 0 with `--no-warm-up`.
    pub warm_up_s: f64,
    /// First prefill of the process until its token's logits are on the host.
    pub first_token_cold_s: f64,
    /// The same once everything has run.
    pub first_token_warm_s: f64,
    /// Load, warm-up and first token.
    pub start_to_first_token_s: f64,
}

/// Device memory of one sequence, planned and measured.
#[derive(Debug, Serialize)]
pub struct MemoryRow {
    pub planned_bytes: u64,
    /// After one prefill and decode; `None` on the CPU device.
    pub one_sequence: Option<Memory>,
    /// After everything that was measured.
    pub whole_run: Option<Memory>,
}

/// Launches and reads; `None` on the CPU device.
#[derive(Debug, Serialize)]
pub struct Work {
    pub steps: usize,
    pub layers: usize,
    pub decode: Counts,
    pub prefill: Counts,
    /// What wgpu recorded for as many decode steps; the copies to staging buffers are its own.
    pub queue: Option<QueueCounts>,
    pub dispatches_per_token: f64,
    pub bytes_read_per_token: f64,
    /// Weights that one token of one sequence touches.
    pub weight_bytes_per_token: u64,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub model: String,
    pub device: Info,
    pub dtype: String,
    pub pp: usize,
    pub tg: usize,
    pub repetitions: usize,
    pub start: Start,
    pub memory: MemoryRow,
    pub work: Option<Work>,
    pub rows: Vec<Row>,
    /// Settings that were left out, with the reason.
    pub left_out: Vec<String>,
}

impl Report {
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{} on {} ({}, {}), {}; {} repetitions, settings in turn\n\n",
            self.model,
            self.device.name,
            self.device.backend,
            self.device.driver,
            self.dtype,
            self.repetitions
        );
        text += "| test | batch | tokens/s | min | max | ms |\n|---|---:|---:|---:|---:|---:|\n";
        for row in &self.rows {
            let (t, ms) = (row.tokens_per_second, row.seconds.median * 1e3);
            text += &format!(
                "| {} | {} | {:.2} | {:.2} | {:.2} | {ms:.1} |\n",
                row.test, row.batch, t.median, t.min, t.max
            );
        }
        for reason in &self.left_out {
            text += &format!("\nleft out: {reason}");
        }
        text += &self.start_table();
        text += &self.memory_table();
        text += &self.work_table();
        text
    }

    fn start_table(&self) -> String {
        let s = &self.start;
        format!(
            "\n| start | s |\n|---|---:|\n| load | {:.3} |\n| warm-up | {:.3} |\n| first token, cold | \
             {:.3} |\n| first token, warm | {:.3} |\n| start to first token | {:.3} |\n",
            s.load_s,
            s.warm_up_s,
            s.first_token_cold_s,
            s.first_token_warm_s,
            s.start_to_first_token_s
        )
    }

    fn memory_table(&self) -> String {
        let m = &self.memory;
        let mut text = format!(
            "\n| memory | |\n|---|---:|\n| planned, one sequence | {} |\n",
            bytes(m.planned_bytes)
        );
        if let (Some(one), Some(whole)) = (m.one_sequence, m.whole_run) {
            text += &format!(
                "| measured, one sequence | {} |\n| measured, whole run | {} |\n",
                bytes(one.peak),
                bytes(whole.peak)
            );
        }
        text
    }

    fn work_table(&self) -> String {
        let Some(w) = &self.work else {
            return String::new();
        };
        let mut text = format!(
            "\n| per decoded token, one sequence | |\n|---|---:|\n| dispatches | {:.1} |\n| … of our \
             own | {:.1} |\n| … copies and casts of Burn | {:.1} |\n| bytes read back | {:.0} |\n| \
             weights touched | {} |\n| dispatches of one prefill | {} |\n",
            w.dispatches_per_token,
            w.decode.own as f64 / w.steps as f64,
            w.decode.copies as f64 / w.steps as f64,
            w.bytes_read_per_token,
            bytes(w.weight_bytes_per_token),
            w.prefill.dispatches
        );
        if let Some(q) = &w.queue {
            let per = |n: u64| n as f64 / w.steps as f64;
            text += &format!(
                "| dispatches that wgpu recorded | {:.1} |\n| submissions | {:.1} |\n| uploads | \
                 {:.1} |\n| copies to staging buffers | {:.1} |\n",
                per(q.dispatches),
                per(q.submits),
                per(q.writes),
                per(q.copies)
            );
        }
        text += "\n| kernel | per token |\n|---|---:|\n";
        let mut kernels: Vec<(&String, &u64)> = w.decode.kernels.iter().collect();
        kernels.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (name, count) in kernels {
            text += &format!("| {name} | {:.1} |\n", *count as f64 / w.steps as f64);
        }
        text
    }
}
