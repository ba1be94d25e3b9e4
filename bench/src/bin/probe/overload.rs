//! More than the target can do: its peak in a closed loop, then a multiple of that at a fixed rate, then less again.
//! What is refused is as much a result as what is served.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use tokio::task::{JoinSet, LocalSet};

use crate::Target;
use crate::connection::{Connection, chat_request};
use crate::quantile::quantile;

/// No answer takes this long unless something is wrong.
const LONGEST: Duration = Duration::from_secs(20);
/// A client of the closed loop that was refused asks again after this.
const PAUSE: Duration = Duration::from_millis(10);
/// When it is to be normal again after the rush.
const RECOVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Clients of the closed loops, each of which is tried; the best goodput is the peak.
    #[arg(long, value_delimiter = ',', default_value = "32,64,128")]
    clients: Vec<u32>,
    /// How long each closed loop runs, in seconds.
    #[arg(long, default_value_t = 6)]
    peak_seconds: u32,
    /// What is offered in the rush, as a multiple of the peak.
    #[arg(long, default_value_t = 5.0)]
    factor: f64,
    /// How long the rush lasts, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// What is offered before and after it, as a share of the peak.
    #[arg(long, default_value_t = 0.5)]
    calm: f64,
    /// The most requests at once; what is due beyond is not sent, and counted.
    #[arg(long, default_value_t = 4096)]
    connections: usize,
    /// Ask for streams.
    #[arg(long)]
    stream: bool,
}

/// One answer, or none.
#[derive(Clone, Copy)]
struct Seen {
    /// Since the phase began.
    sent: Duration,
    /// From the request's first byte to the arrival of the answer's last.
    took: Duration,
    /// What this client took beside that, to connect and to read.
    own: Duration,
    /// 0: no answer.
    status: u16,
}

struct Load {
    target: Target,
    request: Vec<u8>,
    idle: Mutex<VecDeque<Connection>>,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<BTreeMap<String, u32>>,
}

/// What one phase at a fixed rate saw.
struct Phase {
    seen: Vec<Seen>,
    unsent: u32,
    /// How late requests were sent, which is the client's fault.
    late: Vec<Duration>,
    lasted: Duration,
}

/// Runs all phases, with a line on stderr as each begins, and reports.
pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<String> {
    LocalSet::new().run_until(drive(target, options)).await
}

async fn drive(target: &Target, options: &Options) -> anyhow::Result<String> {
    let load = Rc::new(Load {
        target: target.clone(),
        request: chat_request(target, options.stream),
        idle: Mutex::default(),
        seen: Mutex::default(),
        faults: Mutex::default(),
    });
    let mut peak = 0.0_f64;
    for clients in &options.clients {
        let goodput = load.closed_loop(*clients, Duration::from_secs(options.peak_seconds.into())).await?;
        eprintln!("closed loop of {clients}: {goodput:.0} a second");
        peak = peak.max(goodput);
    }
    eprintln!("calm");
    let before = load.open_loop(peak * options.calm, 5, options.connections).await?;
    eprintln!("rush");
    let rush = load.open_loop(peak * options.factor, options.seconds, options.connections).await?;
    eprintln!("calm again");
    let after = load.open_loop(peak * options.calm, 5, options.connections).await?;
    let faults = lock(&load.faults).clone();
    for (fault, count) in &faults {
        eprintln!("{count} x {fault}");
    }
    let goodput = rush.count(|seen| seen.status == 200) / rush.lasted.as_secs_f64();
    let late = after.count(|seen| seen.sent >= RECOVERY && seen.status != 200);
    let in_recovery = after.count(|seen| seen.sent < RECOVERY && seen.status != 200);
    Ok(format!(
        r#"{{"peak":{peak:.1},"goodput":{goodput:.1},"share":{:.3},"rush":{},"before":{},"after":{},"refused_in_the_first_second_after":{in_recovery:.0},"refused_later":{late:.0},"faults":{}}}"#,
        goodput / peak,
        rush.report(),
        before.report(),
        after.report(),
        faults.values().sum::<u32>(),
    ))
}

impl Load {
    /// Answers a second that were served to so many clients, each asking again at once.
    async fn closed_loop(self: &Rc<Self>, clients: u32, time: Duration) -> anyhow::Result<f64> {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let load = self.clone();
            tasks.spawn_local(async move {
                while began.elapsed() < time {
                    if load.one(began).await != 200 {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        // The first third is for limits that adapt.
        let counts = time / 3..time;
        let seen = std::mem::take(&mut *lock(&self.seen));
        let served =
            seen.iter().filter(|seen| seen.status == 200 && counts.contains(&(seen.sent + seen.took)));
        Ok(served.count() as f64 / (time - time / 3).as_secs_f64())
    }

    async fn open_loop(self: &Rc<Self>, rate: f64, seconds: u32, most: usize) -> anyhow::Result<Phase> {
        let count = (rate * f64::from(seconds)) as u32;
        let (began, mut tasks) = (Instant::now(), JoinSet::new());
        let (mut unsent, mut late) = (0, Vec::with_capacity(count as usize));
        for number in 0..count {
            let due = began + Duration::from_secs_f64(f64::from(number) / rate);
            // Tokio's clock ticks in milliseconds: what is due within one is sent at once.
            if due > Instant::now() {
                tokio::time::sleep_until(due.into()).await;
            } else if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
            while let Some(ended) = tasks.try_join_next() {
                ended?;
            }
            if tasks.len() >= most {
                unsent += 1;
                continue;
            }
            let load = self.clone();
            late.push(due.elapsed());
            tasks.spawn_local(async move {
                load.one(began).await;
            });
        }
        let lasted = began.elapsed();
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        late.sort_unstable();
        Ok(Phase { seen: std::mem::take(&mut *lock(&self.seen)), unsent, late, lasted })
    }

    /// The status, 0 when there was none.
    async fn one(&self, began: Instant) -> u16 {
        let sent = Instant::now();
        let (status, took) = match tokio::time::timeout(LONGEST, self.exchange()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => (self.fault(format!("{error:#}")), sent.elapsed()),
            Err(_) => (self.fault("no answer in time".to_owned()), sent.elapsed()),
        };
        let own = sent.elapsed().saturating_sub(took);
        lock(&self.seen).push(Seen { sent: sent - began, took, own, status });
        status
    }

    fn fault(&self, fault: String) -> u16 {
        *lock(&self.faults).entry(fault).or_default() += 1;
        0
    }

    /// The status, and how long it took.
    async fn exchange(&self) -> anyhow::Result<(u16, Duration)> {
        let idle = lock(&self.idle).pop_back();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open_noting_arrivals(&self.target).await?,
        };
        let sent = SystemTime::now();
        let answer = connection.answer(&self.request, |_| {}).await?;
        let arrived = connection.arrived().context("the kernel notes no arrivals")?;
        if answer.keeps_connection {
            lock(&self.idle).push_back(connection);
        }
        Ok((answer.status, arrived.duration_since(sent)?))
    }
}

impl Phase {
    fn count(&self, fits: impl Fn(&Seen) -> bool) -> f64 {
        self.seen.iter().filter(|seen| fits(seen)).count() as f64
    }

    fn times(&self, fits: impl Fn(&Seen) -> bool, time: impl Fn(&Seen) -> Duration) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.seen.iter().filter(|seen| fits(seen)).map(time).collect();
        times.sort_unstable();
        times
    }

    fn report(&self) -> String {
        let is_refused = |seen: &Seen| matches!(seen.status, 429 | 503);
        let served = self.times(|seen| seen.status == 200, |seen| seen.took);
        let refused = self.times(is_refused, |seen| seen.took);
        let own = self.times(is_refused, |seen| seen.own);
        let others = self.seen.len() - served.len() - refused.len();
        let times = |times: &[Duration]| {
            if times.is_empty() {
                return "null".to_owned();
            }
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(times, share));
            format!(r#"{{"p50_ms":{p50:.2},"p99_ms":{p99:.2},"max_ms":{max:.2}}}"#)
        };
        format!(
            r#"{{"offered":{:.0},"served":{},"refused":{},"others":{others},"unsent":{},"served_times":{},"refused_times":{},"refused_above_50_ms":{},"client_times":{},"sent_late":{}}}"#,
            (self.seen.len() + self.unsent as usize) as f64 / self.lasted.as_secs_f64(),
            served.len(),
            refused.len(),
            self.unsent,
            times(&served),
            times(&refused),
            refused.iter().filter(|took| **took > Duration::from_millis(50)).count(),
            times(&own),
            times(&self.late),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
