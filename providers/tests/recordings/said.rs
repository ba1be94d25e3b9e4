//! What an answer says, read in the plainest way and independently of the crate: its text, its
//! reasoning with its tokens, its tool calls and its count.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use providers::WireFormat;
use serde_json::Value;

/// Text, reasoning, signatures and sealed reasoning in order, and name and arguments of each tool call.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) tokens: Vec<String>,
    calls: Vec<(String, Value)>,
}

impl Said {
    pub(crate) fn whole(format: WireFormat, body: &str) -> Self {
        let body: Value = serde_json::from_str(body).unwrap();
        let mut said = Self::default();
        match format {
            WireFormat::OpenAi => {
                let message = &body["choices"][0]["message"];
                said.text = openai_text(message);
                said.reasoning = openai_reasoning(message);
                said.take_details(message);
                for call in message["tool_calls"].as_array().unwrap_or(&Vec::new()) {
                    said.token(&call["extra_content"]["google"]["thought_signature"]);
                    said.call(&call["function"]["name"], &arguments(&call["function"]["arguments"]));
                }
            }
            WireFormat::Anthropic => {
                for block in body["content"].as_array().unwrap() {
                    match block["type"].as_str().unwrap() {
                        "text" => said.text += block["text"].as_str().unwrap(),
                        "thinking" => {
                            said.reasoning += block["thinking"].as_str().unwrap();
                            said.token(&block["signature"]);
                        }
                        "redacted_thinking" => said.token(&block["data"]),
                        "tool_use" => said.call(&block["name"], &block["input"].to_string()),
                        _ => {}
                    }
                }
            }
            WireFormat::Gemini => said.candidates(&body),
            WireFormat::Responses => {
                for item in body["output"].as_array().unwrap() {
                    said.text += &item_text(item);
                    said.reasoning += &item_reasoning(item);
                    said.token_of_reasoning(item);
                    if item["type"] == "function_call" {
                        said.call(&item["name"], &arguments(&item["arguments"]));
                    }
                }
            }
            _ => unreachable!("no client speaks it"),
        }
        said
    }

    pub(crate) fn streamed(format: WireFormat, body: &str) -> Self {
        let events =
            body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        let events = events.map(|data| serde_json::from_str::<Value>(data).unwrap());
        match format {
            WireFormat::OpenAi => openai_stream(events),
            WireFormat::Anthropic => anthropic_stream(events),
            WireFormat::Responses => responses_stream(events),
            WireFormat::Gemini => events.fold(Self::default(), |mut said, event| {
                said.candidates(&event);
                said
            }),
            _ => unreachable!("no client speaks it"),
        }
    }

    /// The same in whole answers and in events. A picture is its address, as in Markdown.
    fn candidates(&mut self, body: &Value) {
        for part in body["candidates"][0]["content"]["parts"].as_array().unwrap_or(&Vec::new()) {
            self.google_token(&part["thoughtSignature"]);
            if part["thought"] == true {
                self.reasoning += part["text"].as_str().unwrap_or_default();
                continue;
            }
            self.text += part["text"].as_str().unwrap_or_default();
            if let (Some(kind), Some(data)) =
                (part["inlineData"]["mimeType"].as_str(), part["inlineData"]["data"].as_str())
            {
                self.text += &format!("![](data:{kind};base64,{data})");
            }
            if part["functionCall"].is_object() {
                self.call(&part["functionCall"]["name"], &arguments(&part["functionCall"]["args"]));
            }
        }
    }

    fn take_details(&mut self, message: &Value) {
        for detail in message["reasoning_details"].as_array().unwrap_or(&Vec::new()) {
            self.token(&detail["signature"]);
            self.token(&detail["data"]);
        }
    }

    fn token_of_reasoning(&mut self, item: &Value) {
        if item["type"] == "reasoning" {
            self.token(&item["encrypted_content"]);
        }
    }

    /// Google's clients decode the field, so that a foreign token stands in it encoded.
    fn google_token(&mut self, token: &Value) {
        let decoded = token.as_str().and_then(|text| STANDARD.decode(text).ok());
        let marked = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match marked.filter(|text| text.starts_with("sbx.")) {
            Some(text) => self.token(&Value::String(text)),
            None => self.token(token),
        }
    }

    /// Without the mark of its maker.
    pub(crate) fn token(&mut self, token: &Value) {
        if let Some(token) = token.as_str().filter(|token| !token.is_empty()) {
            let marked = token.strip_prefix("sbx.").and_then(|rest| rest.split_once('.'));
            self.tokens.push(marked.map_or(token, |(_, token)| token).to_owned());
        }
    }

    pub(crate) fn call(&mut self, name: &Value, arguments: &str) {
        let arguments = if arguments.is_empty() { "{}" } else { arguments };
        self.calls.push((name.as_str().unwrap().to_owned(), serde_json::from_str(arguments).unwrap()));
    }
}

fn openai_stream(events: impl Iterator<Item = Value>) -> Said {
    let mut said = Said::default();
    let mut calls: Vec<(Value, Value, String)> = Vec::new();
    let mut detailed = String::new();
    for event in events {
        let delta = &event["choices"][0]["delta"];
        said.text += &openai_text(delta);
        said.reasoning += &plain_reasoning(delta);
        detailed += &detailed_reasoning(delta);
        said.take_details(delta);
        for call in delta["tool_calls"].as_array().unwrap_or(&Vec::new()) {
            said.token(&call["extra_content"]["google"]["thought_signature"]);
            let key =
                if call["id"].is_string() && call["id"] != "" { call["id"].clone() } else { Value::Null };
            let same = calls.last().is_some_and(|(last, ..)| key.is_null() || *last == key);
            if !same {
                calls.push((key, call["function"]["name"].clone(), String::new()));
            }
            calls.last_mut().unwrap().2 += &arguments(&call["function"]["arguments"]);
        }
    }
    if said.reasoning.is_empty() {
        said.reasoning = detailed;
    }
    calls.iter().for_each(|(_, name, arguments)| said.call(name, arguments));
    said
}

fn anthropic_stream(events: impl Iterator<Item = Value>) -> Said {
    let mut said = Said::default();
    let mut open: Option<(Value, String)> = None;
    for event in events {
        let (block, delta) = (&event["content_block"], &event["delta"]);
        match event["type"].as_str().unwrap() {
            "content_block_start" if block["type"] == "tool_use" => {
                open = Some((block["name"].clone(), String::new()));
                if block["input"].as_object().is_some_and(|input| !input.is_empty()) {
                    open = Some((block["name"].clone(), block["input"].to_string()));
                }
            }
            "content_block_start" => {
                said.text += block["text"].as_str().unwrap_or_default();
                said.reasoning += block["thinking"].as_str().unwrap_or_default();
                said.token(&block["signature"]);
                if block["type"] == "redacted_thinking" {
                    said.token(&block["data"]);
                }
            }
            "content_block_delta" => {
                said.text += delta["text"].as_str().unwrap_or_default();
                said.reasoning += delta["thinking"].as_str().unwrap_or_default();
                said.token(&delta["signature"]);
                if let (Some((_, so_far)), Some(piece)) = (&mut open, delta["partial_json"].as_str()) {
                    so_far.push_str(piece);
                }
            }
            "content_block_stop" => {
                if let Some((name, arguments)) = open.take() {
                    said.call(&name, &arguments);
                }
            }
            _ => {}
        }
    }
    said
}

/// By place; an item without pieces is taken from where it is repeated whole.
fn responses_stream(events: impl Iterator<Item = Value>) -> Said {
    let mut items: BTreeMap<u64, (String, String, Value)> = BTreeMap::new();
    for event in events {
        let item = items.entry(event["output_index"].as_u64().unwrap_or(0)).or_default();
        match event["type"].as_str().unwrap() {
            "response.output_text.delta" | "response.refusal.delta" => {
                item.0 += event["delta"].as_str().unwrap();
            }
            "response.function_call_arguments.delta" => item.1 += event["delta"].as_str().unwrap(),
            "response.function_call_arguments.done" if item.1.is_empty() => {
                item.1 = arguments(&event["arguments"]);
            }
            "response.output_item.done" => {
                if item.0.is_empty() {
                    item.0 = item_text(&event["item"]);
                }
                item.2 = event["item"].clone();
            }
            _ => {}
        }
    }
    let mut said = Said::default();
    for (text, pieces, item) in items.into_values() {
        said.text += &text;
        said.reasoning += &item_reasoning(&item);
        said.token_of_reasoning(&item);
        if item["type"] == "function_call" {
            let pieces = if pieces.is_empty() { arguments(&item["arguments"]) } else { pieces };
            said.call(&item["name"], &pieces);
        }
    }
    said
}

fn item_reasoning(item: &Value) -> String {
    let texts = |field: &str| -> Vec<&str> {
        let pieces = item[field].as_array().map(Vec::as_slice).unwrap_or_default();
        pieces.iter().filter_map(|piece| piece["text"].as_str()).collect()
    };
    match item["type"].as_str() {
        Some("reasoning") if texts("summary").is_empty() => texts("content").concat(),
        Some("reasoning") => texts("summary").join("\n\n"),
        _ => String::new(),
    }
}

fn item_text(item: &Value) -> String {
    if item["type"] != "message" {
        return String::new();
    }
    let parts = item["content"].as_array().unwrap().iter();
    parts.filter_map(|part| part["text"].as_str().or(part["refusal"].as_str())).collect()
}

/// Prompt and completion tokens that a client reads in a body, or in the last event that has a count.
pub(crate) fn counted(format: WireFormat, body: &str) -> Option<(u64, u64)> {
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let last =
        events.filter_map(|data| serde_json::from_str::<Value>(data).ok()).fold(None, |last, event| {
            let places = ["/usage", "/response/usage", "/usageMetadata"];
            let count = places.map(|place| event.pointer(place).cloned().unwrap_or_default());
            count.into_iter().find(Value::is_object).or(last)
        });
    let whole = || {
        serde_json::from_str::<Value>(body).ok().map(|body| {
            if body["usageMetadata"].is_object() {
                body["usageMetadata"].clone()
            } else {
                body["usage"].clone()
            }
        })
    };
    let usage = last.or_else(whole)?;
    let count = |field: &str| usage[field].as_u64().unwrap_or(0);
    Some(match format {
        WireFormat::OpenAi => (count("prompt_tokens"), count("completion_tokens")),
        WireFormat::Responses => (count("input_tokens"), count("output_tokens")),
        WireFormat::Gemini => {
            let thoughts = count("thoughtsTokenCount");
            (count("promptTokenCount"), count("candidatesTokenCount") + thoughts)
        }
        WireFormat::Anthropic => {
            let cached = count("cache_creation_input_tokens") + count("cache_read_input_tokens");
            (count("input_tokens") + cached, count("output_tokens"))
        }
        _ => unreachable!("no client speaks it"),
    })
}

fn openai_text(message: &Value) -> String {
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    };
    text + message["refusal"].as_str().unwrap_or_default()
}

/// Plain, or where there is no plain text, in the details.
fn openai_reasoning(message: &Value) -> String {
    let plain = plain_reasoning(message);
    if plain.is_empty() { detailed_reasoning(message) } else { plain }
}

fn detailed_reasoning(message: &Value) -> String {
    let details = message["reasoning_details"].as_array().into_iter().flatten();
    details.filter_map(|detail| detail["text"].as_str().or(detail["summary"].as_str())).collect()
}

fn plain_reasoning(message: &Value) -> String {
    // Mistral's list of parts.
    let parts = message["content"].as_array().into_iter().flatten();
    let thinking = parts.filter_map(|part| part["thinking"].as_array()).flatten();
    let mut text: String = thinking.filter_map(|part| part["text"].as_str()).collect();
    let plain = message["reasoning_content"].as_str().or(message["reasoning"].as_str());
    text += plain.unwrap_or_default();
    text
}

fn arguments(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        object => object.to_string(),
    }
}
