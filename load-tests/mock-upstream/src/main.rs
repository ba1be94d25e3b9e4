//! `mock-upstream`: the mock as a process of its own, for benchmarks and load tests.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use mock_upstream::{Mock, Options, grammar};

/// A provider's stand-in: OpenAI and Anthropic formats, with faults on demand.
#[derive(Parser)]
#[command(version, after_help = grammar())]
struct Arguments {
    /// Where to listen; port 0 takes any free one and prints it.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Threads, each with a socket and a runtime of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Recent requests kept for GET /_mock/requests.
    #[arg(long, default_value_t = 0)]
    record: usize,
    /// The delay before the first byte of a stream, e.g. 200ms.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    ttft: Duration,
    /// The pause between the chunks of a stream, e.g. 10ms.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    gap: Duration,
    /// Content chunks of a stream; without it one per echoed word.
    #[arg(long)]
    chunks: Option<usize>,
    /// Answers at once; further requests wait in line. Without it any number.
    #[arg(long)]
    capacity: Option<usize>,
    /// The credential every request must present.
    #[arg(long)]
    credential: Option<String>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let options = Options {
        workers: arguments.workers.into(),
        record: arguments.record,
        ttft: arguments.ttft,
        gap: arguments.gap,
        chunks: arguments.chunks,
        credential: arguments.credential,
        capacity: arguments.capacity,
        ..Options::default()
    };
    let mock = Mock::start(arguments.listen, options).await?;
    println!("mock-upstream listens on {}", mock.address());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    mock_upstream::parse_duration(text)
        .ok_or_else(|| format!("`{text}` is no duration: write 250us, 10ms or 2s, at most 600s"))
}
