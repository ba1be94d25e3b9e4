//! Requests: each feature in each client's words, with a marker that is looked for in what goes upstream.

use bytes::Bytes;
use providers::{Operation, catalogue, encode_request, read_request_head};
use serde_json::{Value, json};

use crate::{CLIENTS, Cell, KINDS, Row};

/// How it is seen that a feature has arrived.
enum Seen {
    /// Each of these stands somewhere as a value, or within a string.
    Marks(&'static [&'static str]),
    /// The provider is asked for a stream, in the body or by the path.
    Stream,
    /// One of these keys is somewhere.
    Key(&'static [&'static str]),
}

/// A feature, and how each client asks for it: what is put over the plain request. Null: it cannot.
struct Feature {
    name: &'static str,
    chat: Value,
    messages: Value,
    responses: Value,
    seen: Seen,
    /// Leaving it out without a word is right.
    is_hint: bool,
}

fn feature(name: &'static str, chat: Value, messages: Value, responses: Value, seen: Seen) -> Feature {
    Feature { name, chat, messages, responses, seen, is_hint: false }
}

fn hint(name: &'static str, chat: Value, messages: Value, responses: Value, seen: Seen) -> Feature {
    Feature { is_hint: true, ..feature(name, chat, messages, responses, seen) }
}

/// A conversation in which two tools were called at once and one answered with an error.
fn tool_turns(client: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"MARKfield": {"type": "string"}}});
    match client {
        "chat" => json!({
            "tools": [{"type": "function", "function": {"name": "MARKtool", "description": "MARKwhat", "parameters": schema}}],
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "MARKid1", "type": "function", "function": {"name": "MARKtool", "arguments": "{\"MARKfield\":\"MARKone\"}"}},
                    {"id": "MARKid2", "type": "function", "function": {"name": "MARKtool", "arguments": "{\"MARKfield\":\"MARKtwo\"}"}}]},
                {"role": "tool", "tool_call_id": "MARKid1", "content": "MARKfirst"},
                {"role": "tool", "tool_call_id": "MARKid2", "content": "MARKsecond"}]
        }),
        "messages" => json!({
            "tools": [{"name": "MARKtool", "description": "MARKwhat", "input_schema": schema}],
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "MARKid1", "name": "MARKtool", "input": {"MARKfield": "MARKone"}},
                    {"type": "tool_use", "id": "MARKid2", "name": "MARKtool", "input": {"MARKfield": "MARKtwo"}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "MARKid1", "content": "MARKfirst"},
                    {"type": "tool_result", "tool_use_id": "MARKid2", "content": [{"type": "text", "text": "MARKsecond"}]}]}]
        }),
        _ => json!({
            "tools": [{"type": "function", "name": "MARKtool", "description": "MARKwhat", "parameters": schema}],
            "input": [
                {"role": "user", "content": "go"},
                {"type": "function_call", "call_id": "MARKid1", "name": "MARKtool", "arguments": "{\"MARKfield\":\"MARKone\"}"},
                {"type": "function_call", "call_id": "MARKid2", "name": "MARKtool", "arguments": "{\"MARKfield\":\"MARKtwo\"}"},
                {"type": "function_call_output", "call_id": "MARKid1", "output": "MARKfirst"},
                {"type": "function_call_output", "call_id": "MARKid2", "output": "MARKsecond"}]
        }),
    }
}

/// A user's message with one part beside a text.
fn with_part(chat: Value, messages: Value, responses: Value) -> [Value; 3] {
    let turn = |field: &str, kind: &str, part: Value| {
        if part.is_null() {
            return Value::Null;
        }
        json!({field: [{"role": "user", "content": [{"type": kind, "text": "look"}, part]}]})
    };
    [
        turn("messages", "text", chat),
        turn("messages", "text", messages),
        turn("input", "input_text", responses),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table: one entry after the other")]
fn features() -> Vec<Feature> {
    let schema = json!({"type": "object", "properties": {"MARKkey": {"type": "string"}}, "required": ["MARKkey"], "additionalProperties": false});
    let [image_url_chat, image_url_messages, image_url_responses] = with_part(
        json!({"type": "image_url", "image_url": {"url": "https://x.test/MARK.png"}}),
        json!({"type": "image", "source": {"type": "url", "url": "https://x.test/MARK.png"}}),
        json!({"type": "input_image", "image_url": "https://x.test/MARK.png"}),
    );
    let [image_chat, image_messages, image_responses] = with_part(
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,TUFSSw=="}}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "TUFSSw=="}}),
        json!({"type": "input_image", "image_url": "data:image/png;base64,TUFSSw=="}),
    );
    let [file_chat, file_messages, file_responses] = with_part(
        json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,TUFSSw=="}}),
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "TUFSSw=="}}),
        json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,TUFSSw=="}),
    );
    let cached = json!([{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]);
    let no = || Value::Null;
    vec![
        feature(
            "text and several turns",
            json!({"messages": [{"role": "user", "content": "MARKa"}, {"role": "assistant", "content": "MARKb"}, {"role": "user", "content": [{"type": "text", "text": "MARKc"}]}]}),
            json!({"messages": [{"role": "user", "content": "MARKa"}, {"role": "assistant", "content": "MARKb"}, {"role": "user", "content": [{"type": "text", "text": "MARKc"}]}]}),
            json!({"input": [{"role": "user", "content": "MARKa"}, {"role": "assistant", "content": [{"type": "output_text", "text": "MARKb"}]}, {"role": "user", "content": "MARKc"}]}),
            Seen::Marks(&["MARKa", "MARKb", "MARKc"]),
        ),
        feature(
            "system text",
            json!({"messages": [{"role": "system", "content": "MARK"}, {"role": "user", "content": "x"}]}),
            json!({"system": "MARK"}),
            json!({"instructions": "MARK"}),
            Seen::Marks(&["MARK"]),
        ),
        feature(
            "developer text",
            json!({"messages": [{"role": "developer", "content": "MARK"}, {"role": "user", "content": "x"}]}),
            no(),
            json!({"input": [{"role": "developer", "content": "MARK"}, {"role": "user", "content": "x"}]}),
            Seen::Marks(&["MARK"]),
        ),
        feature(
            "tools, parallel calls, results",
            tool_turns("chat"),
            tool_turns("messages"),
            tool_turns("responses"),
            Seen::Marks(&[
                "MARKtool",
                "MARKwhat",
                "MARKfield",
                "MARKid1",
                "MARKone",
                "MARKid2",
                "MARKtwo",
                "MARKfirst",
                "MARKsecond",
            ]),
        ),
        feature(
            "one tool forced",
            json!({"tools": [{"type": "function", "function": {"name": "t"}}], "tool_choice": {"type": "function", "function": {"name": "t"}}}),
            json!({"tools": [{"name": "t", "input_schema": {"type": "object"}}], "tool_choice": {"type": "tool", "name": "t"}}),
            json!({"tools": [{"type": "function", "name": "t"}], "tool_choice": {"type": "function", "name": "t"}}),
            Seen::Key(&["tool_choice", "toolChoice", "toolConfig"]),
        ),
        feature(
            "one call at a time",
            json!({"tools": [{"type": "function", "function": {"name": "t"}}], "parallel_tool_calls": false}),
            json!({"tools": [{"name": "t", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
            json!({"tools": [{"type": "function", "name": "t"}], "parallel_tool_calls": false}),
            Seen::Key(&["parallel_tool_calls", "disable_parallel_tool_use"]),
        ),
        feature(
            "JSON Schema of the answer",
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}),
            json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
            json!({"text": {"format": {"type": "json_schema", "name": "a", "schema": schema}}}),
            Seen::Marks(&["MARKkey"]),
        ),
        feature(
            "any JSON object as the answer",
            json!({"response_format": {"type": "json_object"}}),
            no(),
            json!({"text": {"format": {"type": "json_object"}}}),
            Seen::Marks(&["json_object", "application/json"]),
        ),
        feature(
            "image by address",
            image_url_chat,
            image_url_messages,
            image_url_responses,
            Seen::Marks(&["MARK.png"]),
        ),
        feature("image in base64", image_chat, image_messages, image_responses, Seen::Marks(&["TUFSSw=="])),
        feature("PDF in base64", file_chat, file_messages, file_responses, Seen::Marks(&["TUFSSw=="])),
        feature(
            "how hard to think",
            json!({"reasoning_effort": "high"}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4096}),
            json!({"reasoning": {"effort": "high"}}),
            Seen::Key(&[
                "reasoning_effort",
                "thinking",
                "reasoning",
                "thinkingConfig",
                "reasoning_config",
                "reasoningConfig",
            ]),
        ),
        hint(
            "signed thoughts sent back",
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "sbx.anthropic.MARK"}]}, {"role": "user", "content": "z"}]}),
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "MARK"}, {"type": "text", "text": "y"}]}, {"role": "user", "content": "z"}], "thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4096}),
            json!({"input": [{"role": "user", "content": "x"}, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "MARK"}, {"role": "assistant", "content": [{"type": "output_text", "text": "y"}]}, {"role": "user", "content": "z"}]}),
            Seen::Marks(&["MARK"]),
        ),
        hint(
            "where to cut the prompt for the provider's cache",
            json!({"messages": [{"role": "user", "content": cached}]}),
            json!({"messages": [{"role": "user", "content": cached}]}),
            no(),
            Seen::Key(&["cache_control", "cachePoint"]),
        ),
        feature(
            "output limit",
            json!({"max_tokens": 77}),
            json!({"max_tokens": 77}),
            json!({"max_output_tokens": 77}),
            Seen::Marks(&["77"]),
        ),
        feature(
            "temperature",
            json!({"temperature": 0.77}),
            json!({"temperature": 0.77}),
            json!({"temperature": 0.77}),
            Seen::Marks(&["0.77"]),
        ),
        feature(
            "top_p",
            json!({"top_p": 0.77}),
            json!({"top_p": 0.77}),
            json!({"top_p": 0.77}),
            Seen::Marks(&["0.77"]),
        ),
        feature("top_k", no(), json!({"top_k": 77}), no(), Seen::Marks(&["77"])),
        feature(
            "stop sequences",
            json!({"stop": ["MARK"]}),
            json!({"stop_sequences": ["MARK"]}),
            no(),
            Seen::Marks(&["MARK"]),
        ),
        feature(
            "seed, every digit",
            json!({"seed": 9_007_199_254_740_993_u64}),
            no(),
            no(),
            Seen::Marks(&["9007199254740993"]),
        ),
        feature(
            "frequency and presence penalty",
            json!({"frequency_penalty": 0.77, "presence_penalty": 0.78}),
            no(),
            no(),
            Seen::Marks(&["0.77", "0.78"]),
        ),
        feature("several answers (n)", json!({"n": 2}), no(), no(), Seen::Key(&["n", "candidateCount"])),
        feature(
            "log probabilities",
            json!({"logprobs": true, "top_logprobs": 3}),
            no(),
            json!({"top_logprobs": 3, "include": ["message.output_text.logprobs"]}),
            Seen::Key(&["top_logprobs", "responseLogprobs"]),
        ),
        hint(
            "the end user's id",
            json!({"user": "MARK"}),
            json!({"metadata": {"user_id": "MARK"}}),
            json!({"user": "MARK"}),
            Seen::Marks(&["MARK"]),
        ),
        feature(
            "streaming",
            json!({"stream": true}),
            json!({"stream": true}),
            json!({"stream": true}),
            Seen::Stream,
        ),
        feature(
            "a field nobody knows",
            json!({"x_mark": "MARK"}),
            json!({"x_mark": "MARK"}),
            json!({"x_mark": "MARK"}),
            Seen::Marks(&["MARK"]),
        ),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    features().iter().map(row).collect()
}

fn row(feature: &Feature) -> Row {
    let mut cells = Vec::new();
    for (client, operation) in CLIENTS {
        let gemini = crate::gemini::words(feature.name);
        let over = match client {
            "chat" => &feature.chat,
            "messages" => &feature.messages,
            "gemini" => &gemini,
            _ => &feature.responses,
        };
        // Gemini's clients ask for a stream by the path.
        let operation = match feature.seen {
            Seen::Stream if client == "gemini" => Operation::StreamGenerateContent,
            _ => operation,
        };
        cells.extend(KINDS.iter().map(|kind| cell(feature, client, operation, over, kind)));
    }
    Row { feature: feature.name, cells }
}

fn cell(feature: &Feature, client: &str, operation: Operation, over: &Value, kind: &str) -> Cell {
    let Some(over) = over.as_object() else { return Cell::Unsaid };
    let mut body = match client {
        "chat" => json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}),
        "messages" => json!({"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "x"}]}),
        "gemini" => json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]}),
        _ => json!({"model": "m", "input": "x"}),
    };
    let target = match operation {
        Operation::StreamGenerateContent => "/v1beta/models/m:streamGenerateContent?alt=sse",
        Operation::GenerateContent => "/v1beta/models/m:generateContent",
        _ => "",
    };
    body.as_object_mut().unwrap().extend(over.clone());
    let body = Bytes::from(body.to_string());
    let head = read_request_head(operation, target, &body).unwrap();
    let spec = catalogue().provider(kind).unwrap();
    let whose = format!("{}: {client} to {kind}", feature.name);
    // What Bedrock takes depends on whose model it is.
    let model = if kind == "bedrock" { "anthropic.claude-sonnet-4-5-20250929-v1:0" } else { "m" };
    match encode_request(operation, &head, &body, spec, model, false) {
        Err(error) => {
            assert!(error.param.is_some() && error.message.contains('`'), "{whose}: {error}");
            Cell::Refused
        }
        Ok(sent) => {
            let path = sent.path;
            let sent: Value = serde_json::from_slice(&sent.body).unwrap();
            let arrived = match feature.seen {
                Seen::Marks(marks) if marks.contains(&"json_object") => {
                    marks.iter().any(|mark| has_mark(&sent, mark))
                }
                Seen::Marks(marks) => marks.iter().all(|mark| has_mark(&sent, mark)),
                Seen::Stream => sent["stream"] == true || path.contains("stream"),
                Seen::Key(keys) => keys.iter().any(|key| has_key(&sent, key)),
            };
            assert!(arrived || feature.is_hint, "{whose} is lost without a word: {sent:#}");
            if arrived { Cell::Yes } else { Cell::Left }
        }
    }
}

fn has_mark(value: &Value, mark: &str) -> bool {
    match value {
        Value::String(text) => text.contains(mark),
        Value::Number(number) => number.to_string() == mark,
        Value::Array(items) => items.iter().any(|item| has_mark(item, mark)),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(mark) || has_mark(value, mark))
        }
        _ => false,
    }
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_key(item, key)),
        Value::Object(fields) => fields.iter().any(|(name, value)| name == key || has_key(value, key)),
        _ => false,
    }
}
