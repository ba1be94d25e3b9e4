//! Each feature as Cohere answers it: the whole answer, and its events.

use serde_json::{Value, json};

pub(crate) fn words(feature: &str) -> [Value; 2] {
    match feature {
        "tool call" => {
            let call = json!({"id": "MARKid", "type": "function", "function": {"name": "MARKtool", "arguments": "{\"a\":\"MARKarg\"}"}});
            let mut begun = call.clone();
            begun["function"]["arguments"] = "".into();
            let piece = json!({"function": {"arguments": "{\"a\":\"MARKarg\"}"}});
            let events = [
                json!({"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": begun}}}),
                json!({"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": piece}}}),
                json!({"type": "tool-call-end", "index": 0}),
            ];
            answer(&json!({"role": "assistant", "tool_calls": [call]}), &events, "TOOL_CALL")
        }
        "thoughts" => content("thinking", "thinking", "MARKthought", "COMPLETE"),
        // It signs nothing.
        "signature of thoughts" => [Value::Null, Value::Null],
        "ended by the output limit" => content("text", "text", "x", "MAX_TOKENS"),
        // Its guard refuses a request instead.
        "ended by the content filter" => [Value::Null, Value::Null],
        _ => content("text", "text", "MARK", "COMPLETE"),
    }
}

fn content(kind: &str, field: &str, text: &str, reason: &str) -> [Value; 2] {
    let events = [
        json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": kind, field: ""}}}}),
        json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {field: text}}}}),
        json!({"type": "content-end", "index": 0}),
    ];
    answer(&json!({"role": "assistant", "content": [{"type": kind, field: text}]}), &events, reason)
}

fn answer(message: &Value, pieces: &[Value], reason: &str) -> [Value; 2] {
    let usage = json!({"billed_units": {"input_tokens": 1000, "output_tokens": 77},
        "tokens": {"input_tokens": 1000, "output_tokens": 77, "reasoning_tokens": 33}, "cached_tokens": 300});
    let mut events =
        vec![json!({"id": "c", "type": "message-start", "delta": {"message": {"role": "assistant"}}})];
    events.extend(pieces.iter().cloned());
    events.push(json!({"type": "message-end", "delta": {"finish_reason": reason, "usage": usage}}));
    [json!({"id": "c", "message": message, "finish_reason": reason, "usage": usage}), events.into()]
}
