//! How a checkpoint is loaded.

use crate::Precision;
use burn::tensor::Device;
use std::sync::OnceLock;

/// Choices of [`crate::Glm4v::load`]; a [`Precision`] alone leaves the rest as it is by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Type of the large matrices and of the KV cache.
    pub precision: Precision,
    /// The experts of this many last decoder layers stay in host memory and run there. Activations
    /// cross to the host and back in each of these layers.
    pub experts_on_host: usize,
}

impl From<Precision> for LoadOptions {
    fn from(precision: Precision) -> Self {
        LoadOptions {
            precision,
            experts_on_host: 0,
        }
    }
}

/// The device of experts that stay on the host.
pub(crate) fn host_device() -> &'static Device {
    static HOST: OnceLock<Device> = OnceLock::new();
    HOST.get_or_init(Device::flex)
}
