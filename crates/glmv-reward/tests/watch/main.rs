//! The watch on synthetic logs: healthy runs stay quiet, hacks and collapses are found in time.

mod hacked;
mod healthy;
mod log;

use glmv_reward::watch::{Alarm, Report, WatchConfig, watch_log};

fn watch(log: &str) -> Report {
    watch_log(log.as_bytes(), WatchConfig::default(), |_| {}).expect("a valid log")
}

fn first(report: &Report) -> Option<&Alarm> {
    report.alarms.first()
}
