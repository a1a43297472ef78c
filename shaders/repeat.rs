//! Writes out the repeated parts of a kernel: flows in WGSL with `// index` and `// each` marks,
//! flows out WGSL without. Called by `Shader::specialise`, after the parameters are replaced.
//!
//! ```wgsl
//! const i = 0u; // index < ROWS          declares index i, 0 <= i < ROWS
//! var sum_i = 0.0; // each i             sum_0, sum_1, ...
//! sum_i_j = fma(a_i, b_j, sum_i_j); // each i j
//! { // each i                            the block, up to the brace in the same column
//!     let a = subgroupShuffle(own, i);
//!     sum_i_j += a * b_j; // each j
//! }
//! ```
//!
//! In a repeated part the index is replaced as a word (`i` by `2u`) and as an ending of a name (`_i`
//! by `_2`, also before a further `_`). A bound is a number or a constant of the file, or one of
//! these divided by a number. As it stands, with every index 0, the text is valid WGSL.

use std::collections::HashMap;

const INDEX: &str = "// index < ";
const EACH: &str = "// each ";

/// Values of the indices, by name.
type Bounds<'a> = HashMap<&'a str, usize>;

pub(crate) fn expand(text: &str) -> Result<String, String> {
    if !text.contains(INDEX) {
        return Ok(text.to_string());
    }
    let constants: Bounds = text
        .lines()
        .filter_map(|line| {
            let (head, value) = line.strip_prefix("const ")?.split_once(" = ")?;
            let name = head.split(':').next()?;
            Some((name, number(value.split(';').next()?)?))
        })
        .collect();
    let mut bounds = Bounds::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.split_once(INDEX) {
            Some((declaration, bound)) => {
                let name = declaration
                    .strip_prefix("const ")
                    .and_then(|rest| rest.trim_end().strip_suffix(" = 0u;"))
                    .ok_or_else(|| format!("{line:?} is not `const NAME = 0u; {INDEX}BOUND`"))?;
                let bound = bound_of(bound, &constants)
                    .ok_or_else(|| format!("{line:?}: the bound is no number"))?;
                bounds.insert(name, bound);
            }
            None => lines.push(line.to_string()),
        }
    }
    let mut out = String::with_capacity(4 * text.len());
    emit(&lines, &bounds, &mut out)?;
    Ok(out)
}

fn number(text: &str) -> Option<usize> {
    text.trim().trim_end_matches('u').parse().ok()
}

fn bound_of(text: &str, constants: &Bounds) -> Option<usize> {
    let (value, divisor) = text.split_once('/').unwrap_or((text, "1"));
    let value = number(value).or_else(|| constants.get(value.trim()).copied())?;
    value.checked_div(number(divisor)?)
}

/// Appends the lines, every marked line or block once for each value of its indices.
fn emit(lines: &[String], bounds: &Bounds, out: &mut String) -> Result<(), String> {
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        rest = after;
        let Some((code, names)) = line.rsplit_once(EACH) else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let mut part = vec![code.trim_end().to_string()];
        if code.trim() == "{" {
            let indent = code.len() - code.trim_start().len();
            let close = format!("{}}}", &code[..indent]);
            let len = rest.iter().position(|line| *line == close);
            let len = len.ok_or_else(|| format!("{line:?} is not closed"))? + 1;
            part.extend_from_slice(&rest[..len]);
            rest = &rest[len..];
        }
        let mut parts = vec![part];
        for name in names.split_whitespace() {
            let bound = bounds
                .get(name)
                .ok_or_else(|| format!("{line:?}: {name} is no index"))?;
            let replaced = |part: &Vec<String>, value| {
                let lines = part.iter().map(|line| replace(line, name, value));
                lines.collect::<Vec<_>>()
            };
            parts = parts
                .iter()
                .flat_map(|part| (0..*bound).map(move |value| replaced(part, value)))
                .collect();
        }
        for part in parts {
            emit(&part, bounds, out)?;
        }
    }
    Ok(())
}

/// The line with index `name` at `value`: `name` as a word and `_name` as an ending of a word's part.
fn replace(line: &str, name: &str, value: usize) -> String {
    let (code, mark) = match line.rfind(EACH) {
        Some(at) => line.split_at(at),
        None => (line, ""),
    };
    let mut out = String::with_capacity(line.len() + 8);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = code;
    while !rest.is_empty() {
        let word = rest.len() - rest.trim_start_matches(is_part).len();
        if word == 0 {
            let next = rest.trim_start_matches(|c| !is_part(c));
            out.push_str(&rest[..rest.len() - next.len()]);
            rest = next;
            continue;
        }
        let (text, next) = rest.split_at(word);
        if text == name {
            out.push_str(&format!("{value}u"));
        } else {
            for (n, part) in text.split('_').enumerate() {
                if n > 0 {
                    out.push('_');
                }
                if n > 0 && part == name {
                    out.push_str(&value.to_string());
                } else {
                    out.push_str(part);
                }
            }
        }
        rest = next;
    }
    out + mark
}

#[cfg(test)]
mod tests {
    use super::expand;

    const TEXT: &str = "const ROWS: u32 = 4u;
const g = 0u; // index < ROWS / 2
const i = 0u; // index < 2
let row_g = g * 2u; // each g
{ // each g
    let a = at(row_g, i); // each i
    sum_g_i_x += a.i_j * info[i]; // each i
}
";

    #[test]
    fn lines_and_blocks_are_written_out() {
        let text = expand(TEXT).expect("the marks are sound");
        let expected = "const ROWS: u32 = 4u;
let row_0 = 0u * 2u;
let row_1 = 1u * 2u;
{
    let a = at(row_0, 0u);
    let a = at(row_0, 1u);
    sum_0_0_x += a.i_j * info[0u];
    sum_0_1_x += a.i_j * info[1u];
}
{
    let a = at(row_1, 0u);
    let a = at(row_1, 1u);
    sum_1_0_x += a.i_j * info[0u];
    sum_1_1_x += a.i_j * info[1u];
}
";
        assert_eq!(text, expected);
        assert_eq!(expand("no marks").as_deref(), Ok("no marks"));
    }

    #[test]
    fn unsound_marks_are_named() {
        for (from, to, word) in [
            ("< ROWS / 2", "< COLUMNS", "COLUMNS"),
            ("< ROWS / 2", "< ROWS / 0", "ROWS / 0"),
            ("const g = 0u;", "const g = 1u;", "const g = 1u;"),
            ("// each g\n{", "// each h\n{", "h is no index"),
            ("\n}\n", "\n", "not closed"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT);
            let error = expand(&text).expect_err(to);
            assert!(error.contains(word), "{error}");
        }
    }
}
