//! The answer, or the error, to the client.

mod header;
pub mod kept;

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{FailureKind, Usage};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use providers::{Answer, Operation};
use store::Counted;

use crate::client::Client;
use crate::delivery::{Broken, Delivered};
use crate::edge::Downstream;
use crate::error::GatewayError;
use crate::request::{BYTES_PER_TOKEN, Record, Request};
use crate::tokens;
use crate::upstream::{AttemptFailure, Opened, OpenedStream, Seen, observe};

pub use header::followed;
use header::{COST, error_header, header, put, stream_header};

/// What is left of an unread body is read and thrown away up to this time, to keep the connection.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// A refusal in overload waits only for what is on its way already.
const SHED_DRAIN_TIME: Duration = Duration::from_millis(20);

/// A provider that sends faster than we pass on would otherwise have a worker for itself for a millisecond at a time,
/// and every stream like it adds one to what the others wait.
const BYTES_IN_A_ROW: usize = 2 << 10;

/// Sends an answer that has begun, or the rest of one.
///
/// # Errors
/// [`GatewayError::ClientGone`].
pub async fn run(
    answer: Opened,
    request: &Request,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<Delivered, GatewayError> {
    if record.ttft.is_none() {
        record.ttft = Some(record.started.elapsed());
    }
    record.status = 200;
    match answer {
        Opened::Whole(answer, content_type) => {
            whole(answer, content_type, request, client, record).await.map(|()| Delivered::Ended)
        }
        Opened::Stream(stream) => streamed(stream, request, client, record).await,
    }
}

async fn whole(
    answer: Answer,
    content_type: Option<http::HeaderValue>,
    request: &Request,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<(), GatewayError> {
    record.usage = answer.usage;
    if record.usage.is_none() && !request.operation.is_count() {
        record.usage = uncounted(&answer, request);
        record.counted = Counted::Estimate;
    }
    let mut head = header(record, 200, "application/json")?;
    if let Some(content_type) = content_type {
        put(&mut head, &CONTENT_TYPE, content_type)?;
    }
    put(&mut head, &CONTENT_LENGTH, answer.body.len())?;
    if let Some(cost) = record.cost() {
        put(&mut head, &COST, cost.to_string())?;
    }
    client.write_head(Box::new(head.into()), record).await?;
    // In the log before the client has the whole of it.
    record.settle("ok", true);
    client.costs(record.cost().unwrap_or_default());
    client.write(answer.body, true).await?;
    record.outcome = "ok";
    Ok(())
}

async fn streamed(
    mut stream: Box<OpenedStream>,
    request: &Request,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<Delivered, GatewayError> {
    if !client.has_answered() {
        client.write_head(Box::new(stream_header(record)?.into()), record).await?;
    }
    match pump(&mut stream, request, client, record).await {
        Ok(None) => {
            ended(&stream, request, record).await;
            client.costs(record.cost().unwrap_or_default());
            client.write(Bytes::new(), true).await?;
            stream.release().await;
            record.outcome = "ok";
            Ok(Delivered::Ended)
        }
        Ok(Some(failure)) => {
            tracing::warn!(
                kind = failure.failure.kind.as_str(),
                request_id = record.request_id,
                "stream broke off"
            );
            if let (Some(model), Some(deployment)) = (&record.model, &record.deployment) {
                let seen = Seen { probe: false, waited: Duration::ZERO, stream: true };
                observe(model, deployment, &failure, seen);
            }
            let tokens = count(&stream, request, record).await;
            let resume = stream.resume(request.operation, &request.head, &request.body);
            Ok(Delivered::Broken(Box::new(Broken { failure, resume, tokens })))
        }
        Err(gone) => {
            if record.usage.is_none() {
                count(&stream, request, record).await;
            }
            record.settle(gone.face().label, true);
            Err(gone)
        }
    }
}

/// Counts the text that was sent, in tokens; the usage is that, or what the provider has counted when that is more.
async fn count(stream: &OpenedStream, request: &Request, record: &mut Record) -> u64 {
    let model = record.deployment.as_ref().map(|deployment| deployment.upstream_model.clone());
    let tokens = tokens::count(model.unwrap_or_default(), stream.text().to_owned()).await;
    record.counted = Counted::Estimate;
    record.usage = Some(match stream.usage() {
        Some(usage) => Usage { completion: usage.completion.max(tokens), ..usage },
        None => Usage { prompt: request.prompt_tokens(), completion: tokens, ..Usage::default() },
    });
    tokens
}

/// What an answer used whose provider does not say: the prompt, and what a model has written. Of pictures and sound, and
/// of what ranks, nobody knows.
fn uncounted(answer: &Answer, request: &Request) -> Option<Usage> {
    let completion = match request.operation {
        Operation::Embeddings => 0,
        operation if operation.is_raw() => return None,
        _ => answer.body.len() as u64 / BYTES_PER_TOKEN,
    };
    Some(Usage { prompt: request.prompt_tokens(), completion, ..Usage::default() })
}

/// Ends a stream with which nobody could go on: an error in the client's own form, and no end marker.
///
/// # Errors
/// [`GatewayError::ClientGone`].
pub async fn broken_off(
    broken: Broken,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<Delivered, GatewayError> {
    let error = as_error(broken.failure);
    record.outcome = error.face().label;
    record.settle(record.outcome, true);
    client.costs(record.cost().unwrap_or_default());
    client.write(error.event(record.client, &record.request_id), true).await?;
    Ok(Delivered::Ended)
}

/// Moves pieces until the end (None) or until the upstream fails (Some).
async fn pump(
    stream: &mut OpenedStream,
    request: &Request,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<Option<AttemptFailure>, GatewayError> {
    let held = std::mem::take(&mut stream.held);
    if stream.is_complete() {
        ended(stream, request, record).await;
    }
    for piece in held {
        client.write(piece, false).await?;
    }
    let mut passed = 0;
    loop {
        if passed >= BYTES_IN_A_ROW {
            passed = 0;
            tokio::task::yield_now().await;
        }
        let waiting = Instant::now();
        let next = tokio::select! {
            biased;
            next = stream.next() => next,
            () = client.gone() => return Err(GatewayError::ClientGone),
        };
        record.waited += waiting.elapsed();
        match next {
            Ok(Some(piece)) => {
                if stream.is_complete() {
                    ended(stream, request, record).await;
                }
                passed += piece.len();
                client.write(piece, false).await?;
            }
            Ok(None) => return Ok(None),
            Err(failure) => return Ok(Some(failure)),
        }
    }
}

/// The end marker is here: the ledger has the answer before the client has it.
async fn ended(stream: &OpenedStream, request: &Request, record: &mut Record) {
    if record.usage.is_some() {
        return;
    }
    match stream.usage() {
        // The provider's count is the one that is billed.
        Some(usage) => record.usage = Some(usage),
        None => {
            count(stream, request, record).await;
        }
    }
    record.settle("ok", true);
}

fn as_error(failure: AttemptFailure) -> GatewayError {
    let reason = failure.failure.reason;
    match failure.failure.kind {
        FailureKind::Idle | FailureKind::Total | FailureKind::FirstToken => {
            GatewayError::UpstreamTimeout { reason }
        }
        kind => GatewayError::UpstreamFailed { kind, reason },
    }
}

/// Tells the client what went wrong, in its own envelope. The connection stays open where HTTP allows.
pub async fn error(downstream: &mut Downstream<'_>, record: &mut Record, error: &GatewayError) {
    let face = error.face();
    record.outcome = face.label;
    if matches!(error, GatewayError::ClientGone) {
        record.status = face.status;
        return;
    }
    if downstream.has_answered() {
        return;
    }
    record.status = face.status;
    if error.closes_connection() {
        downstream.close_after();
    } else {
        // What is left of a body that nobody read would be taken for the next request.
        let is_shed = matches!(error, GatewayError::Overloaded);
        downstream.drain(if is_shed { SHED_DRAIN_TIME } else { DRAIN_TIME }).await;
    }
    let body = error.body(record.client, &record.request_id);
    let head = error_header(record, error, face.status, body.len());
    // A client that is gone by now needs no error.
    if let Ok(head) = head
        && downstream.write_head(Box::new(head.into()), record).await.is_ok()
    {
        let _ = downstream.write(body, true).await;
    }
}
