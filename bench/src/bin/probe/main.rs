//! A client that measures what a load generator hides: latency from the moment a request was due, and
//! what becomes of each chunk of a stream. One thread, so that it can share a core with what it measures.

mod arrivals;
mod connection;
mod open_loop;
mod overload;
mod quantile;
mod streams;

use std::net::SocketAddr;

use clap::{Parser, Subcommand};

/// Prints one line of JSON.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

/// Who is asked, and what for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// The address of the gateway, or of the provider itself.
    #[arg(long, global = true, default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// The model.
    #[arg(long, global = true, default_value = "gpt-4o-mini")]
    model: String,
    /// The key.
    #[arg(long, global = true, default_value = "sk-mock")]
    key: String,
}

#[derive(Subcommand)]
enum Command {
    /// Requests at a fixed rate, whatever becomes of the earlier ones.
    OpenLoop(open_loop::Options),
    /// The peak in a closed loop, then a multiple of it at a fixed rate, then less again.
    Overload(overload::Options),
    /// Streams side by side, each on a connection that has served a request before.
    Streams(streams::Options),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        match arguments.command {
            Command::OpenLoop(options) => open_loop::run(&arguments.target, &options).await,
            Command::Overload(options) => overload::run(&arguments.target, &options).await,
            Command::Streams(options) => streams::run(&arguments.target, &options).await,
        }
    })?;
    println!("{report}");
    Ok(())
}
