//! Optional tap on named intermediate results, for parity tests and `glmv verify`.

use burn::tensor::{Int, Tensor, s};

/// Collects named activations of a forward pass when switched on; costs nothing when off.
#[derive(Debug, Default)]
pub struct Probe {
    taps: Option<Vec<(String, Tensor<2>)>>,
    routing: Option<Vec<LayerRouting>>,
}

/// What the router of one layer said, for balance losses and bias updates.
#[derive(Clone, Debug)]
pub struct LayerRouting {
    /// `[tokens, routed experts]`, tracked if the pass was.
    pub logits: Tensor<2>,
    /// `[tokens, top_k]`, without the shared experts.
    pub ids: Tensor<2, Int>,
}

impl Probe {
    /// A probe that records nothing.
    pub fn off() -> Self {
        Probe::default()
    }

    /// A probe that keeps every named result.
    pub fn on() -> Self {
        Probe {
            taps: Some(Vec::new()),
            routing: None,
        }
    }

    /// A probe that keeps what the routers said, and nothing else.
    pub fn of_routing() -> Self {
        Probe {
            taps: None,
            routing: Some(Vec::new()),
        }
    }

    /// A probe that keeps every named result and what the routers said.
    pub fn of_everything() -> Self {
        Probe {
            taps: Some(Vec::new()),
            routing: Some(Vec::new()),
        }
    }

    /// Routing of the mixture-of-experts layers since the last call, in their order.
    pub fn take_routing(&mut self) -> Vec<LayerRouting> {
        self.routing
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Keeps a router's logits and choice, of whose slots the first `top_k` are routed.
    pub(crate) fn record_routing(
        &mut self,
        logits: &Tensor<2>,
        ids: &Tensor<2, Int>,
        top_k: usize,
    ) {
        if let Some(routing) = &mut self.routing {
            routing.push(LayerRouting {
                logits: logits.clone(),
                ids: ids.clone().slice(s![.., 0..top_k]),
            });
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
