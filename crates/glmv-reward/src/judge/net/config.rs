//! What is configured about an HTTP endpoint, and its checks.

use serde::Deserialize;

use super::HttpError;

/// An HTTP endpoint and how patiently it is called. All fields have defaults but `url`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointConfig {
    /// Full address, `http://host:port/path`; `https` needs the crate's feature `tls`.
    pub url: String,
    /// Name of the environment variable that holds the API key, sent as `Authorization: Bearer`.
    /// The key itself is never configured, printed or logged.
    pub api_key_env: Option<String>,
    /// Longest time of one attempt in seconds, from the look-up of the name to the last byte.
    /// Default 120.
    pub timeout_secs: f64,
    /// Attempts per call, the first one included, 1..=100. Default 5.
    pub max_attempts: u32,
    /// Wait before the second attempt in seconds; doubles with each further one. Default 1.
    pub backoff_secs: f64,
    /// Longest wait between attempts in seconds, unless the server asks for more. Default 30.
    pub max_backoff_secs: f64,
    /// Longest `Retry-After` in seconds that is waited for; a longer one fails the call. Default 300.
    pub max_retry_after_secs: f64,
    /// Requests per minute over all threads; none means unlimited. Default none.
    pub requests_per_minute: Option<f64>,
    /// Requests in flight at the same time, 1..=1024. Default 16.
    pub max_concurrent: usize,
    /// Longest reply in bytes. Default 4 MiB.
    pub max_reply_bytes: u64,
    /// Address of a proxy; the environment's proxy variables are not read. Default none.
    pub proxy: Option<String>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            api_key_env: None,
            timeout_secs: 120.0,
            max_attempts: 5,
            backoff_secs: 1.0,
            max_backoff_secs: 30.0,
            max_retry_after_secs: 300.0,
            requests_per_minute: None,
            max_concurrent: 16,
            max_reply_bytes: 4 << 20,
            proxy: None,
        }
    }
}

impl EndpointConfig {
    /// The defaults for `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`HttpError::Config`] with the first field that cannot be used.
    pub(crate) fn check(&self) -> Result<(), HttpError> {
        let bad = |field: &'static str, reason: String| Err(HttpError::Config { field, reason });
        self.check_url()?;
        for (field, value, least) in [
            ("timeout_secs", self.timeout_secs, 1e-3),
            ("backoff_secs", self.backoff_secs, 0.0),
            ("max_backoff_secs", self.max_backoff_secs, 0.0),
            ("max_retry_after_secs", self.max_retry_after_secs, 0.0),
            (
                "requests_per_minute",
                self.requests_per_minute.unwrap_or(1.0),
                1e-3,
            ),
        ] {
            if !(least..=1e6).contains(&value) {
                return bad(field, format!("{value} is not in {least}..=1000000"));
            }
        }
        if !(1..=100).contains(&self.max_attempts) {
            return bad(
                "max_attempts",
                format!("{} is not in 1..=100", self.max_attempts),
            );
        }
        if !(1..=1024).contains(&self.max_concurrent) {
            return bad(
                "max_concurrent",
                format!("{} is not in 1..=1024", self.max_concurrent),
            );
        }
        if self.max_reply_bytes == 0 {
            return bad("max_reply_bytes", "it must be at least 1".to_owned());
        }
        Ok(())
    }

    fn check_url(&self) -> Result<(), HttpError> {
        let bad = |reason: &str| {
            Err(HttpError::Config {
                field: "url",
                reason: reason.to_owned(),
            })
        };
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return bad("it must start with http:// or https://");
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        match scheme {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => return bad("https needs a build with the feature `tls`"),
            _ => return bad("it must start with http:// or https://"),
        }
        if authority.is_empty() {
            return bad("it names no host");
        }
        if authority.contains('@') {
            return bad("a password does not belong into an address: use `api_key_env`");
        }
        Ok(())
    }
}

/// The API key; its `Debug` shows nothing of it.
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// Reads the key from the environment variable `name`.
    ///
    /// # Errors
    /// If the variable is not set, empty, or holds characters a header cannot carry.
    pub(crate) fn from_env(name: &str) -> Result<Self, HttpError> {
        let key = std::env::var(name).map_err(|_| HttpError::NoKey {
            variable: name.to_owned(),
        })?;
        let key = key.trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(HttpError::NoKey {
                variable: name.to_owned(),
            });
        }
        Ok(Self(key.to_owned()))
    }

    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// `text` without the key, for servers that echo it in their messages.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(config: &EndpointConfig) -> Option<&'static str> {
        match config.check() {
            Err(HttpError::Config { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
            Ok(()) => None,
        }
    }

    #[test]
    fn the_wrong_field_is_named() {
        let good = EndpointConfig::new("http://127.0.0.1:1/v1");
        assert_eq!(field(&good), None);
        for url in ["", "host", "ftp://host", "http:///x", "http://a:b@host/"] {
            assert_eq!(field(&EndpointConfig::new(url)), Some("url"), "{url}");
        }
        let with = |change: fn(&mut EndpointConfig)| {
            let mut config = good.clone();
            change(&mut config);
            field(&config)
        };
        assert_eq!(with(|c| c.timeout_secs = f64::NAN), Some("timeout_secs"));
        assert_eq!(with(|c| c.backoff_secs = -1.0), Some("backoff_secs"));
        assert_eq!(with(|c| c.max_attempts = 0), Some("max_attempts"));
        assert_eq!(with(|c| c.max_concurrent = 0), Some("max_concurrent"));
        assert_eq!(
            with(|c| c.requests_per_minute = Some(0.0)),
            Some("requests_per_minute")
        );
    }

    #[test]
    fn https_is_refused_without_the_feature() {
        let config = EndpointConfig::new("https://host/v1");
        assert_eq!(config.check().is_ok(), cfg!(feature = "tls"));
    }

    #[test]
    fn the_key_is_not_shown() {
        let key = ApiKey("s3cret".to_owned());
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        assert_eq!(key.redact("bad key s3cret!"), "bad key ***!");
    }
}
