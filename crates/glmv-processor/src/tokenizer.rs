//! Text to ids and back. Wraps the `tokenizers` crate; adds nothing of its own to a text (the
//! template writes `[gMASK]<sop>`). Called by the processor for prompts and by the engine for
//! output, through [`StreamDecoder`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;

/// Tokens a [`StreamDecoder`] keeps before it looks for a place to cut.
const WINDOW: usize = 32;

/// A checkpoint's tokenizer (`tokenizer.json`). Clones share the vocabulary.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    path: PathBuf,
}

impl Tokenizer {
    /// Reads `tokenizer.json`; truncation and padding stored in it are switched off.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Tokenizer`] when it is not a tokenizer
    /// or does not decode byte by byte (every GLM tokenizer is byte-level BPE).
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let fail = |reason: String| Error::Tokenizer {
            path: path.to_owned(),
            reason,
        };
        let mut inner =
            tokenizers::Tokenizer::from_bytes(&bytes).map_err(|e| fail(e.to_string()))?;
        inner
            .with_truncation(None)
            .map_err(|e| fail(e.to_string()))?;
        inner.with_padding(None);
        if !matches!(
            inner.get_decoder(),
            Some(tokenizers::DecoderWrapper::ByteLevel(_))
        ) {
            return Err(fail("expected a ByteLevel decoder".to_owned()));
        }
        Ok(Self {
            inner: Arc::new(inner),
            path: path.to_owned(),
        })
    }

    /// Ids of `text`; special tokens written in the text are recognised, none are added.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the pre-tokeniser's pattern fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| self.fail(&e))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of `ids`. Bytes that are no UTF-8 become U+FFFD. Ids outside the vocabulary contribute
    /// nothing. With `skip_special`, tokens marked special are left out (think, tool and box tokens
    /// are not marked so and stay).
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Error> {
        self.inner
            .decode(ids, skip_special)
            .map_err(|e| self.fail(&e))
    }

    /// Id of a token given by its exact text, if there is one.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Number of tokens, added ones included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// A decoder for a sequence that arrives token by token.
    #[must_use]
    pub fn stream(&self, skip_special: bool) -> StreamDecoder {
        StreamDecoder {
            tokenizer: self.clone(),
            skip_special,
            window: Vec::new(),
            sent: 0,
        }
    }

    fn fail(&self, error: &tokenizers::Error) -> Error {
        Error::Tokenizer {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

/// Decodes a sequence token by token. The chunks of [`push`](Self::push) and
/// [`finish`](Self::finish) concatenate to exactly [`Tokenizer::decode`] of all ids; a character
/// split over tokens is held back until it is complete.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    skip_special: bool,
    /// Ids whose text is not settled yet. It always starts at a character boundary.
    window: Vec<u32>,
    /// Bytes of the window's text that were handed out already.
    sent: usize,
}

impl StreamDecoder {
    /// Takes one id; returns text that no later id can change, if there is any.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the decoder fails.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, Error> {
        self.window.push(id);
        let text = self.tokenizer.decode(&self.window, self.skip_special)?;
        // An unfinished character decodes to one U+FFFD at the very end; all before it is settled.
        let settled = text.strip_suffix('\u{FFFD}').unwrap_or(&text);
        let chunk = settled.get(self.sent..).unwrap_or_default().to_owned();
        self.sent = self.sent.max(settled.len());
        if settled.len() == text.len() {
            self.window.clear();
            self.sent = 0;
        } else if self.window.len() > WINDOW {
            self.shorten(&text)?;
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// Ends the sequence: returns what was held back, if anything. The decoder is empty afterwards.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the decoder fails.
    pub fn finish(&mut self) -> Result<Option<String>, Error> {
        let text = self.tokenizer.decode(&self.window, self.skip_special)?;
        let rest = text.get(self.sent..).unwrap_or_default().to_owned();
        self.window.clear();
        self.sent = 0;
        Ok((!rest.is_empty()).then_some(rest))
    }

    /// Drops settled ids from the front of a long window that keeps ending in broken bytes. A cut
    /// is clean exactly when both sides decode to what the whole decodes to.
    fn shorten(&mut self, text: &str) -> Result<(), Error> {
        for cut in (1..self.window.len()).rev() {
            let head = self
                .tokenizer
                .decode(&self.window[..cut], self.skip_special)?;
            let tail = self
                .tokenizer
                .decode(&self.window[cut..], self.skip_special)?;
            let clean = !tail.is_empty() && text.strip_prefix(head.as_str()) == Some(tail.as_str());
            if clean && head.len() <= self.sent {
                self.window.drain(..cut);
                self.sent -= head.len();
                return Ok(());
            }
        }
        Ok(())
    }
}
