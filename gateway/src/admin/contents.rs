//! `GET /api/v1/requests/{id}/contents`: what was said in a request. Whoever looks is in the audit log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::{ContentsOf, SealedContents};

use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;
use super::reply::Reply;
use crate::contents::{Part, open};
use crate::seal::Sealer;

/// Requests with the same id, which their clients have chosen.
const MOST: u32 = 20;

/// What was said in the requests with one id, newest first. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ContentsList {
    data: Vec<ContentsView>,
}

/// What was said in a request. Public API.
#[derive(Debug, Serialize, JsonSchema)]
struct ContentsView {
    id: String,
    request_id: String,
    /// When it arrived, in unix milliseconds.
    at_ms: i64,
    key_id: String,
    team_id: String,
    user_id: String,
    /// The body of the request.
    prompt: PartView,
    /// The body of the answer; a stream with its events.
    answer: PartView,
}

/// A body.
#[derive(Debug, Serialize, JsonSchema)]
struct PartView {
    /// What `value` is: json, text or base64.
    format: &'static str,
    value: Value,
    /// It was longer than `log.contents.largest`.
    truncated: bool,
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let Some(sealer) = &call.app.sealer else {
        return Err(Fault::unavailable(
            "No prompts are kept: set `store`, and `encryption.key` for PostgreSQL.",
        ));
    };
    let whose = match call.scope() {
        Scope::Everything => ContentsOf::Anyone,
        Scope::Team(id) => ContentsOf::Team(id.to_owned()),
        Scope::Key(id) => ContentsOf::Key(id.to_owned()),
    };
    let id = call.id.clone();
    let read = async move |store: store::Store| store.contents().of_request(&id, &whose, MOST).await;
    let found = call.store(read).await?;
    let Some(newest) = found.first() else {
        return Err(Fault::not_found(
            "Nothing is kept of what was said in such a request: its key has no `store_prompts`, it is too old, was \
             erased, or still runs.",
        ));
    };
    let (change, team, id) = (call.change(), newest.team_id.clone(), call.id.clone());
    call.store(async move |store| {
        store.audit().note(&change, "read", ("request_contents", &id), &team).await
    })
    .await?;
    let data = found.iter().map(|it| ContentsView::of(it, sealer)).collect::<Result<_, _>>()?;
    Ok(Reply::ok(&ContentsList { data }))
}

impl ContentsView {
    fn of(it: &SealedContents, sealer: &Sealer) -> Result<Self, Fault> {
        let said = open(it, sealer).map_err(|error| {
            tracing::error!(%error, "what was said in a request");
            Fault::internal(&format!("What was said in the request {error}."))
        })?;
        Ok(Self {
            id: it.id.clone(),
            request_id: it.request_id.clone(),
            at_ms: it.at_ms,
            key_id: it.key_id.clone(),
            team_id: it.team_id.clone(),
            user_id: it.user_id.clone(),
            prompt: PartView::of(&said.prompt),
            answer: PartView::of(&said.answer),
        })
    }
}

impl PartView {
    fn of(part: &Part) -> Self {
        let truncated = part.is_cut;
        if let Ok(value) = serde_json::from_slice::<Value>(&part.bytes) {
            return Self { format: "json", value, truncated };
        }
        let bytes = if truncated { whole_letters(&part.bytes) } else { &part.bytes };
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { format: "text", value: text.into(), truncated },
            Err(_) => Self { format: "base64", value: STANDARD.encode(&part.bytes).into(), truncated },
        }
    }
}

/// Without the beginning of a letter that was cut in two.
fn whole_letters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or(bytes),
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        let view = |bytes: &[u8], is_cut| PartView::of(&Part { bytes: bytes.to_vec(), is_cut });
        assert_eq!(view(br#"{"a":1}"#, false).value["a"], 1);
        let text = view("data: ö".as_bytes(), false);
        assert_eq!((text.format, text.value), ("text", "data: ö".into()));
        let cut = view("{\"a\": \"ö".as_bytes().split_last().unwrap().1, true);
        assert_eq!((cut.format, cut.value, cut.truncated), ("text", "{\"a\": \"".into(), true));
        assert_eq!(view(&[0, 255], false).format, "base64");
    }
}
