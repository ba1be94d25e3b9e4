//! An answer from the cache.

use std::sync::Arc;

use bytes::Bytes;
use cache::exact::{Entry, Flags};
use domain::{Micros, Usage};
use http::header::CONTENT_LENGTH;
use providers::{KeptAnswer, Wanted};
use store::Kind;

use super::header::{COALESCED, COST, header, put, stream_header};
use crate::client::Client;
use crate::error::GatewayError;
use crate::request::{Plan, Record, Request};

/// Pieces that are put together to one write, up to so many bytes: they are all there already.
const WRITE_BYTES: usize = 16 << 10;

/// Sends a kept answer; false when it cannot be given in the form that is asked for.
///
/// # Errors
/// [`GatewayError::ClientGone`].
pub async fn run(
    entry: &Arc<Entry>,
    plan: &Plan,
    request: &Request,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<bool, GatewayError> {
    let kept = KeptAnswer {
        operation: request.operation,
        pieces: &entry.pieces,
        is_stream: entry.flags.contain(Flags::STREAMED),
        has_usage: entry.flags.contain(Flags::WITH_USAGE),
        usage: entry.usage,
    };
    let head = &request.head;
    let wanted = Wanted { stream: head.stream, include_usage: head.include_usage, body: &request.body };
    let Ok(pieces) = kept.replay(&wanted) else { return Ok(false) };
    // Who answered then; or, when that one is gone, who would now.
    let mut all = plan.models.iter().flat_map(|model| &model.deployments);
    let origin =
        all.clone().find(|deployment| *deployment.id.as_str() == *entry.origin).or_else(|| all.next());
    record.deployment = origin.cloned();
    record.usage = Some(Usage::default());
    record.status = entry.status;
    record.ttft = Some(record.started.elapsed());
    let mut head = if head.stream {
        stream_header(record)?
    } else {
        let mut head = header(record, entry.status, "application/json")?;
        put(&mut head, &CONTENT_LENGTH, pieces.iter().map(Bytes::len).sum::<usize>())?;
        put(&mut head, &COST, Micros(0).to_string())?;
        head
    };
    if record.coalesced {
        put(&mut head, &COALESCED, "true")?;
    }
    client.write_head(Box::new(head.into()), record).await?;
    // In the log before the client has the whole of it.
    record.save(if record.coalesced { Kind::Coalesced } else { Kind::CacheHit }, "ok", entry.cost);
    let mut waiting = Vec::new();
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        let is_last = pieces.peek().is_none();
        if is_last && waiting.is_empty() {
            client.write(piece, true).await?;
            break;
        }
        waiting.extend_from_slice(&piece);
        if is_last || waiting.len() >= WRITE_BYTES {
            client.write(Bytes::from(std::mem::take(&mut waiting)), is_last).await?;
        }
    }
    record.outcome = "ok";
    Ok(true)
}
