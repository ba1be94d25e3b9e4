//! Each feature as Gemini answers it: the whole answer, and its events.

use serde_json::{Value, json};

pub(crate) fn words(feature: &str) -> [Value; 2] {
    let text = |text: &str| json!({"text": text});
    let thought = json!({"text": "MARKthought", "thought": true, "thoughtSignature": "MARKsign"});
    match feature {
        "tool call" => answer(
            &[json!({"functionCall": {"id": "MARKid", "name": "MARKtool", "args": {"a": "MARKarg"}}})],
            "STOP",
        ),
        "thoughts" | "signature of thoughts" => answer(&[thought, text("x")], "STOP"),
        "ended by the output limit" => answer(&[text("x")], "MAX_TOKENS"),
        "ended by the content filter" => answer(&[text("x")], "SAFETY"),
        _ => answer(&[text("MARK")], "STOP"),
    }
}

fn answer(parts: &[Value], reason: &str) -> [Value; 2] {
    let usage = json!({"promptTokenCount": 1000, "cachedContentTokenCount": 300, "candidatesTokenCount": 44,
        "thoughtsTokenCount": 33, "totalTokenCount": 1077});
    let event = |parts: &[Value], reason: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}],
            "usageMetadata": usage, "modelVersion": "m", "responseId": "c"})
    };
    let mut events: Vec<Value> =
        parts.iter().map(|part| event(std::slice::from_ref(part), Value::Null)).collect();
    events.push(event(&[json!({"text": ""})], reason.into()));
    [event(parts, reason.into()), events.into()]
}
