//! What an answer repeats of its request. Clients' types require some of it, and some clients read it.

use serde_json::{Map, Value, json};

/// Fields that are repeated when the request has them.
const REPEATED: [&str; 17] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The repeated fields of a request, with the values of those that an answer always has.
pub(super) fn echo(request: &Map<String, Value>) -> Map<String, Value> {
    let mut echo = defaults();
    for field in REPEATED {
        if let Some(value) = request.get(field).filter(|value| !value.is_null()) {
            echo.insert(field.to_owned(), value.clone());
        }
    }
    echo
}

/// What an answer says of a request that asked for nothing in particular. Nothing is kept here,
/// whatever was asked for.
pub(super) fn defaults() -> Map<String, Value> {
    let fields = json!({
        "background": false,
        "instructions": null,
        "max_output_tokens": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null },
        "store": false,
        "temperature": null,
        "text": { "format": { "type": "text" } },
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "truncation": "disabled",
    });
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
