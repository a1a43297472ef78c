//! `cargo xtask lines`: no source file may grow beyond what one sitting can hold.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Above this a file is reported.
const WARN: usize = 300;
/// Above this the command fails.
const LIMIT: usize = 400;

/// Counts the lines of every `.rs` and `.wgsl` file of the workspace.
///
/// # Errors
/// If a file is longer than the limit, or cannot be read.
pub fn run(root: &Path) -> Result<()> {
    let long = long_files(root)?;
    for (path, lines) in &long {
        let verdict = if *lines > LIMIT {
            "too long"
        } else {
            "warning"
        };
        println!("{verdict}: {} has {lines} lines", path.display());
    }
    let failed = long.iter().filter(|(_, lines)| *lines > LIMIT).count();
    if failed > 0 {
        bail!("{failed} files have more than {LIMIT} lines: split them");
    }
    println!(
        "no file has more than {LIMIT} lines; {} have more than {WARN}",
        long.len()
    );
    Ok(())
}

/// Files above [`WARN`], longest first.
fn long_files(root: &Path) -> Result<Vec<(PathBuf, usize)>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in
            std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if name.ends_with(".rs") || name.ends_with(".wgsl") {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let lines = text.lines().count();
                if lines > WARN {
                    found.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), lines));
                }
            }
        }
    }
    found.sort_by_key(|(path, lines)| (std::cmp::Reverse(*lines), path.clone()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::temp_dir;

    #[test]
    fn long_files_are_found_and_others_left_alone() {
        let dir = temp_dir("lines").expect("writable");
        std::fs::create_dir_all(dir.join("target")).expect("writable");
        std::fs::create_dir_all(dir.join("src")).expect("writable");
        for (name, lines) in [
            ("src/a.rs", 300),
            ("src/b.wgsl", 301),
            ("src/c.md", 900),
            ("target/d.rs", 900),
        ] {
            std::fs::write(dir.join(name), "x\n".repeat(lines)).expect("writable");
        }
        let found = long_files(&dir).expect("readable");
        assert_eq!(found, [(Path::new("src").join("b.wgsl"), 301)]);
        run(&dir).expect("a warning only");
        std::fs::write(dir.join("src/a.rs"), "x\n".repeat(401)).expect("writable");
        assert!(
            run(&dir)
                .expect_err("too long")
                .to_string()
                .contains("1 files")
        );
        std::fs::remove_dir_all(dir).expect("removable");
    }
}
