//! The report: one HTML file of a run, built from its files alone. It needs no network and no other
//! file. Everything that was recorded is escaped; on top of it the page's own policy lets no script
//! run but the one whose hash it names.

mod area;
mod chart;
mod curves;
mod data;
mod escape;
mod figure;
mod group;
mod page;
mod scale;
mod select;
mod text;

pub use figure::{Chart, ChartLine};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::monitor::names;
use crate::picture::write_whole;

/// Builds the report of the run in `dir` again, finished or not, and returns its path.
///
/// # Errors
/// If a record is damaged, or a file cannot be read or written.
pub fn write_report(dir: &Path) -> Result<PathBuf, Error> {
    let run = data::Run::read(dir)?;
    let path = dir.join(names::REPORT);
    write_whole(&path, page::page(&run).as_bytes())?;
    Ok(path)
}
