//! Each feature as Bedrock answers it: the whole answer, and its events, which are binary frames.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde_json::{Value, json};

/// The events are objects with one field, named like the event.
pub(crate) fn words(feature: &str) -> [Value; 2] {
    match feature {
        "tool call" => answer(
            &json!({"toolUse": {"toolUseId": "MARKid", "name": "MARKtool", "input": {"a": "MARKarg"}}}),
            &[
                json!({"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "MARKid", "name": "MARKtool"}}}}),
                delta(&json!({"toolUse": {"input": "{\"a\":\"MARKarg\"}"}})),
            ],
            "tool_use",
        ),
        "thoughts" | "signature of thoughts" => answer(
            &json!({"reasoningContent": {"reasoningText": {"text": "MARKthought", "signature": "MARKsign"}}}),
            &[
                delta(&json!({"reasoningContent": {"text": "MARKthought"}})),
                delta(&json!({"reasoningContent": {"signature": "MARKsign"}})),
            ],
            "end_turn",
        ),
        "ended by the output limit" => text("x", "max_tokens"),
        "ended by the content filter" => text("x", "content_filtered"),
        _ => text("MARK", "end_turn"),
    }
}

/// One event as it comes over the wire.
pub(crate) fn frame(event: &Value) -> Bytes {
    let (name, payload) = event.as_object().unwrap().iter().next().unwrap();
    let header =
        |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let message = Message::new(Bytes::from(payload.to_string()))
        .add_header(header(":message-type", "event"))
        .add_header(header(":event-type", name));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes.into()
}

fn delta(delta: &Value) -> Value {
    json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}})
}

fn text(text: &str, reason: &str) -> [Value; 2] {
    answer(&json!({"text": text}), &[delta(&json!({"text": text}))], reason)
}

fn answer(block: &Value, pieces: &[Value], reason: &str) -> [Value; 2] {
    let usage =
        json!({"inputTokens": 700, "cacheReadInputTokens": 300, "outputTokens": 77, "totalTokens": 1077});
    let mut events = vec![json!({"messageStart": {"role": "assistant"}})];
    events.extend(pieces.iter().cloned());
    events.push(json!({"contentBlockStop": {"contentBlockIndex": 0}}));
    events.push(json!({"messageStop": {"stopReason": reason}}));
    events.push(json!({"metadata": {"usage": usage}}));
    let whole = json!({"output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": reason, "usage": usage});
    [whole, events.into()]
}
