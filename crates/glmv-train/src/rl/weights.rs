//! A name for weights: what a completion was made with.

use crate::params::values_of;
use crate::{Error, Part};
use glmv_kernels::device::read;
use glmv_model::{Glm4v, HubTensors};
use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of SHA-256 over the name and the values of every tensor of the hub
/// layout and of an adapter. Reads all weights from the device.
///
/// # Errors
/// [`Error::Model`] if the device fails.
pub fn fingerprint(model: &Glm4v) -> Result<String, Error> {
    let tensors = HubTensors::new(model);
    let mut sha = Sha256::new();
    let mut take = |name: &str, values: Vec<f32>| {
        sha.update(name.as_bytes());
        for value in values {
            sha.update(value.to_le_bytes());
        }
    };
    for name in tensors.names() {
        take(name, tensors.read(name)?.unwrap_or_default());
    }
    for (path, values) in values_of(model, Part::Adapters) {
        take(&path, read(values)?);
    }
    let digest = sha.finalize();
    Ok(digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
