//! Answers: each feature in each provider's words, whole and streamed, looked for in what the client gets.

mod bedrock;
mod cohere;
mod gemini;

use bytes::Bytes;
use domain::Usage;
use providers::{AnswerStream, Operation, catalogue, decode_answer};
use serde_json::{Value, json};

use crate::{CLIENTS, Cell, KINDS, Row};

/// A feature as each provider says it: the whole answer, and the events of the streamed one. Null: it cannot.
struct Feature {
    name: &'static str,
    openai: [Value; 2],
    anthropic: [Value; 2],
    responses: [Value; 2],
    marks: &'static [&'static str],
}

const USAGE: Usage = Usage { prompt: 1_000, completion: 77, cached: 300, cache_write: 0, reasoning: 33 };

fn openai(message: &Value, delta: &Value, reason: &str) -> [Value; 2] {
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 77, "total_tokens": 1077,
        "prompt_tokens_details": {"cached_tokens": 300}, "completion_tokens_details": {"reasoning_tokens": 33}});
    let mut message = message.clone();
    message["role"] = "assistant".into();
    let chunk = |delta: &Value, reason: Value| json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    [
        json!({"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage}),
        json!([chunk(delta, Value::Null), chunk(&json!({}), reason.into()), {"id": "c", "model": "m", "choices": [], "usage": usage}]),
    ]
}

fn anthropic(block: &Value, start: &Value, deltas: &[Value], reason: &str) -> [Value; 2] {
    let usage = json!({"input_tokens": 700, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 0,
        "output_tokens": 77, "output_tokens_details": {"thinking_tokens": 33}});
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "c", "model": "m", "usage": usage}}),
        json!({"type": "content_block_start", "index": 0, "content_block": start}),
    ];
    events.extend(
        deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta})),
    );
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    let whole = json!({"id": "c", "type": "message", "role": "assistant", "model": "m", "content": [block],
        "stop_reason": reason, "stop_sequence": null, "usage": usage});
    [whole, events.into()]
}

fn responses(item: &Value, pieces: &[Value], status: &str, reason: Option<&str>) -> [Value; 2] {
    let usage = json!({"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 300},
        "output_tokens": 77, "output_tokens_details": {"reasoning_tokens": 33}, "total_tokens": 1077});
    let whole = json!({"id": "c", "object": "response", "created_at": 1, "model": "m", "status": status, "output": [item],
        "incomplete_details": reason.map(|reason| json!({"reason": reason})), "usage": usage});
    let mut begun = item.clone();
    for field in ["content", "summary"] {
        if begun.get(field).is_some() {
            begun[field] = json!([]);
        }
    }
    if begun.get("arguments").is_some() {
        begun["arguments"] = "".into();
    }
    let mut started = whole.clone();
    started["output"] = json!([]);
    started["status"] = "in_progress".into();
    let mut events = vec![
        json!({"type": "response.created", "response": started}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": begun}),
    ];
    events.extend(pieces.iter().cloned());
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    let end = if status == "completed" { "response.completed" } else { "response.incomplete" };
    events.push(json!({"type": end, "response": whole}));
    [whole, events.into()]
}

#[expect(clippy::too_many_lines, reason = "a table: one entry after the other")]
fn features() -> Vec<Feature> {
    let text =
        |reason: &str, text: &str| openai(&json!({"content": text}), &json!({"content": text}), reason);
    let block = |reason: &str, text: &str| {
        let (start, delta) =
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}));
        anthropic(&json!({"type": "text", "text": text}), &start, &[delta], reason)
    };
    let message = |text: &str, status: &str, reason: Option<&str>| {
        let item = json!({"type": "message", "id": "i", "role": "assistant", "status": status,
            "content": [{"type": "output_text", "text": text, "annotations": []}]});
        let delta = json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "i", "delta": text});
        responses(&item, &[delta], status, reason)
    };
    let call = json!({"id": "MARKid", "type": "function", "function": {"name": "MARKtool", "arguments": "{\"a\":\"MARKarg\"}"}});
    let mut call_delta = call.clone();
    call_delta["index"] = 0.into();
    let use_block =
        json!({"type": "tool_use", "id": "MARKid", "name": "MARKtool", "input": {"a": "MARKarg"}});
    let use_start = json!({"type": "tool_use", "id": "MARKid", "name": "MARKtool", "input": {}});
    let use_deltas = [
        json!({"type": "input_json_delta", "partial_json": "{\"a\":"}),
        json!({"type": "input_json_delta", "partial_json": "\"MARKarg\"}"}),
    ];
    let call_item = json!({"type": "function_call", "id": "i", "call_id": "MARKid", "name": "MARKtool", "arguments": "{\"a\":\"MARKarg\"}", "status": "completed"});
    let call_piece = json!({"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "i", "delta": "{\"a\":\"MARKarg\"}"});
    let thought = json!({"reasoning_content": "MARKthought", "content": "x"});
    let think_block = json!({"type": "thinking", "thinking": "MARKthought", "signature": "MARKsign"});
    let think_start = json!({"type": "thinking", "thinking": "", "signature": ""});
    let think_deltas = [
        json!({"type": "thinking_delta", "thinking": "MARKthought"}),
        json!({"type": "signature_delta", "signature": "MARKsign"}),
    ];
    let think_item = json!({"type": "reasoning", "id": "i", "summary": [{"type": "summary_text", "text": "MARKthought"}], "encrypted_content": "MARKsign"});
    let think_piece = json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "item_id": "i", "delta": "MARKthought"});
    vec![
        Feature {
            name: "text",
            openai: text("stop", "MARK"),
            anthropic: block("end_turn", "MARK"),
            responses: message("MARK", "completed", None),
            marks: &["MARK"],
        },
        Feature {
            name: "tool call",
            openai: openai(
                &json!({"content": null, "tool_calls": [call]}),
                &json!({"tool_calls": [call_delta]}),
                "tool_calls",
            ),
            anthropic: anthropic(&use_block, &use_start, &use_deltas, "tool_use"),
            responses: responses(&call_item, &[call_piece], "completed", None),
            marks: &["MARKid", "MARKtool", "MARKarg"],
        },
        Feature {
            name: "thoughts",
            openai: openai(&thought, &thought, "stop"),
            anthropic: anthropic(&think_block, &think_start, &think_deltas, "end_turn"),
            responses: responses(&think_item, std::slice::from_ref(&think_piece), "completed", None),
            marks: &["MARKthought"],
        },
        Feature {
            name: "signature of thoughts",
            openai: [Value::Null, Value::Null],
            anthropic: anthropic(&think_block, &think_start, &think_deltas, "end_turn"),
            responses: responses(&think_item, &[think_piece], "completed", None),
            // In base64 for Gemini's clients, with the maker in front.
            marks: &["MARKsign|NQVJLc2lnbg=="],
        },
        Feature {
            name: "ended by the output limit",
            openai: text("length", "x"),
            anthropic: block("max_tokens", "x"),
            responses: message("x", "incomplete", Some("max_output_tokens")),
            marks: &["length|max_tokens|max_output_tokens|MAX_TOKENS"],
        },
        Feature {
            name: "ended by the content filter",
            openai: text("content_filter", "x"),
            anthropic: block("refusal", "x"),
            responses: message("x", "incomplete", Some("content_filter")),
            marks: &["content_filter|refusal|SAFETY"],
        },
        Feature {
            name: "usage with cached and reasoning tokens",
            openai: text("stop", "x"),
            anthropic: block("end_turn", "x"),
            responses: message("x", "completed", None),
            marks: &["300", "77", "33"],
        },
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    features().iter().map(row).collect()
}

fn row(feature: &Feature) -> Row {
    let mut cells = Vec::new();
    for (client, operation) in CLIENTS {
        for kind in KINDS {
            let (gemini, bedrock, cohere) =
                (gemini::words(feature.name), bedrock::words(feature.name), cohere::words(feature.name));
            let [whole, events] = match kind {
                "openai" => &feature.openai,
                "anthropic" => &feature.anthropic,
                "gemini" => &gemini,
                "bedrock" => &bedrock,
                "cohere" => &cohere,
                _ => &feature.responses,
            };
            cells.push(cell(
                &format!("{}: {kind} to {client}", feature.name),
                feature.marks,
                operation,
                kind,
                whole,
                events,
            ));
        }
    }
    Row { feature: feature.name, cells }
}

fn cell(
    whose: &str,
    marks: &[&str],
    operation: Operation,
    kind: &str,
    whole: &Value,
    events: &Value,
) -> Cell {
    if whole.is_null() {
        return Cell::Unsaid;
    }
    let (usage, uncounted) = match kind {
        // It counts no reasoning.
        "bedrock" => (Usage { reasoning: 0, ..USAGE }, "33"),
        // What it has cached is not what it bills.
        "cohere" => (Usage { cached: 0, ..USAGE }, "300"),
        _ => (USAGE, ""),
    };
    let marks: Vec<&str> = marks.iter().copied().filter(|mark| *mark != uncounted).collect();
    let format = catalogue().provider(kind).unwrap().format;
    let answer = decode_answer(operation, format, Bytes::from(whole.to_string()))
        .unwrap_or_else(|error| panic!("{whose}: {error}"));
    assert_eq!(answer.usage, Some(usage), "{whose}");
    let mut stream = AnswerStream::new(operation, format, true, None);
    let mut out = Vec::new();
    for event in events.as_array().unwrap() {
        let name = event["type"].as_str().map_or(String::new(), |name| format!("event: {name}\n"));
        let bytes = match kind {
            "bedrock" => bedrock::frame(event),
            _ => Bytes::from(format!("{name}data: {event}\n\n")),
        };
        out.extend(stream.feed(bytes).unwrap_or_else(|error| panic!("{whose}: {error}")).unwrap_or_default());
    }
    out.extend(stream.finish().unwrap_or_else(|error| panic!("{whose}: {error}")).unwrap_or_default());
    assert_eq!(stream.usage(), Some(usage), "{whose}, streamed");
    for text in [answer.body.to_vec(), out].map(|bytes| String::from_utf8(bytes).unwrap()) {
        for mark in &marks {
            assert!(mark.split('|').any(|mark| text.contains(mark)), "{whose}: {mark} is lost in {text}");
        }
    }
    Cell::Yes
}
