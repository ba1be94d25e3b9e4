//! Finds source files that have grown too long to be read in one go. Knows names and lines, no syntax.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::Violation;

/// The most lines a source file may have.
pub const MAX_LINES: usize = 500;

const EXTENSIONS: [&str; 6] = ["rs", "py", "js", "mjs", "ts", "tsx"];

/// What was looked at and what is too long.
#[derive(Debug)]
pub struct CheckedFiles {
    /// Source files.
    pub files: usize,
    /// Those above [`MAX_LINES`].
    pub violations: Vec<Violation>,
}

/// Counts the lines of every source file that git tracks, or would track: a file should not pass because it
/// is not added yet.
///
/// # Errors
/// When `root` is not in a git repository, or a file cannot be read.
pub fn check_files(root: &Path) -> Result<CheckedFiles> {
    let mut checked = CheckedFiles { files: 0, violations: Vec::new() };
    for name in known_to_git(root)?.split('\0').filter(|name| is_source(name)) {
        let path = root.join(name);
        // Deleted, and not yet committed so.
        if !path.exists() {
            continue;
        }
        let text = fs::read(&path).with_context(|| format!("{name} cannot be read"))?;
        let lines = lines(&text);
        checked.files += 1;
        if lines > MAX_LINES {
            checked.violations.push(violation(name, lines));
        }
    }
    Ok(checked)
}

/// The paths below `root`, each ended by a NUL.
fn known_to_git(root: &Path) -> Result<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git cannot be run")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git ls-files failed in {}: {}", root.display(), complaint.trim());
    String::from_utf8(output.stdout).context("a file name is not UTF-8")
}

fn is_source(name: &str) -> bool {
    Path::new(name).extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e))
}

/// Lines, the last one also without its line end.
fn lines(text: &[u8]) -> usize {
    let ends = text.iter().filter(|byte| **byte == b'\n').count();
    ends + usize::from(text.last().is_some_and(|last| *last != b'\n'))
}

fn violation(name: &str, lines: usize) -> Violation {
    Violation {
        place: name.to_owned(),
        problem: format!("has {lines} lines"),
        rule: format!(
            "a source file has at most {MAX_LINES} lines: a reader keeps one file in mind at a time"
        ),
        mend: "split it where its //! comment needs the word `and`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_line_without_its_end_counts() {
        assert_eq!(lines(b""), 0);
        assert_eq!(lines(b"one\n"), 1);
        assert_eq!(lines(b"one\ntwo"), 2);
    }

    #[test]
    fn sources_are_told_by_their_extension() {
        assert!(is_source("load-tests/sdk/smoke.mjs") && is_source("xtask/src/files.rs"));
        assert!(
            !is_source("Cargo.lock") && !is_source("load-tests/sdk/package-lock.json") && !is_source("rs")
        );
    }
}
