//! The command line.

mod admins;
mod backup;
mod cache;
mod credentials;
mod erase;
mod keys;
mod ledger;
mod place;
mod router;
mod warm;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::admin;
use crate::background::ConfigFile;
use crate::config::{self, Faults, Loaded};
use crate::demo;
use crate::descriptors;
use crate::huge_pages;
use crate::server::{self, HandOver};

/// `EX_USAGE` of sysexits: the configuration is wrong.
const EXIT_CONFIG: u8 = 64;

/// An AI gateway: one base URL for every provider.
#[derive(Debug, Parser)]
#[command(name = "signalbox", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve.
    Serve {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Take the listening sockets over from a running gateway that receives SIGQUIT.
        #[arg(long)]
        upgrade: bool,
        /// Where they are handed over; both processes need the same.
        /// Default: a file in the folder for temporary files, named after the address.
        #[arg(long, value_name = "PATH", env = "SIGNALBOX_HAND_OVER_SOCKET")]
        hand_over_socket: Option<PathBuf>,
        /// Where systemd is told that this process serves; systemd sets the variable.
        #[arg(long, value_name = "PATH", env = "NOTIFY_SOCKET")]
        notify_socket: Option<PathBuf>,
    },
    /// Name every fault of a configuration file; exit 64 when there are any.
    Check {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Serve with a bundled mock provider: no account, no key, no file.
    Demo {
        /// The public address.
        #[arg(long, env = "SIGNALBOX_DEMO_LISTEN", default_value = "127.0.0.1:8080")]
        listen: String,
        /// The address of metrics and health.
        #[arg(long, env = "SIGNALBOX_DEMO_ADMIN", default_value = "127.0.0.1:9090")]
        admin: String,
    },
    /// Write the store into a file that `restore` reads, for SQLite and PostgreSQL.
    Backup {
        /// The configuration file, for `store` and `backup`.
        #[arg(long)]
        config: PathBuf,
        /// The new file. Default: one named after the time, in the folder `backup.path` or this one.
        #[arg(long)]
        to: Option<PathBuf>,
    },
    /// Read a backup into an empty store, all of it or nothing.
    Restore {
        /// The configuration file, for `store`.
        #[arg(long)]
        config: PathBuf,
        /// The backup.
        #[arg(long)]
        from: PathBuf,
    },
    /// The spend ledger of the store.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Fill the cache of a running gateway, or try the semantic cache out on a stream of questions.
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Try the router out on prompts.
    #[command(subcommand)]
    Router(router::RouterCommand),
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Print the OpenAPI document of the admin API.
    Openapi,
    /// Virtual keys of the store; gateways that run follow within a second.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Accounts of operators, for the admin API and the dashboard.
    #[command(subcommand)]
    Admins(admins::AdminsCommand),
    /// Providers' credentials of the store; gateways that run follow within a second.
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// Erase prompts and answers, and with --requests the request log, of whatever fits all that is named.
    Erase(erase::Erase),
    /// The encryption of what the store keeps.
    #[command(subcommand)]
    Encryption(credentials::EncryptionCommand),
}

/// Runs the program.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve { config, upgrade, hand_over_socket, notify_socket } => {
            serve(config, &HandOver { upgrade, socket: hand_over_socket, notify_socket })
        }
        Command::Check { config } => check(&config),
        Command::Demo { listen, admin } => {
            take_resources();
            demo::run(&listen, &admin)
        }
        Command::Backup { config, to } => backup::backup(&config, to),
        Command::Restore { config, from } => backup::restore(&config, &from),
        Command::Ledger(command) => ledger::run(command),
        Command::Cache(command) => cache::run(command),
        Command::Router(command) => router::run(command),
        Command::Schema => print(&config::json_schema()),
        Command::Openapi => print(&admin::openapi()),
        Command::Keys(command) => keys::run(command),
        Command::Admins(command) => admins::run(command),
        Command::Credentials(command) => credentials::run(command),
        Command::Erase(options) => erase::run(options),
        Command::Encryption(command) => credentials::run_encryption(&command),
    };
    result.unwrap_or_else(|error| {
        say(&format!("signalbox: {error:#}"));
        ExitCode::FAILURE
    })
}

/// What the process takes of the system, before it has threads.
fn take_resources() {
    descriptors::make_room();
    huge_pages::refuse();
}

fn serve(path: PathBuf, hand_over: &HandOver) -> anyhow::Result<ExitCode> {
    take_resources();
    let read = config::read(&path).and_then(|text| Ok((config::load_text(&text)?, text)));
    match read {
        Ok((Loaded { config, notices }, text)) => {
            for notice in notices {
                say(&format!("notice: {notice}"));
            }
            server::serve(&config, Some(ConfigFile { path, text }), hand_over, None, || {})?;
            Ok(ExitCode::SUCCESS)
        }
        Err(faults) => Ok(refuse(&path, &faults)),
    }
}

fn check(path: &std::path::Path) -> anyhow::Result<ExitCode> {
    match config::load(path) {
        Ok(Loaded { config, notices }) => {
            let mut out = std::io::stdout().lock();
            for notice in notices {
                writeln!(out, "notice: {notice}")?;
            }
            let (providers, models, keys) = (config.providers.len(), config.models.len(), config.keys.len());
            writeln!(out, "ok: {providers} providers, {models} models, {keys} keys")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(faults) => Ok(refuse(path, &faults)),
    }
}

fn refuse(path: &std::path::Path, faults: &Faults) -> ExitCode {
    say(&format!("{}: {} fault(s)\n{faults}", path.display(), faults.0.len()));
    ExitCode::from(EXIT_CONFIG)
}

fn print(document: &serde_json::Value) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}

/// To stderr, whose closing is no reason to fail.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
