//! A client says that an answer of the semantic cache was wrong: `POST /v1/feedback`.

use bytes::Bytes;
use providers::BadRequest;
use serde::Deserialize;

use super::Downstream;
use super::local::send;
use crate::app::App;
use crate::error::GatewayError;
use crate::phases::authenticate;
use crate::request::Record;

/// What is said is short.
const LONGEST_BODY: u64 = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    /// The answer's `x-request-id`.
    request_id: String,
    correct: bool,
}

pub(super) async fn run(
    app: &App,
    downstream: &mut Downstream<'_>,
    record: &mut Record,
) -> Result<(), GatewayError> {
    if downstream.method() != "POST" {
        let (method, path) = (downstream.method().to_owned(), downstream.path().to_owned());
        return Err(GatewayError::MethodNotAllowed { method, path, allowed: "POST" });
    }
    let snapshot = app.snapshot.load_full();
    let principal = authenticate::run(app, &snapshot, downstream)?;
    record.principal = Some(principal.clone());
    let body = downstream.read_body(LONGEST_BODY, snapshot.limits.body_time.0).await?;
    let Feedback { request_id, correct } = serde_json::from_slice(&body).map_err(|error| {
        refuse(format!("Feedback is {{\"request_id\": \"…\", \"correct\": false}}: {error}."), None)
    })?;
    let semantic = app.answers.as_ref().and_then(|answers| answers.semantic.as_deref());
    let semantic = semantic.ok_or_else(|| {
        refuse("There is no semantic cache: add `cache.semantic` to the configuration.".to_owned(), None)
    })?;
    if !semantic.judge(&principal, &request_id, correct) {
        let message = "No answer of the semantic cache to your key has this id, or you have judged it already: \
                       `request_id` is the `x-request-id` of an answer with `x-signalbox-cache: semantic`.";
        return Err(refuse(message.to_owned(), Some("request_id".to_owned())));
    }
    let body = serde_json::json!({"object": "feedback", "request_id": request_id, "correct": correct});
    send(downstream, record, 200, Bytes::from(body.to_string())).await
}

fn refuse(message: String, param: Option<String>) -> GatewayError {
    GatewayError::BadRequest(BadRequest { message, param })
}
