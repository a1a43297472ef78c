//! Optional tap on named intermediate results, for parity tests and `glmv verify`.

use burn::tensor::Tensor;

/// Collects named activations of a forward pass when switched on; costs nothing when off.
#[derive(Debug, Default)]
pub struct Probe {
    taps: Option<Vec<(String, Tensor<2>)>>,
}

impl Probe {
    /// A probe that records nothing.
    pub fn off() -> Self {
        Probe { taps: None }
    }

    /// A probe that keeps every named result.
    pub fn on() -> Self {
        Probe {
            taps: Some(Vec::new()),
        }
    }

    /// True if results are kept.
    pub fn is_on(&self) -> bool {
        self.taps.is_some()
    }

    /// Keeps `value` under `name` if the probe is on.
    pub fn record(&mut self, name: impl FnOnce() -> String, value: &Tensor<2>) {
        if let Some(taps) = &mut self.taps {
            taps.push((name(), value.clone()));
        }
    }

    /// The last value recorded under `name`, `[rows, width]`.
    pub fn get(&self, name: &str) -> Option<Tensor<2>> {
        let taps = self.taps.as_ref()?;
        taps.iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    }
}
