//! `signalbox ledger export`: all entries of a time, for a spreadsheet or another program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use store::LedgerFilter;

use super::backup::open;
use super::place::load;
use crate::ledger::{EntryRow, SheetFormat, moment};

/// What can be done with the ledger.
#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Write the single entries to the standard output, a page at a time; a gateway may go on using the store meanwhile.
    Export {
        /// The configuration file, for `store`.
        #[arg(long)]
        config: PathBuf,
        /// From this time on, as in 2026-11-01 or 2026-11-01T12:00:00Z. Default: the beginning.
        #[arg(long, value_parser = time)]
        from: Option<i64>,
        /// Before this time. Default: the end.
        #[arg(long, value_parser = time)]
        to: Option<i64>,
        /// How.
        #[arg(long, value_enum, default_value = "csv")]
        format: SheetFormat,
    },
}

/// Runs one.
pub(super) fn run(command: LedgerCommand) -> anyhow::Result<ExitCode> {
    let LedgerCommand::Export { config, from, to, format } = command;
    let storage = open(&load(&config)?)?;
    let filter = LedgerFilter { from_ms: from, to_ms: to, ..LedgerFilter::default() };
    let mut export = storage.store.ledger().export(filter);
    let mut out = std::io::stdout().lock();
    out.write_all(&format.head())?;
    let mut is_first = true;
    loop {
        let (returned, page) = storage.wait_for(async move {
            let page = export.next_page().await;
            (export, page)
        })?;
        export = returned;
        let Some(page) = page.context("the store does not give the ledger")? else { break };
        let rows: Vec<EntryRow> = page.into_iter().map(EntryRow::of).collect();
        out.write_all(&format.rows(&rows, is_first))?;
        is_first = false;
    }
    out.write_all(format.foot())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn time(text: &str) -> Result<i64, String> {
    moment(text).ok_or_else(|| "write a time like 2026-11-24 or 2026-11-24T12:00:00Z".to_owned())
}
