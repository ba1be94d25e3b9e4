//! Finds Pingora's `Session` outside the edge. Knows words, not types: in the gateway's sources the word
//! `Session` means Pingora's, and the connector's `HttpSession` is another word.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Violation;
use crate::rules::{SESSION_CRATE, SESSION_HOME};

const WORD: &str = "Session";

/// Every line outside the edge that names `Session`, comments aside.
///
/// # Errors
/// When a source file cannot be read.
pub fn check_session(root: &Path) -> Result<Vec<Violation>> {
    let sources = root.join(SESSION_CRATE).join("src");
    let mut violations = Vec::new();
    for file in rust_files(&sources)? {
        let below = file.strip_prefix(&sources).unwrap_or(&file);
        if is_home(below) {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| names_session(line));
        violations.extend(lines.map(|(index, _)| violation(below, index + 1)));
    }
    Ok(violations)
}

/// All `.rs` files below a folder, sorted; none when there is no such folder.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("{} cannot be listed", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// `edge.rs`, or anything in `edge/`.
fn is_home(below: &Path) -> bool {
    let first = below.iter().next().map(Path::new);
    first.and_then(Path::file_stem).is_some_and(|stem| stem == SESSION_HOME)
}

/// The word stands in the line before any `//`.
fn names_session(line: &str) -> bool {
    let code = line.split_once("//").map_or(line, |(code, _)| code);
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == WORD)
}

fn violation(below: &Path, line: usize) -> Violation {
    Violation {
        place: format!("{SESSION_CRATE}/src/{}:{line}", below.display()),
        problem: format!("names Pingora's `{WORD}`"),
        rule: format!(
            "only {SESSION_CRATE}/src/{SESSION_HOME}* knows it: phases stay testable, and an update of Pingora touches one place"
        ),
        mend: "take what you need as an argument, or add a method to `edge::Downstream`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_counts_in_code_and_not_in_comments_or_longer_words() {
        assert!(names_session("use pingora::proxy::{ProxyHttp, Session};"));
        assert!(names_session("fn head(session: &mut Session) -> &str {"));
        assert!(names_session("use pingora::proxy::Session as Connection; // for short"));
        assert!(!names_session("//! knows no client and no `Session`."));
        assert!(!names_session("    session: HttpSession, // not the Session"));
        assert!(!names_session("struct SessionName; let session = 1;"));
    }

    #[test]
    fn the_edge_is_the_file_and_the_folder_of_that_name() {
        assert!(is_home(Path::new("edge.rs")));
        assert!(is_home(Path::new("edge/downstream.rs")));
        assert!(!is_home(Path::new("phases/edge.rs")));
        assert!(!is_home(Path::new("edges/downstream.rs")));
    }
}
