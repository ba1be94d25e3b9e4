//! Requests at a fixed rate. A latency counts from the moment its request was due, so that a stall shows
//! in every request it delayed ("coordinated omission", Gil Tene).

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::Target;
use crate::connection::{Connection, chat_request};
use crate::quantile::quantile;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Requests a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// The most requests at once; a later one waits, and its wait counts.
    #[arg(long, default_value_t = 256)]
    connections: usize,
}

#[derive(Default)]
struct Shared {
    idle: Mutex<VecDeque<Connection>>,
    latencies: Mutex<Vec<Duration>>,
    failed: Mutex<u32>,
}

/// Runs the load and reports p50, p99 and the maximum in milliseconds.
pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<String> {
    LocalSet::new().run_until(drive(target, options)).await
}

async fn drive(target: &Target, options: &Options) -> anyhow::Result<String> {
    let request: Rc<[u8]> = chat_request(target, false).into();
    let shared = Rc::new(Shared::default());
    let slots = Rc::new(Semaphore::new(options.connections));
    let count = options.rate * options.seconds;
    let gap = Duration::from_secs(1) / options.rate;
    let began = Instant::now();
    let mut tasks = Vec::with_capacity(count as usize);
    for number in 0..count {
        let due = began + gap * number;
        // Tokio's clock ticks in milliseconds: what is due within one is sent at once.
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let (request, shared, slots, target) =
            (request.clone(), shared.clone(), slots.clone(), target.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let Ok(_slot) = slots.acquire().await else { return };
            if let Err(error) = one(&target, &request, &shared, due).await {
                eprintln!("a request failed: {error:#}");
                *lock(&shared.failed) += 1;
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    let mut latencies = std::mem::take(&mut *lock(&shared.latencies));
    latencies.sort_unstable();
    Ok(format!(
        r#"{{"requests":{},"failed":{},"p50_ms":{:.3},"p99_ms":{:.3},"max_ms":{:.3}}}"#,
        latencies.len(),
        lock(&shared.failed),
        quantile(&latencies, 0.5),
        quantile(&latencies, 0.99),
        quantile(&latencies, 1.0),
    ))
}

async fn one(target: &Target, request: &[u8], shared: &Shared, due: Instant) -> anyhow::Result<()> {
    let idle = lock(&shared.idle).pop_back();
    let mut connection = match idle {
        Some(connection) => connection,
        None => Connection::open(target).await?,
    };
    connection.exchange(request, |_| {}).await?;
    lock(&shared.latencies).push(due.elapsed());
    lock(&shared.idle).push_back(connection);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
