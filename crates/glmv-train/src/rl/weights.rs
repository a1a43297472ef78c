//! A name for weights: what a completion was made with.

use crate::Error;
use glmv_model::{Glm4v, HubTensors};
use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of SHA-256 over the name and the values of every tensor of the hub
/// layout. Reads all weights from the device.
///
/// # Errors
/// [`Error::Model`] if the device fails.
pub fn fingerprint(model: &Glm4v) -> Result<String, Error> {
    let tensors = HubTensors::new(model);
    let mut sha = Sha256::new();
    for name in tensors.names() {
        sha.update(name.as_bytes());
        for value in tensors.read(name)?.unwrap_or_default() {
            sha.update(value.to_le_bytes());
        }
    }
    let digest = sha.finalize();
    Ok(digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
