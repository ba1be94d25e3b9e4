//! What an answer says, read in the plainest way and independently of the crate: its text and its
//! tool calls.

use providers::WireFormat;
use serde_json::Value;

/// Text, and name and arguments of each tool call in order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    text: String,
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
                for call in message["tool_calls"].as_array().unwrap_or(&Vec::new()) {
                    said.call(&call["function"]["name"], &arguments(&call["function"]["arguments"]));
                }
            }
            WireFormat::Anthropic => {
                for block in body["content"].as_array().unwrap() {
                    match block["type"].as_str().unwrap() {
                        "text" => said.text += block["text"].as_str().unwrap(),
                        "tool_use" => said.call(&block["name"], &block["input"].to_string()),
                        _ => {}
                    }
                }
            }
            WireFormat::Gemini => said.candidates(&body),
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
            WireFormat::Gemini => events.fold(Self::default(), |mut said, event| {
                said.candidates(&event);
                said
            }),
        }
    }

    /// The same in whole answers and in events. A picture is its address, as in Markdown.
    fn candidates(&mut self, body: &Value) {
        for part in body["candidates"][0]["content"]["parts"].as_array().unwrap_or(&Vec::new()) {
            if part["thought"] == true {
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

    fn call(&mut self, name: &Value, arguments: &str) {
        let arguments = if arguments.is_empty() { "{}" } else { arguments };
        self.calls.push((name.as_str().unwrap().to_owned(), serde_json::from_str(arguments).unwrap()));
    }
}

fn openai_stream(events: impl Iterator<Item = Value>) -> Said {
    let mut said = Said::default();
    let mut calls: Vec<(Value, Value, String)> = Vec::new();
    for event in events {
        let delta = &event["choices"][0]["delta"];
        said.text += &openai_text(delta);
        for call in delta["tool_calls"].as_array().unwrap_or(&Vec::new()) {
            let key =
                if call["id"].is_string() && call["id"] != "" { call["id"].clone() } else { Value::Null };
            let same = calls.last().is_some_and(|(last, ..)| key.is_null() || *last == key);
            if !same {
                calls.push((key, call["function"]["name"].clone(), String::new()));
            }
            calls.last_mut().unwrap().2 += &arguments(&call["function"]["arguments"]);
        }
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
            "content_block_start" => said.text += block["text"].as_str().unwrap_or_default(),
            "content_block_delta" => {
                said.text += delta["text"].as_str().unwrap_or_default();
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

fn openai_text(message: &Value) -> String {
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    };
    text + message["refusal"].as_str().unwrap_or_default()
}

fn arguments(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        object => object.to_string(),
    }
}
