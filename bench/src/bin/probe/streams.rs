//! Streams side by side: the time to the first event, and whether each chunk of the provider leaves the
//! gateway in a write of its own.

use std::time::{Duration, Instant};

use anyhow::ensure;
use memchr::memmem;
use tokio::task::LocalSet;

use crate::Target;
use crate::connection::{Connection, chat_request};
use crate::quantile::quantile;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Streams at once.
    #[arg(long, default_value_t = 50)]
    streams: u32,
    /// Streams on each connection, one after another.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Streams begin evenly spread over this time, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    spread: u32,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    first: Vec<Duration>,
    /// The longest silence within each stream.
    gaps: Vec<Duration>,
    events: usize,
    frames: usize,
    /// Events that did not come first in their frame.
    merged: usize,
}

/// Runs the streams and reports p50 and p99 of the time to the first event in milliseconds, and the share
/// of events that shared a write with an earlier one.
pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<String> {
    LocalSet::new().run_until(drive(target, options)).await
}

async fn drive(target: &Target, options: &Options) -> anyhow::Result<String> {
    let step = Duration::from_millis(options.spread.into()) / options.streams.max(1);
    let mut tasks = Vec::new();
    for number in 0..options.streams {
        let (target, rounds, delay) = (target.clone(), options.rounds, step * number);
        tasks.push(tokio::task::spawn_local(async move { one(&target, rounds, delay).await }));
    }
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await??;
        all.first.extend(seen.first);
        all.gaps.extend(seen.gaps);
        all.events += seen.events;
        all.frames += seen.frames;
        all.merged += seen.merged;
    }
    all.first.sort_unstable();
    all.gaps.sort_unstable();
    Ok(format!(
        r#"{{"streams":{},"events":{},"frames":{},"merged_percent":{:.3},"ttft_p50_ms":{:.3},"ttft_p99_ms":{:.3},"gap_p99_ms":{:.3}}}"#,
        all.first.len(),
        all.events,
        all.frames,
        100.0 * all.merged as f64 / all.events.max(1) as f64,
        quantile(&all.first, 0.5),
        quantile(&all.first, 0.99),
        quantile(&all.gaps, 0.99),
    ))
}

async fn one(target: &Target, rounds: u32, delay: Duration) -> anyhow::Result<Seen> {
    let mut connection = Connection::open(target).await?;
    connection.exchange(&chat_request(target, false), |_| {}).await?;
    let request = chat_request(target, true);
    let mut seen = Seen::default();
    tokio::time::sleep(delay).await;
    for _ in 0..rounds {
        let began = Instant::now();
        let (mut last, mut longest, mut is_first, mut ended) = (began, Duration::ZERO, true, false);
        connection
            .exchange(&request, |frame| {
                let events = memmem::find_iter(frame, b"data: ").count();
                ended |= memmem::find(frame, b"data: [DONE]").is_some();
                let now = Instant::now();
                if is_first {
                    seen.first.push(now - began);
                    is_first = false;
                } else if !ended {
                    longest = longest.max(now - last);
                }
                last = now;
                // Usage and end marker belong together: the provider itself sends them at once.
                if !ended {
                    seen.events += events;
                    seen.frames += 1;
                    seen.merged += events.saturating_sub(1);
                }
            })
            .await?;
        ensure!(ended, "a stream ended without its end marker");
        seen.gaps.push(longest);
    }
    Ok(seen)
}
