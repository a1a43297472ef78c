//! No text of the repository may name a folder of the machine it was written on.

use crate::root;
use std::path::{Path, PathBuf};

/// Extensions of the files that are read.
const KINDS: [&str; 12] = [
    "rs", "wgsl", "toml", "md", "json", "jinja", "py", "yml", "svg", "sh", "txt", "lock",
];

/// Folders of private machines, as the start of a path. Put together here so that this file does
/// not contain them.
fn private_folders() -> Vec<String> {
    let names = ["root", "work", "farm", "home", "Users"];
    names.map(|name| format!("/{name}/")).into()
}

/// Every text file below `dir`, without build folders and version control (in a linked worktree
/// `.git` is a file).
fn text_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // Links are not followed.
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() {
            let ours = !name.starts_with('.') || [".cargo", ".ci", ".github"].contains(&&*name);
            let built = name == "target" || path.join("CACHEDIR.TAG").exists();
            if ours && !built {
                text_files(&path, found);
            }
        } else if kind.is_file() && name != ".git" {
            let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
            if extension.is_none_or(|e| KINDS.contains(&e.as_str())) {
                found.push(path);
            }
        }
    }
}

/// The first private folder that `text` names, with its line.
fn names_private_folder(text: &str) -> Option<(usize, String)> {
    let folders = private_folders();
    text.lines().enumerate().find_map(|(i, line)| {
        let folder = folders.iter().find(|folder| starts_a_path(line, folder))?;
        Some((i + 1, folder.clone()))
    })
}

/// True where `folder` stands in `line` as the start of a path, not inside of one.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}~*".contains(c))
    })
}

#[test]
fn no_text_names_a_private_folder() {
    let mut files = Vec::new();
    text_files(root(), &mut files);
    let read = |end: &str| files.iter().any(|f| f.ends_with(end));
    assert!(read("Cargo.toml") && read("crates/glmv/main.rs") && read(".ci/run"));
    let mut wrong = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).expect("a readable file");
        if let Ok(text) = std::str::from_utf8(&bytes)
            && let Some((line, folder)) = names_private_folder(text)
        {
            wrong.push(format!("{}:{line} names {folder}", file.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_private_folder_would_be_seen() {
    for folder in private_folders() {
        let text = format!("fine\nlet path = \"{folder}x\";\n");
        assert_eq!(names_private_folder(&text), Some((2, folder.clone())));
        let inside = format!("https://example.org{folder}x and some{folder}x");
        assert_eq!(names_private_folder(&inside), None);
    }
}
