//! Which modules an adapter stands beside, in PEFT's three ways: all of them, a pattern over whole
//! names, or a list of names or ends of names.

use super::names::AdapterModule;
use crate::Error;
use fancy_regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// PEFT's word for every linear module but the head.
const ALL: &str = "all-linear";

/// PEFT's `target_modules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Targets {
    /// `all-linear`, or a regular expression that must match a module's whole name.
    Pattern(String),
    /// Names, or what names end in behind a dot: `q_proj`, `attn.proj`, a whole name.
    Names(Vec<String>),
}

impl Targets {
    /// The modules among `modules` that are meant, in their order.
    ///
    /// # Errors
    /// [`Error::Adapter`] for a pattern that is none, and for whatever meets no module.
    pub fn choose<'a>(
        &self,
        modules: &'a [AdapterModule],
    ) -> Result<Vec<&'a AdapterModule>, Error> {
        match self {
            Targets::Pattern(pattern) => by_pattern(pattern, modules),
            Targets::Names(names) => by_names(names, modules),
        }
    }
}

fn by_pattern<'a>(
    pattern: &str,
    modules: &'a [AdapterModule],
) -> Result<Vec<&'a AdapterModule>, Error> {
    if pattern == ALL {
        return Ok(modules.iter().collect());
    }
    let fail = |reason: String| Error::Adapter {
        reason: format!("target {pattern:?}: {reason}"),
    };
    let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|e| fail(e.to_string()))?;
    let mut chosen = Vec::new();
    for module in modules {
        if whole
            .is_match(&module.name)
            .map_err(|e| fail(e.to_string()))?
        {
            chosen.push(module);
        }
    }
    match chosen.is_empty() {
        true => Err(fail(format!(
            "matches no linear module; names are like {}",
            example(modules)
        ))),
        false => Ok(chosen),
    }
}

fn by_names<'a>(
    names: &[String],
    modules: &'a [AdapterModule],
) -> Result<Vec<&'a AdapterModule>, Error> {
    let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut met = HashSet::new();
    let mut chosen = Vec::new();
    for module in modules {
        let hits: Vec<&str> = ends(&module.name)
            .filter(|end| wanted.contains(end))
            .collect();
        if !hits.is_empty() {
            met.extend(hits);
            chosen.push(module);
        }
    }
    match names.iter().find(|name| !met.contains(name.as_str())) {
        Some(name) => Err(Error::Adapter {
            reason: format!(
                "target {name:?} is no linear module that can have an adapter; names are like {}",
                example(modules)
            ),
        }),
        None if names.is_empty() => Err(Error::Adapter {
            reason: "no target is named".into(),
        }),
        None => Ok(chosen),
    }
}

/// A name, and what it ends in behind each of its dots.
fn ends(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| at + 1);
    std::iter::once(0).chain(dots).map(|at| &name[at..])
}

fn example(modules: &[AdapterModule]) -> &str {
    modules.last().map_or("", |module| module.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Vec<AdapterModule> {
        let names = ["a.0.attn.proj", "a.0.q_proj", "a.1.q_proj", "b.proj"];
        let module = |name: &str| AdapterModule {
            name: name.into(),
            shape: [1, 1],
        };
        names.map(module).into()
    }

    fn chosen(targets: Targets) -> Result<Vec<String>, String> {
        let modules = modules();
        let chosen = targets.choose(&modules).map_err(|e| e.to_string())?;
        Ok(chosen.iter().map(|m| m.name.clone()).collect())
    }

    #[test]
    fn names_end_at_dots_and_patterns_are_whole() {
        let names =
            |list: &[&str]| chosen(Targets::Names(list.iter().map(|n| n.to_string()).collect()));
        let pattern = |text: &str| chosen(Targets::Pattern(text.into()));
        assert_eq!(names(&["proj"]).unwrap(), ["a.0.attn.proj", "b.proj"]);
        assert_eq!(names(&["attn.proj"]).unwrap(), ["a.0.attn.proj"]);
        assert_eq!(names(&["a.1.q_proj"]).unwrap(), ["a.1.q_proj"]);
        assert_eq!(pattern("all-linear").unwrap().len(), 4);
        assert_eq!(pattern(r"a\.\d\.q_proj").unwrap().len(), 2);
        assert_eq!(pattern(r"^(?!.*attn).*proj$").unwrap().len(), 3);
        for wrong in [names(&["q_proj", "k_proj"]), names(&["roj"]), names(&[])] {
            wrong.expect_err("must be refused");
        }
        assert!(pattern("q_proj").unwrap_err().contains("q_proj"));
        assert!(pattern("(").unwrap_err().contains("\"(\""));
    }
}
