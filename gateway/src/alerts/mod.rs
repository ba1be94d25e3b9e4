//! What an operator should hear of: raised anywhere, counted, and told to webhooks beside the requests.

mod deliver;
mod watch;

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::AlertKind;
use crate::telemetry::Metrics;

pub use deliver::{AlertRules, Deliveries};
pub use watch::StateWatch;

/// Alerts that wait to be told; more are only counted.
const WAITING: usize = 256;

/// One thing to tell.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// What happened.
    pub kind: AlertKind,
    /// To whom: a deployment, a file; empty for the process.
    pub subject: String,
    /// One sentence: what happened and what can be done.
    pub message: String,
    /// RFC 3339, UTC.
    pub at: String,
}

/// The one queue of the process, and its end until it is taken.
struct Queue {
    sender: Sender<Alert>,
    receiver: Mutex<Option<Receiver<Alert>>>,
}

static QUEUE: LazyLock<Queue> = LazyLock::new(|| {
    let (sender, receiver) = channel(WAITING);
    Queue { sender, receiver: Mutex::new(Some(receiver)) }
});

/// Counts an alert and has it told. Never waits.
pub fn raise(kind: AlertKind, subject: &str, message: impl Into<String>) {
    let metrics = Metrics::global();
    metrics.alerts.with_label_values(&[kind.as_str()]).inc();
    let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let alert = Alert { kind, subject: subject.to_owned(), message: message.into(), at };
    if QUEUE.sender.try_send(alert).is_err() {
        metrics.alert_deliveries.with_label_values(&["dropped"]).inc();
    }
}

fn take_receiver() -> Option<Receiver<Alert>> {
    QUEUE.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
}
