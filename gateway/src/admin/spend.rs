//! `GET /api/v1/spend?key=NAME`: what a virtual key has spent since the beginning, as the ledger knows it.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use store::{Owner, Spend};

use crate::app::App;

/// How long the answer waits for the store to have what was settled just now.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Public API.
#[derive(Serialize)]
struct Row {
    usd: f64,
    micros: u64,
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    unsettled_micros: u64,
}

/// Status and JSON body. A key that has spent nothing, known or not, has spent nothing.
pub(super) async fn of(app: &App, query: Option<&str>) -> (StatusCode, Vec<u8>) {
    let Some(key) = parameter(query.unwrap_or_default(), "key") else {
        return fault(StatusCode::BAD_REQUEST, "Name a key: /api/v1/spend?key=NAME.");
    };
    let Some(storage) = &app.storage else {
        return fault(StatusCode::SERVICE_UNAVAILABLE, "Nothing is kept: set `store` in the configuration.");
    };
    app.ledger.caught_up(CATCH_UP).await;
    let store = storage.store.clone();
    let spend = storage.spawn(async move { store.ledger().spend(Owner::Key(&key), 0, i64::MAX / 2).await });
    match spend.await {
        Ok(Ok(spend)) => (StatusCode::OK, json(&Row::from(spend))),
        _ => fault(StatusCode::SERVICE_UNAVAILABLE, "The store does not answer: retry later."),
    }
}

impl From<Spend> for Row {
    fn from(spend: Spend) -> Self {
        Self {
            usd: spend.cost.usd(),
            micros: spend.cost.0,
            requests: spend.requests,
            input_tokens: spend.input_tokens,
            output_tokens: spend.output_tokens,
            unsettled_micros: spend.unsettled.0,
        }
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

fn fault(status: StatusCode, message: &str) -> (StatusCode, Vec<u8>) {
    (status, json(&serde_json::json!({"error": {"message": message}})))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Strings and numbers always serialise.
    serde_json::to_vec(value).unwrap_or_default()
}
