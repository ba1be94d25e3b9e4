//! Whether the events of a translated stream stand in the order that clients' libraries rely on.

use providers::WireFormat;
use serde_json::Value;

use crate::grammar_responses;

/// The reason, when an event is out of its place.
pub(crate) fn check(client: WireFormat, stream: &str) -> Result<(), String> {
    let events: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    match client {
        WireFormat::Anthropic => check_messages(&events),
        WireFormat::Gemini => check_pieces(&events),
        WireFormat::Responses => {
            grammar_responses::check_responses("a stream", stream);
            Ok(())
        }
        _ => check_chunks(&events),
    }
}

fn ensure(holds: bool, reason: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason.to_owned()) }
}

fn check_chunks(events: &[&str]) -> Result<(), String> {
    let (last, chunks) = events.split_last().ok_or("no events")?;
    ensure(*last == "[DONE]", "the last event is not [DONE]")?;
    let (mut finished, mut calls, mut usage) = (false, 0, false);
    for (at, chunk) in chunks.iter().enumerate() {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        ensure(!usage, "something comes behind the usage")?;
        usage = chunk["usage"].is_object();
        let Some(choice) = chunk["choices"].get(0) else { continue };
        ensure(!finished, "something comes behind the finish reason")?;
        ensure(at > 0 || choice["delta"]["role"] == "assistant", "the first chunk has no role")?;
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            if call["id"].is_string() {
                ensure(call["index"] == calls, "a tool call has the wrong index")?;
                calls += 1;
            } else {
                ensure(call["index"] == calls - 1, "arguments belong to another call")?;
            }
        }
        finished = choice["finish_reason"].is_string();
        ensure(!finished || (choice["finish_reason"] == "tool_calls") == (calls > 0), "the wrong reason")?;
    }
    ensure(finished && usage, "there is no finish reason or no usage")
}

/// Pieces in the answer's own shape; the last one has the reason and the count.
fn check_pieces(events: &[&str]) -> Result<(), String> {
    for (at, event) in events.iter().enumerate() {
        let event: Value = serde_json::from_str(event).unwrap();
        let is_last = at + 1 == events.len();
        ensure(event["candidates"][0]["content"]["role"] == "model", "a piece has no content")?;
        ensure(
            event["candidates"][0]["finishReason"].is_string() == is_last,
            "the reason is out of its place",
        )?;
        ensure(!is_last || event["usageMetadata"].is_object(), "there is no count")?;
    }
    ensure(!events.is_empty(), "no events")
}

fn check_messages(events: &[&str]) -> Result<(), String> {
    let (mut open, mut blocks, mut calls, mut ended) = (None, 0, 0, false);
    for (at, event) in events.iter().enumerate() {
        let event: Value = serde_json::from_str(event).unwrap();
        let kind = event["type"].as_str().unwrap();
        ensure((at == 0) == (kind == "message_start"), "message_start is not the first event")?;
        match kind {
            "content_block_start" => {
                ensure(open.is_none() && event["index"] == blocks, "a block begins out of its place")?;
                open = Some(blocks);
                blocks += 1;
                calls += i32::from(event["content_block"]["type"] == "tool_use");
            }
            "content_block_delta" => ensure(
                open.is_some_and(|open: i32| event["index"] == open),
                "a delta belongs to no open block",
            )?,
            "content_block_stop" => ensure(open.take().is_some(), "no block is open")?,
            "message_delta" => {
                let reason = &event["delta"]["stop_reason"];
                ensure(open.is_none() && reason.is_string(), "the message ends out of its place")?;
                ensure((reason == "tool_use") == (calls > 0), "the wrong reason")?;
                ended = true;
            }
            "message_stop" => ensure(ended && at + 1 == events.len(), "message_stop is not the last event")?,
            _ => {}
        }
    }
    ensure(ended, "there is no message_delta")
}
