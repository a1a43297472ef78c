//! Rows of a parquet file, in its order, as the same records that JSON rows give. Behind the feature
//! `parquet`. Called by reinforcement learning, whose public data sets come in verl's schema so.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;

use crate::error::{Error, Place, RowError};
use crate::layout::Layout;
use crate::sample::Record;

/// A parquet file, read one row at a time. Binary columns (`images.bytes`) are pictures; relative
/// paths count from the file's folder. `line` of a place is the number of the row, from 1.
pub struct ParquetRows {
    rows: RowIter<'static>,
    path: PathBuf,
    file: Arc<Path>,
    base: PathBuf,
    layout: Option<Layout>,
    line: u64,
}

impl ParquetRows {
    /// Opens a file; without a layout, the keys of the first row tell it.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Parquet`].
    pub fn open(path: &Path, layout: Option<Layout>) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let failed = |source| Error::Parquet {
            path: path.to_owned(),
            source,
        };
        let reader = SerializedFileReader::new(file).map_err(failed)?;
        let rows = RowIter::from_file_into(Box::new(reader));
        Ok(Self {
            rows,
            path: path.to_owned(),
            file: Arc::from(path),
            base: path.parent().map(Path::to_owned).unwrap_or_default(),
            layout,
            line: 0,
        })
    }
}

impl Iterator for ParquetRows {
    type Item = Result<Record, Error>;

    /// The next row; a bad row is an error, behind which reading goes on.
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        self.line += 1;
        let place = Place {
            file: Arc::clone(&self.file),
            line: self.line,
        };
        let row = match row {
            Ok(row) => row.to_json_value(),
            Err(source) => {
                let path = self.path.clone();
                return Some(Err(Error::Parquet { path, source }));
            }
        };
        let layout = self.layout.map_or_else(|| Layout::detect(&row), Ok);
        let record = layout.and_then(|layout| {
            self.layout = Some(layout);
            layout.read(&row, &self.base, &place)
        });
        Some(record.map_err(|problem: RowError| place.error(problem)))
    }
}
