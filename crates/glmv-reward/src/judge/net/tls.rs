//! TLS of the feature `tls`: rustls with ring, and the certificates the system trusts.

use std::sync::Arc;

use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::HttpError;

/// The TLS settings of a client.
///
/// # Errors
/// If the system's certificates cannot be read.
pub(super) fn config() -> Result<TlsConfig, HttpError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(HttpError::Config {
            field: "url",
            reason: format!(
                "the system has no trusted certificates: {}",
                reasons.join("; ")
            ),
        });
    }
    let certs: Vec<_> = found
        .certs
        .iter()
        .map(|cert| Certificate::from_der(cert.as_ref()).to_owned())
        .collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&certs))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}
