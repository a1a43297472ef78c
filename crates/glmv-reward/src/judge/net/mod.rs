//! JSON over HTTP with patience: bytes go out to one endpoint, a parsed reply or a typed error
//! comes back. Attempts that may pass (connection, time-out, 408, 425, 429, 5xx, replies that
//! cannot be used) are repeated; every attempt is paced and counted. Used by the HTTP judge, the
//! HTTP reward model and the user's HTTP reward.

mod config;
mod error;
mod pace;
mod parallel;
mod retry;
mod stats;
#[cfg(feature = "tls")]
mod tls;

use std::time::{Duration, SystemTime};

pub use config::EndpointConfig;
pub use error::{FailureKind, HttpError};
pub use stats::CallStats;

pub(crate) use error::excerpt;
pub(crate) use pace::lock;
pub(crate) use parallel::parallel_map;
pub(crate) use stats::Counters;

use config::ApiKey;
use pace::Pace;

/// Characters of a body that messages quote.
const EXCERPT_CHARS: usize = 200;

/// An error that an HTTP call may end in.
pub(crate) trait CallFailure: From<HttpError> {
    /// The kind, which decides whether the call is repeated.
    fn kind(&self) -> FailureKind;
    /// `Retry-After` in seconds, if the server sent one.
    fn retry_after_secs(&self) -> Option<f64>;
    /// The same error with the number of attempts that were made.
    fn after_attempts(self, attempts: u32) -> Self;
}

/// A client of one endpoint, shared by threads.
#[derive(Debug)]
pub(crate) struct HttpClient {
    config: EndpointConfig,
    key: Option<ApiKey>,
    agent: ureq::Agent,
    pace: Pace,
    pub(crate) counters: Counters,
}

impl HttpClient {
    /// A client of `config`; the API key is read here, once.
    ///
    /// # Errors
    /// [`HttpError::Config`] or [`HttpError::NoKey`].
    pub(crate) fn new(config: EndpointConfig) -> Result<Self, HttpError> {
        config.check()?;
        let key = config
            .api_key_env
            .as_deref()
            .map(ApiKey::from_env)
            .transpose()?;
        let proxy = config
            .proxy
            .as_deref()
            .map(ureq::Proxy::new)
            .transpose()
            .map_err(|error| HttpError::Config {
                field: "proxy",
                reason: error.to_string(),
            })?;
        let builder = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs_f64(config.timeout_secs)))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections_per_host(config.max_concurrent)
            .user_agent(concat!("glmv/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy);
        #[cfg(feature = "tls")]
        let builder = builder.tls_config(tls::config()?);
        Ok(Self {
            pace: Pace::new(config.requests_per_minute, config.max_concurrent),
            agent: ureq::Agent::new_with_config(builder.build()),
            counters: Counters::default(),
            key,
            config,
        })
    }

    /// Address and limits.
    pub(crate) fn config(&self) -> &EndpointConfig {
        &self.config
    }

    /// Posts `body` until `parse` accepts the reply or the attempts are used up; counts all of it.
    ///
    /// # Errors
    /// That of the last attempt.
    pub(crate) fn post<T, E: CallFailure>(
        &self,
        body: &[u8],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = self.attempts(body, parse);
        self.counters.call(result.as_ref().err().map(E::kind));
        result
    }

    fn attempts<T, E: CallFailure>(
        &self,
        body: &[u8],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut attempt = 1;
        loop {
            self.counters.attempt(attempt > 1);
            let permit = self.pace.admit();
            let outcome = self.send(body);
            drop(permit);
            let error = match outcome.map_err(E::from).and_then(|text| parse(&text)) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            self.counters.failed_attempt(error.kind());
            if attempt >= self.config.max_attempts || !error.kind().is_passing() {
                return Err(error.after_attempts(attempt));
            }
            let asked = error.retry_after_secs();
            let Some(wait_secs) = retry::delay_secs(&self.config, attempt, asked, retry::jitter())
            else {
                return Err(error.after_attempts(attempt));
            };
            if let Some(asked) = asked {
                self.pace.pause(asked);
            }
            let url = &self.config.url;
            tracing::debug!(url, attempt, wait_secs, kind = ?error.kind(), "another attempt");
            std::thread::sleep(Duration::from_secs_f64(wait_secs));
            attempt += 1;
        }
    }

    /// One attempt: the body of a 2xx reply as text.
    fn send(&self, body: &[u8]) -> Result<String, HttpError> {
        let mut request = self
            .agent
            .post(&self.config.url)
            .content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header("Authorization", key.header());
        }
        let mut reply = request.send(body).map_err(|e| self.transport(e))?;
        let status = reply.status().as_u16();
        let retry_after_secs = reply
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry::retry_after_secs(text, SystemTime::now()));
        let bytes = reply
            .body_mut()
            .with_config()
            .limit(self.config.max_reply_bytes)
            .read_to_vec();
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
            return Err(HttpError::Status {
                url: self.config.url.clone(),
                status,
                retry_after_secs,
                excerpt: self.quote(&text),
            });
        }
        let bytes = bytes.map_err(|error| match error {
            ureq::Error::Timeout(_) => self.transport(error),
            other => self.unusable(&other.to_string()),
        })?;
        String::from_utf8(bytes).map_err(|_| self.unusable("it is not UTF-8"))
    }

    fn transport(&self, error: ureq::Error) -> HttpError {
        let url = self.config.url.clone();
        match error {
            ureq::Error::Timeout(_) => HttpError::TimedOut {
                url,
                secs: self.config.timeout_secs,
            },
            ureq::Error::Protocol(error) => self.unusable(&error.to_string()),
            other => HttpError::Connection {
                url,
                reason: self.quote(&other.to_string()),
            },
        }
    }

    /// The error for a reply that is not what was asked for.
    pub(crate) fn unusable(&self, reason: &str) -> HttpError {
        HttpError::Reply {
            url: self.config.url.clone(),
            reason: self.quote(reason),
        }
    }

    /// The start of a text of the server, without the key.
    pub(crate) fn quote(&self, text: &str) -> String {
        let text = self
            .key
            .as_ref()
            .map_or_else(|| text.to_owned(), |key| key.redact(text));
        excerpt(&text, EXCERPT_CHARS)
    }
}
