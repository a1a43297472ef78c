//! The reward config: data source → domain, parameters, weights, as TOML.
//!
//! ```toml
//! [sources.geometry]
//! domain = "math"              # required: a name of the domain table
//! params = { rel_tol = 1e-6 }  # parameters of that domain
//! weights = { accuracy = 1.0, format = 0.0, style = 0.0 }
//! think = "required"           # or "opened", "optional"
//! min_reward = 0.0             # reward where the format or the style fails
//! check_style = true           # language mixing and repetition
//! ```

use crate::Error;
use crate::domain::{Domain, Extraction, Params};
use crate::grammar::Think;
use crate::scorer::Scorer;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;

/// How much each part counts; the reward is their weighted mean.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Weight of the accuracy.
    pub accuracy: f64,
    /// Weight of the format.
    pub format: f64,
    /// Weight of the style.
    pub style: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            accuracy: 1.0,
            format: 0.0,
            style: 0.0,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sources: BTreeMap<String, Spanned<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    domain: String,
    #[serde(default)]
    params: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    weights: Weights,
    think: Option<Think>,
    #[serde(default)]
    min_reward: f64,
    #[serde(default = "yes")]
    check_style: bool,
}

fn yes() -> bool {
    true
}

/// Every data source with its scorer.
#[derive(Debug, Clone)]
pub struct RewardSystem {
    sources: BTreeMap<String, Scorer>,
}

impl RewardSystem {
    /// Reads a config file.
    ///
    /// # Errors
    /// If it cannot be read, or as for [`RewardSystem::from_toml`].
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File {
            path: path.display().to_string(),
            source,
        })?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Reads a config; `file` names it in messages.
    ///
    /// # Errors
    /// If it is no TOML, has an unknown key, an unknown domain or parameter, or a value out of range;
    /// the message has the line.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Config {
            file: file.into(),
            reason,
        };
        let read: File = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        let mut sources = BTreeMap::new();
        for (name, entry) in read.sources {
            let line = text[..entry.span().start.min(text.len())]
                .matches('\n')
                .count()
                + 1;
            let scorer = resolve(entry.into_inner())
                .map_err(|reason| bad(format!("line {line}: sources.{name}: {reason}")))?;
            sources.insert(name, scorer);
        }
        Ok(Self { sources })
    }

    /// The scorer of a data source.
    ///
    /// # Errors
    /// If the config does not name it.
    pub fn source(&self, name: &str) -> Result<&Scorer, Error> {
        self.sources.get(name).ok_or_else(|| Error::Source {
            name: name.into(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })
    }

    /// Names of the data sources, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }
}

fn resolve(entry: Entry) -> Result<Scorer, String> {
    let domain = Domain::find(&entry.domain).map_err(|e| e.to_string())?;
    let mut params: Params = domain.params;
    for (key, value) in &entry.params {
        params
            .set(domain.name, domain.keys, key, value)
            .map_err(|e| e.to_string())?;
    }
    params.check(domain.name).map_err(|e| e.to_string())?;
    let Weights {
        accuracy,
        format,
        style,
    } = entry.weights;
    let all = [accuracy, format, style];
    if all.iter().any(|w| !w.is_finite() || *w < 0.0) || all.iter().sum::<f64>() <= 0.0 {
        return Err("weights must be numbers from 0, and one of them above 0".into());
    }
    if !(-1.0..=1.0).contains(&entry.min_reward) {
        return Err(format!(
            "min_reward = {} is not within -1 to 1",
            entry.min_reward
        ));
    }
    let extraction = match (domain.extraction, entry.think) {
        (Extraction::Grammar(_, boxed), Some(think)) => Extraction::Grammar(think, boxed),
        (Extraction::Whole, Some(_)) => {
            return Err(format!(
                "domain {} reads the whole text: think has no meaning",
                domain.name
            ));
        }
        (extraction, None) => extraction,
    };
    Ok(Scorer {
        domain,
        params,
        extraction,
        weights: entry.weights,
        min_reward: entry.min_reward,
        check_style: entry.check_style,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_maps_sources_to_scorers() {
        let text = "[sources.geo]\ndomain = \"math\"\nparams = { rel_tol = 0.01 }\n\n[sources.words]\ndomain = \"ocr\"\nweights = { accuracy = 0.9, format = 0.1 }\nmin_reward = -0.5\n";
        let system = RewardSystem::from_toml(text, "r.toml").expect("a good config");
        assert_eq!(system.names().collect::<Vec<_>>(), ["geo", "words"]);
        let geo = system.source("geo").expect("a source");
        assert_eq!((geo.domain.name, geo.params.rel_tol), ("math", 0.01));
        assert!(
            system
                .source("x")
                .is_err_and(|e| e.to_string().contains("geo, words"))
        );
    }

    #[test]
    fn mistakes_are_errors_with_their_line() {
        let good = "[sources.a]\ndomain = \"math\"\n\n[sources.b]\ndomain = \"ocr\"\n";
        for (more, words) in [
            ("domian = \"x\"\n", vec!["line 6", "domian"]),
            (
                "params = { rel_tol = 1e-3 }\n",
                vec!["line 4", "sources.b", "rel_tol", "ignore_case"],
            ),
            (
                "params = { upper = 2 }\n",
                vec!["line 4", "upper", "0 to 1"],
            ),
            (
                "params = { upper = 0.2, lower = 0.5 }\n",
                vec!["lower", "above"],
            ),
            ("weights = { accuracy = 0 }\n", vec!["line 4", "weights"]),
            ("weights = { speed = 1 }\n", vec!["line 6", "speed"]),
            ("think = \"never\"\n", vec!["line 6", "never"]),
            ("min_reward = nan\n", vec!["min_reward"]),
            ("[other]\n", vec!["line 6", "other"]),
            ("[sources.c]\ndomain = \"maths\"\n", vec!["line 6", "maths"]),
            ("x = = 1\n", vec!["line 6"]),
        ] {
            let error =
                RewardSystem::from_toml(&format!("{good}{more}"), "r.toml").expect_err(more);
            let error = error.to_string();
            assert!(error.starts_with("r.toml"), "{error}");
            for word in words {
                assert!(error.contains(word), "{more}: {error}");
            }
        }
    }
}
