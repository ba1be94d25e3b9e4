//! What the gateway answers by itself: the list of models, health, and what clients say of answers.

use std::time::Duration;

use bytes::Bytes;
use pingora::http::ResponseHeader;
use providers::WireFormat;
use serde::Serialize;

use super::{Downstream, feedback};
use crate::app::App;
use crate::client::Client;
use crate::error::GatewayError;
use crate::phases::{authenticate, respond};
use crate::request::Record;
use crate::snapshot::Model;

/// For a body that nobody asked for.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// OpenAI's model object (<https://platform.openai.com/docs/api-reference/models/object>) with the
/// fields of Anthropic's beside it (<https://docs.claude.com/en/api/models>), so that one list serves both.
#[derive(Serialize)]
struct ModelObject<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    r#type: &'static str,
    display_name: &'a str,
    created_at: &'static str,
}

#[derive(Serialize)]
struct ModelList<'a> {
    object: &'static str,
    data: Vec<ModelObject<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

/// Answers the request if it is one of ours.
pub(super) async fn run(app: &App, downstream: &mut Downstream<'_>, record: &mut Record) -> bool {
    let path = downstream.path().to_owned();
    let result = match path.strip_prefix("/v1").unwrap_or(&path) {
        "/" | "/healthz" | "/health" | "/readyz" => health(app, downstream, record).await,
        "/models" => models(app, downstream, record, None).await,
        "/feedback" => feedback::run(app, downstream, record).await,
        other => match other.strip_prefix("/models/") {
            Some(id) => models(app, downstream, record, Some(id)).await,
            None => return false,
        },
    };
    if let Err(error) = result {
        respond::error(downstream, record, &error).await;
    }
    true
}

async fn health(app: &App, downstream: &mut Downstream<'_>, record: &mut Record) -> Result<(), GatewayError> {
    only_get(downstream)?;
    let (status, text) =
        if app.is_draining() { (503, r#"{"status":"draining"}"#) } else { (200, r#"{"status":"ok"}"#) };
    send(downstream, record, status, Bytes::from_static(text.as_bytes())).await
}

async fn models(
    app: &App,
    downstream: &mut Downstream<'_>,
    record: &mut Record,
    id: Option<&str>,
) -> Result<(), GatewayError> {
    only_get(downstream)?;
    let snapshot = app.snapshot.load_full();
    let principal = authenticate::run(app, &snapshot, downstream)?;
    record.principal = Some(principal.clone());
    let visible = snapshot.visible_models(&principal);
    let body = match id {
        Some(id) => {
            let model = visible.iter().find(|model| model.name.as_str() == id);
            let model = model.ok_or_else(|| GatewayError::UnknownModel {
                model: id.to_owned(),
                known: snapshot.visible_names(&principal),
            })?;
            serde_json::to_vec(&object(model))
        }
        None => serde_json::to_vec(&ModelList {
            object: "list",
            first_id: visible.first().map(|model| model.name.as_str()),
            last_id: visible.last().map(|model| model.name.as_str()),
            data: visible.iter().map(|model| object(model)).collect(),
            has_more: false,
        }),
    };
    send(downstream, record, 200, Bytes::from(body.unwrap_or_default())).await
}

fn object(model: &Model) -> ModelObject<'_> {
    ModelObject {
        id: model.name.as_str(),
        object: "model",
        // Names are the operator's; the moment they were chosen is not known.
        created: 0,
        owned_by: "signalbox",
        r#type: "model",
        display_name: model.name.as_str(),
        created_at: "1970-01-01T00:00:00Z",
    }
}

fn only_get(downstream: &Downstream<'_>) -> Result<(), GatewayError> {
    let method = downstream.method();
    if method == "GET" || method == "HEAD" {
        return Ok(());
    }
    let (method, path) = (method.to_owned(), downstream.path().to_owned());
    Err(GatewayError::MethodNotAllowed { method, path, allowed: "GET" })
}

pub(super) async fn send(
    downstream: &mut Downstream<'_>,
    record: &mut Record,
    status: u16,
    body: Bytes,
) -> Result<(), GatewayError> {
    let build = || -> pingora::Result<ResponseHeader> {
        let mut head = ResponseHeader::build_no_case(status, Some(4))?;
        head.insert_header("content-type", "application/json")?;
        head.insert_header("content-length", body.len())?;
        head.insert_header("x-request-id", record.request_id.as_str())?;
        if record.client == WireFormat::Anthropic {
            head.insert_header("request-id", record.request_id.as_str())?;
        }
        Ok(head)
    };
    let head = build().map_err(|_| GatewayError::Framing("The answer's header is not valid HTTP."))?;
    record.status = status;
    record.outcome = "ok";
    let is_head = downstream.method() == "HEAD";
    downstream.drain(DRAIN_TIME).await;
    downstream.write_head(Box::new(head), record).await?;
    downstream.write(if is_head { Bytes::new() } else { body }, true).await
}
