//! `cargo xtask`: the project's own checks. Owns the command line only; the checks are the library's.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};
use xtask::{Violation, check_dependencies, check_files, check_session};

const USAGE: &str = "\
usage: cargo xtask COMMAND
  check-layers   who depends on whom, who owns which library, who knows Pingora's Session
  check-files    no source file is too long
";

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            say(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check-layers"] => check_layers(),
        ["check-files"] => {
            let (root, _) = workspace()?;
            let checked = check_files(&root)?;
            conclude(&format!("check-files: {} source files", checked.files), &checked.violations)
        }
        _ => bail!("unknown command\n{USAGE}"),
    }
}

fn check_layers() -> Result<String> {
    let (root, metadata) = workspace()?;
    let mut violations = check_dependencies(&metadata);
    violations.extend(check_session(&root)?);
    conclude(&format!("check-layers: {} crates", metadata.packages.len()), &violations)
}

/// The root folder, and every member with the dependencies its manifest declares.
fn workspace() -> Result<(PathBuf, Metadata)> {
    // Without the resolved graph: the rules are about manifests, and this way no registry is asked.
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    Ok((metadata.workspace_root.clone().into_std_path_buf(), metadata))
}

fn conclude(what: &str, violations: &[Violation]) -> Result<String> {
    if violations.is_empty() {
        return Ok(format!("{what}, all in order"));
    }
    let list: String = violations.iter().map(|violation| format!("\n\n{violation}")).collect();
    bail!("{what}, {} violation(s):{list}", violations.len())
}

/// To stderr, whose closing is no reason to fail.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
