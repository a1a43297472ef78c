//! The objectives: derivatives, averages, values, errors.

mod derivatives;
mod support;
mod values;
