//! What packing costs: the difference between weights and their packed form.

use crate::{Error, View};

/// Sums over the weights of one or more matrices.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Damage {
    /// Weights compared.
    pub count: usize,
    /// `Σ (packed − original)²`.
    pub squared_error: f64,
    /// `Σ original²`.
    pub squared_norm: f64,
    /// Largest `|packed − original|`.
    pub max_error: f32,
}

impl Damage {
    /// Compares `original` `[rows, cols]` with its packed form.
    ///
    /// # Errors
    /// [`Error::Length`] if the shapes differ, [`Error::NonFinite`] if `original` is not finite.
    pub fn measure(original: &[f32], packed: View<'_>) -> Result<Damage, Error> {
        let (rows, cols) = (packed.rows(), packed.cols());
        if original.len() != rows * cols {
            return Err(Error::Length {
                what: "original",
                format: packed.format(),
                rows,
                cols,
                found: original.len(),
                expected: rows * cols,
            });
        }
        let mut damage = Damage::default();
        let mut values = vec![0.0; cols];
        for (row, original) in original.chunks(cols.max(1)).enumerate() {
            packed.dequantise_row(row, &mut values)?;
            for (col, (x, y)) in original.iter().zip(&values).enumerate() {
                if !x.is_finite() {
                    return Err(Error::NonFinite {
                        row,
                        col,
                        value: *x,
                    });
                }
                let error = f64::from(*y) - f64::from(*x);
                damage.squared_error += error * error;
                damage.squared_norm += f64::from(*x) * f64::from(*x);
                damage.max_error = damage.max_error.max(error.abs() as f32);
            }
        }
        damage.count = original.len();
        Ok(damage)
    }

    /// Both together, as if they were one matrix.
    pub fn merge(self, other: Damage) -> Damage {
        Damage {
            count: self.count + other.count,
            squared_error: self.squared_error + other.squared_error,
            squared_norm: self.squared_norm + other.squared_norm,
            max_error: self.max_error.max(other.max_error),
        }
    }

    /// Root mean square of the error over that of the weights; 0 for a matrix packed without
    /// error, also if it is all zero.
    pub fn relative_rms(&self) -> f64 {
        if self.squared_error == 0.0 {
            0.0
        } else {
            (self.squared_error / self.squared_norm).sqrt()
        }
    }
}
