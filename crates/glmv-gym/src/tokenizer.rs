//! A tokenizer for models that are trained on the gym alone: byte-level BPE learnt on its questions,
//! traces, answers and captions, with GLM's special tokens behind it. Called by `glmv gym tokenizer`.
//!
//! Departures from the released tokenizers: a small vocabulary; every digit is a token of its own (theirs
//! takes up to three), so that sums and coordinates are spelt one way; `<answer>` of GLM-4.1V beside the
//! box of GLM-4.5V.

use crate::{Domain, Error, LEVELS, Size, Split, generate};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split as SplitText, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

/// GLM's added tokens in the order of their ids, and whether they are special: left out of decoded
/// text. Think, tool and answer marks are not, as in the released checkpoints.
pub const ADDED: [(&str, bool); 38] = [
    ("<|endoftext|>", true),
    ("[MASK]", true),
    ("[gMASK]", true),
    ("[sMASK]", true),
    ("<sop>", true),
    ("<eop>", true),
    ("<|system|>", true),
    ("<|user|>", true),
    ("<|assistant|>", true),
    ("<|observation|>", true),
    ("<|begin_of_image|>", true),
    ("<|end_of_image|>", true),
    ("<|begin_of_video|>", true),
    ("<|end_of_video|>", true),
    ("<|begin_of_audio|>", true),
    ("<|end_of_audio|>", true),
    ("<|begin_of_transcription|>", true),
    ("<|end_of_transcription|>", true),
    ("<|code_prefix|>", true),
    ("<|code_middle|>", true),
    ("<|code_suffix|>", true),
    ("<think>", false),
    ("</think>", false),
    ("<tool_call>", false),
    ("</tool_call>", false),
    ("<tool_response>", false),
    ("</tool_response>", false),
    ("<arg_key>", false),
    ("</arg_key>", false),
    ("<arg_value>", false),
    ("</arg_value>", false),
    ("<answer>", false),
    ("</answer>", false),
    ("/nothink", true),
    ("<|begin_of_box|>", false),
    ("<|end_of_box|>", false),
    ("<|image|>", true),
    ("<|video|>", true),
];

/// Contractions, words with the mark or space before them, single digits, punctuation, line ends,
/// spaces: the pattern of the GLM tokenizers but for the digits.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What the tokenizer is learnt from, and how large it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// First seed within the training split.
    pub seed: u64,
    /// Items per domain and level.
    pub n: u64,
    /// Tokens in all, added ones included.
    pub size: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 0,
            n: 200,
            size: 1024,
        }
    }
}

impl Plan {
    /// The fewest tokens: one per byte, and the added ones.
    pub const LEAST: usize = 256 + ADDED.len();

    /// Learns a tokenizer; the same plan gives the same bytes.
    ///
    /// # Errors
    /// If the size is below [`Plan::LEAST`], larger than the texts can fill, or an item cannot be made.
    pub fn train(&self) -> Result<Trained, Error> {
        if self.size < Self::LEAST {
            return Err(Error::Vocabulary {
                size: self.size,
                reason: format!("expected at least {}", Self::LEAST),
            });
        }
        let texts = corpus(self.seed, self.n)?;
        let learnt = learn(&texts, self.size).map_err(|e| Error::Vocabulary {
            size: self.size,
            reason: e.to_string(),
        })?;
        match learnt.get_vocab_size(true) {
            found if found == self.size => Ok(Trained { inner: learnt }),
            found => Err(Error::Vocabulary {
                size: self.size,
                reason: format!("the texts have pairs for {found} tokens only"),
            }),
        }
    }
}

/// A tokenizer that was learnt.
#[derive(Debug, Clone)]
pub struct Trained {
    inner: tokenizers::Tokenizer,
}

impl Trained {
    /// Writes `tokenizer.json` and `tokenizer_config.json` into a folder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        fs::create_dir_all(dir).map_err(|e| Error::file(dir, e))?;
        let (text, config) = (self.json()?, pretty(&self.config()));
        for (name, text) in [("tokenizer.json", text), ("tokenizer_config.json", config)] {
            let path = dir.join(name);
            fs::write(&path, text).map_err(|e| Error::file(&path, e))?;
        }
        Ok(())
    }

    /// The text of `tokenizer.json`.
    ///
    /// # Errors
    /// If the library cannot write it.
    pub fn json(&self) -> Result<String, Error> {
        let text = self.inner.to_string(true).map_err(|e| Error::Vocabulary {
            size: self.inner.get_vocab_size(true),
            reason: e.to_string(),
        })?;
        Ok(text + "\n")
    }

    /// Id of an added token or a piece of text, if it is one token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// `tokenizer_config.json` as Hugging Face's libraries read it.
    fn config(&self) -> Value {
        let mut decoder = serde_json::Map::new();
        for (content, special) in ADDED {
            let id = self.id(content).map_or(String::new(), |id| id.to_string());
            let token = json!({
                "content": content, "lstrip": false, "normalized": false, "rstrip": false,
                "single_word": false, "special": special,
            });
            decoder.insert(id, token);
        }
        let special = ADDED.iter().filter(|(_, special)| *special);
        json!({
            "added_tokens_decoder": decoder,
            "additional_special_tokens": special.map(|(content, _)| *content).collect::<Vec<_>>(),
            "clean_up_tokenization_spaces": false,
            "do_lower_case": false,
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": 4096,
            "padding_side": "left",
            "remove_space": false,
            "model_input_names": ["input_ids", "attention_mask"],
            "tokenizer_class": "PreTrainedTokenizerFast",
            "processor_class": "Glm4vProcessor",
        })
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Questions, traces, answers and captions of every domain and level.
fn corpus(seed: u64, n: u64) -> Result<Vec<String>, Error> {
    let [side, _] = Size::RANGE;
    let mut texts = Vec::new();
    for domain in Domain::ALL {
        for level in 1..=LEVELS {
            for offset in 0..n {
                let seed = Split::Train.seed(seed.saturating_add(offset))?;
                let item = generate(domain, level, seed, Size { side })?;
                texts.extend([item.question, item.trace, item.answer, item.caption]);
            }
        }
    }
    Ok(texts)
}

fn learn(texts: &[String], size: usize) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = BPE::builder().ignore_merges(true).build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let pattern = SplitPattern::Regex(PATTERN.to_owned());
    let pieces: Vec<PreTokenizerWrapper> = vec![
        SplitText::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into(),
        ByteLevel::new(false, true, false).into(),
    ];
    tokenizer
        .with_pre_tokenizer(Some(Sequence::new(pieces)))
        .with_post_processor(Some(ByteLevel::new(true, false, true)))
        .with_decoder(Some(ByteLevel::new(true, true, true)));
    let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(size - ADDED.len())
        .initial_alphabet(alphabet)
        .build();
    let mut trainer = TrainerWrapper::BpeTrainer(trainer);
    tokenizer.train(&mut trainer, texts.iter())?;
    let added =
        ADDED.map(|(content, special)| AddedToken::from(content, special).normalized(false));
    tokenizer.add_tokens(added)?;
    Ok(tokenizer)
}
