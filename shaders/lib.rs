//! The WGSL kernels, as data: what flows in is a kernel's name and parameters, what flows out is
//! WGSL text ready to compile; `glmv-kernels` is the caller. Nothing here touches a GPU.
//!
//! A kernel file is valid WGSL as it stands. A parameter is one declaration line marked `// param`:
//!
//! ```wgsl
//! alias Vec = vec4<f32>; // param
//! const WG: u32 = 64u; // param
//! ```
//!
//! [`Shader::specialise`] replaces the right-hand side of such lines by name:
//!
//! ```ignore
//! let text = glmv_shaders::by_name("swiglu").specialise(&[("Vec", "f32")])?;
//! ```
//!
//! A kernel that keeps many values in registers needs them named, not in an array. It declares an
//! index and marks the lines (or blocks) to repeat for each of its values; see `repeat.rs`:
//!
//! ```wgsl
//! const i = 0u; // index < ROWS
//! var sum_i = 0.0; // each i
//! ```
//!
//! Common to all kernels: entry point `main`; bindings `@group(0)`, tensors first and `read_write`
//! (tensors share buffers), then `info: array<u32>` of sizes and scalars, floats as their bits; at
//! most eleven bindings and 16 KiB of workgroup memory; no atomics; no subgroup operations except in the
//! files named `*_coop`, for cooperative matrices, and in those
//! named `*_sub`, which are for adapters whose subgroups have exactly eight lanes (CPU devices)
//! and beside which the same work stands in portable WGSL; activations are f32, weights f32, f16 or
//! codes of 8 or 4 bits, sums f32; workgroups are counted
//! `workgroup_id.x + workgroup_id.y * num_workgroups.x`, so that a launch may fold a long grid.

mod dense;
mod few;
mod grad;
pub mod moe;
mod repeat;
mod sample;

use std::fmt::Write as _;

/// One set of parameter values, as `(name, right-hand side)`.
pub type Params<'a> = &'a [(&'a str, &'a str)];

/// A WGSL kernel and the parameter sets it is used with.
#[derive(Debug)]
pub struct Shader {
    /// File name without the extension.
    pub name: &'static str,
    /// WGSL text with every parameter at its default.
    pub source: &'static str,
    /// Parameter sets that the tests validate; every set used at run time is among them, up to
    /// sizes such as a head dimension.
    pub sets: &'static [Params<'static>],
}

/// A declaration line marked `// param`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Name of the alias or constant.
    pub name: &'static str,
    /// Right-hand side in the file.
    pub default: &'static str,
}

/// Why a shader could not be specialised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value was given for a name that no `// param` line declares.
    #[error("shader {shader} has no parameter {name}; it has {known}")]
    UnknownParam {
        shader: &'static str,
        name: String,
        known: String,
    },
    /// A value was given twice, or two `// param` lines declare the same name.
    #[error("shader {shader}: parameter {name} appears more than once")]
    RepeatedParam { shader: &'static str, name: String },
    /// A value that would not stay inside its declaration.
    #[error("shader {shader}: parameter {name} cannot be {value:?}")]
    BadValue {
        shader: &'static str,
        name: String,
        value: String,
    },
    /// An `// index` or `// each` mark that cannot be followed.
    #[error("shader {shader}: {reason}")]
    Repeat {
        shader: &'static str,
        reason: String,
    },
}

impl Shader {
    /// WGSL text with the named parameters replaced, the others at their default, and every `each`
    /// written out; `enable f16;` stands first when a parameter's value mentions `f16`.
    ///
    /// # Errors
    /// An unknown or repeated name, or a value that is empty or contains `;`, `/` or a line break,
    /// or an `each` of an index that is not declared.
    pub fn specialise(&self, params: Params) -> Result<String, Error> {
        let shader = self.name;
        let known = self.params();
        for (i, (name, value)) in params.iter().enumerate() {
            if !known.iter().any(|p| p.name == *name) {
                return Err(Error::UnknownParam {
                    shader,
                    name: (*name).to_string(),
                    known: known.iter().map(|p| p.name).collect::<Vec<_>>().join(", "),
                });
            }
            let declared = known.iter().filter(|p| p.name == *name).count();
            if declared > 1 || params[..i].iter().any(|(n, _)| n == name) {
                return Err(Error::RepeatedParam {
                    shader,
                    name: (*name).to_string(),
                });
            }
            if value.trim().is_empty() || value.contains([';', '/', '\n', '\r']) {
                return Err(Error::BadValue {
                    shader,
                    name: (*name).to_string(),
                    value: (*value).to_string(),
                });
            }
        }
        let mut text = String::with_capacity(self.source.len() + 16);
        let mut half = false;
        for line in self.source.lines() {
            match param_of(line) {
                Some((head, param)) => {
                    let named = params.iter().find(|(name, _)| *name == param.name);
                    let value = named.map_or(param.default, |(_, value)| value);
                    half |= value.contains("f16");
                    writeln!(text, "{head}= {value};").expect("writing to a String cannot fail");
                }
                None => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        if half {
            text.insert_str(0, "enable f16;\n");
        }
        repeat::expand(&text).map_err(|reason| Error::Repeat { shader, reason })
    }

    /// The parameters, in the order of the file.
    pub fn params(&self) -> Vec<Param> {
        self.source
            .lines()
            .filter_map(param_of)
            .map(|(_, param)| param)
            .collect()
    }

    /// Number of bindings, `info` included.
    pub fn bindings(&self) -> usize {
        self.source
            .lines()
            .filter(|line| line.starts_with("@group(0) @binding("))
            .count()
    }
}

/// The part of a parameter line before `=`, and the parameter; `None` for any other line.
fn param_of(line: &'static str) -> Option<(&'static str, Param)> {
    let declaration = line.trim_end().strip_suffix("// param")?.trim_end();
    let rest = declaration
        .strip_prefix("alias ")
        .or_else(|| declaration.strip_prefix("const "))?;
    let (head, value) = declaration.strip_suffix(';')?.split_once('=')?;
    let name = rest.split([':', ' ', '=']).next()?;
    let default = value.trim();
    Some((head, Param { name, default }))
}

/// Every kernel.
pub fn all() -> impl Iterator<Item = &'static Shader> {
    dense::SHADERS
        .iter()
        .chain(few::shaders())
        .chain(grad::SHADERS)
        .chain(moe::SHADERS)
        .chain(sample::shaders())
}

/// The kernel of that name.
///
/// # Panics
/// If there is none: names are written in code, never read from input.
pub fn by_name(name: &str) -> &'static Shader {
    all()
        .find(|shader| shader.name == name)
        .unwrap_or_else(|| panic!("no shader is named {name}"))
}
