//! A client judges an answer that the semantic cache served or a route chose a model for: `POST /v1/feedback`.

use bytes::Bytes;
use providers::BadRequest;
use serde::Deserialize;

use super::Downstream;
use super::local::send;
use crate::app::App;
use crate::error::GatewayError;
use crate::phases::authenticate;
use crate::request::Record;
use crate::snapshot::Snapshot;

/// What is said is short.
const LONGEST_BODY: u64 = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    /// The answer's `x-request-id`.
    request_id: String,
    /// Whether it was right; the same as a score of 1 or 0.
    correct: Option<bool>,
    /// How good it was, from 0 to 1.
    score: Option<f64>,
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
    let wrong = |why: String| {
        refuse(
            format!("Feedback is {{\"request_id\": \"…\", \"score\": 0.5}} or \"correct\": false: {why}."),
            None,
        )
    };
    let feedback: Feedback = serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
    let score = match (feedback.score, feedback.correct) {
        (Some(score), None) if (0.0..=1.0).contains(&score) => score,
        (None, Some(correct)) => f64::from(u8::from(correct)),
        (Some(_), None) => return Err(wrong("a score lies between 0 and 1".to_owned())),
        _ => return Err(wrong("give one of the two".to_owned())),
    };
    let id = feedback.request_id;
    let routed = app.calibrations.judge(&principal, &id, score);
    if let Some(routed) = &routed {
        app.metrics.feedback.judged(routed, score);
    }
    let semantic = app.answers.as_ref().and_then(|answers| answers.semantic.as_deref());
    // What is half right was no answer to another question.
    let is_kept = semantic.is_some_and(|semantic| semantic.judge(&principal, &id, score >= 0.5));
    if routed.is_none() && !is_kept {
        return Err(refuse(unknown(&snapshot, semantic.is_some()), Some("request_id".to_owned())));
    }
    let body =
        serde_json::json!({"object": "feedback", "request_id": id, "score": score, "correct": score >= 0.5});
    send(downstream, record, 200, Bytes::from(body.to_string())).await
}

/// Why nothing can be judged under this id.
fn unknown(snapshot: &Snapshot, has_semantic: bool) -> String {
    if !has_semantic && snapshot.models.values().all(|model| model.route.is_none()) {
        return "There is nothing to judge: add `cache.semantic` or a model with a `route` to the configuration."
            .to_owned();
    }
    "No answer of the semantic cache or of a route to your key has this id, or you have judged it already: `request_id` \
     is the `x-request-id` of an answer with `x-signalbox-cache: semantic` or `x-signalbox-route`."
        .to_owned()
}

fn refuse(message: String, param: Option<String>) -> GatewayError {
    GatewayError::BadRequest(BadRequest { message, param })
}
