//! Rows for tests.

use std::sync::Arc;

use domain::{Micros, Usage};
use store::{Budget, Change, Counted, Kind, LedgerEntry, LogBatch, Position, State, Subject, VirtualKey};

/// A time in the middle of an hour: 2026-01-02 03:30 UTC.
pub(crate) const NOON: i64 = 1_767_324_600_000;
pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) fn change() -> Change {
    Change { at_ms: NOON, actor: "ada".to_owned(), address: "192.0.2.1".to_owned() }
}

pub(crate) fn key(id: &str) -> VirtualKey {
    VirtualKey {
        id: id.to_owned(),
        name: format!("name of {id}"),
        key_hash: format!("hash of {id}").into_bytes(),
        display_prefix: "sk-box".to_owned(),
        display_suffix: "4f2a".to_owned(),
        models: vec!["small".to_owned(), "auto".to_owned()],
        credentials: vec!["openai-2".to_owned()],
        metadata: serde_json::from_str(r#"{"cost centre": 17}"#).unwrap(),
        tags: vec!["batch".to_owned()],
        rpm: Some(600),
        max_parallel: Some(20),
        priority: Some("high".to_owned()),
        budgets: vec![
            Budget { limit: Micros(25_000_000), period_ms: 86_400_000, alert_percent: Some(80) },
            Budget { limit: Micros(100_000_000), period_ms: 2_592_000_000, alert_percent: None },
        ],
        store_prompts: true,
        expires_at_ms: Some(NOON + HOUR),
        ..VirtualKey::default()
    }
}

/// A settled attempt of key `k1` that cost 150 micro-dollars.
pub(crate) fn settled(attempt_id: &str) -> LedgerEntry {
    LedgerEntry {
        attempt_id: attempt_id.to_owned(),
        request_id: format!("request {attempt_id}"),
        at_ms: NOON,
        state: State::Settled,
        subject: Arc::new(Subject {
            key_id: "k1".to_owned(),
            key_name: "dev".to_owned(),
            team_id: "t1".to_owned(),
            user_id: "u1".to_owned(),
            model: "small".to_owned(),
            deployment: "openai/gpt-4o-mini".to_owned(),
            provider: "openai".to_owned(),
            tags: vec!["batch".to_owned(), "blue".to_owned()],
        }),
        outcome: "ok".to_owned(),
        counts_request: true,
        usage: Usage { prompt: 100, completion: 20, cached: 50, cache_write: 10, reasoning: 5 },
        kind: Kind::Attempt,
        counted: Counted::Provider,
        cost: Micros(150),
        reserved: Micros(0),
        saved: Micros(7),
    }
}

/// The subject of [`settled`], but for these.
pub(crate) fn subject(key_id: &str, model: &str) -> Arc<Subject> {
    let usual = Arc::unwrap_or_clone(settled("").subject);
    Arc::new(Subject { key_id: key_id.to_owned(), model: model.to_owned(), ..usual })
}

/// The reservation of the same attempt, one second earlier.
pub(crate) fn reserved(attempt_id: &str) -> LedgerEntry {
    LedgerEntry {
        state: State::Reserved,
        at_ms: NOON - 1_000,
        outcome: String::new(),
        counts_request: false,
        usage: Usage::default(),
        cost: Micros(0),
        reserved: Micros(400),
        saved: Micros(0),
        ..settled(attempt_id)
    }
}

/// The end of the same attempt without an answer.
pub(crate) fn aborted(attempt_id: &str) -> LedgerEntry {
    LedgerEntry { state: State::Aborted, at_ms: NOON, outcome: "connect".to_owned(), ..reserved(attempt_id) }
}

/// A piece of a log of its own that says so. Reservations are opened; what has ended is closed where it was opened.
pub(crate) fn batch(entries: &[LedgerEntry]) -> LogBatch {
    let (opened, ended): (Vec<_>, Vec<_>) =
        entries.iter().cloned().partition(|entry| entry.state == State::Reserved);
    let closed = ended.iter().map(|entry| entry.attempt_id.clone()).collect();
    let to = Position { segment: 0, offset: 1 };
    LogBatch { log: store::new_id(), from: Position::default(), to, ended, opened, closed }
}
