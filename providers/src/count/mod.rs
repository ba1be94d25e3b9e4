//! Counts the tokens of a request without asking the provider: for `count_tokens`, for limits, and for
//! answers that broke off before their usage came. Reads the body's JSON by the names that all formats
//! use and refuses nothing: what it does not know is counted as text.

mod declaration;
mod family;
mod picture;
mod tokenizer;

use serde_json::{Map, Value};

use crate::Operation;
use family::{Family, Kind, family};
use tokenizer::tokens;

/// About how many tokens the prompt of this request has for `model`, the provider's name of it: system
/// text, messages, tools and their calls and results, answer format, pictures and documents. 0 for a body
/// that is no JSON object.
///
/// An estimate: close for OpenAI's models and for Claude (see tests/recordings for the bounds), coarser
/// for others. The first call takes a quarter of a second (it builds the tokenizer), later ones about
/// 20 µs for each kilobyte of text.
pub fn count_tokens(operation: Operation, model: &str, body: &[u8]) -> u64 {
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(body) else { return 0 };
    let mut count = Count { family: family(model), text: 0, extra: 0 };
    match operation {
        Operation::ChatCompletions | Operation::Messages | Operation::CountTokens => count.chat(&body),
        Operation::Responses => count.responses(&body),
        Operation::GenerateContent | Operation::StreamGenerateContent | Operation::GeminiCountTokens => {
            count.gemini(&body);
        }
        Operation::Completions => count.strings(body.get("prompt").unwrap_or(&Value::Null)),
        Operation::Embeddings | Operation::Moderations | Operation::AudioSpeech => {
            count.strings(body.get("input").unwrap_or(&Value::Null));
        }
        Operation::ImagesGenerations => count.strings(body.get("prompt").unwrap_or(&Value::Null)),
        Operation::Rerank => {
            count.strings(body.get("query").unwrap_or(&Value::Null));
            count.strings(body.get("documents").unwrap_or(&Value::Null));
        }
        // Recordings, which have no text yet.
        Operation::AudioTranscriptions | Operation::AudioTranslations => {}
    }
    count.total()
}

/// About how many tokens a text has for `model`; for an answer that broke off.
pub fn count_text(model: &str, text: &str) -> u64 {
    Count { family: family(model), text: tokens(text), extra: 0 }.total()
}

struct Count {
    family: Family,
    /// Tokens of the yardstick.
    text: u64,
    /// Tokens of the family itself.
    extra: u64,
}

impl Count {
    fn total(&self) -> u64 {
        self.text.saturating_mul(self.family.text).saturating_add(500) / 1_000 + self.extra
    }

    fn chat(&mut self, body: &Map<String, Value>) {
        self.extra += self.family.prompt;
        if let Some(system) = body.get("system") {
            self.extra += self.family.system;
            self.content(system);
        }
        let mut turns = 0;
        let mut last = "";
        for message in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            // Claude's instructions stand apart, and its tool results are turns of the user.
            let role = if role == "tool" { "user" } else { role };
            let apart = matches!(role, "system" | "developer");
            if self.family.kind != Kind::Claude || (!apart && role != last) {
                turns += 1;
            }
            last = if apart { last } else { role };
            self.message(message);
        }
        // The first turn is in the constant of the prompt.
        let free = u64::from(self.family.kind == Kind::Claude);
        self.extra += self.family.message * u64::saturating_sub(turns, free);
        self.tools(body);
        self.format(body);
        let thinking = body.get("thinking").and_then(|thinking| thinking.get("type"));
        if thinking.is_some_and(|kind| kind == "enabled") {
            self.extra += self.family.thinking;
        }
    }

    /// Texts, calls and results wherever they stand; `generateContentRequest` holds a whole request to count.
    fn gemini(&mut self, body: &Map<String, Value>) {
        let whole = body.get("generateContentRequest").and_then(Value::as_object).unwrap_or(body);
        self.extra += self.family.prompt;
        for field in ["systemInstruction", "contents", "tools"] {
            self.strings(whole.get(field).unwrap_or(&Value::Null));
        }
    }

    /// Items of a conversation, each with its own shape; what has none of a message's is counted as text.
    fn responses(&mut self, body: &Map<String, Value>) {
        self.extra += self.family.prompt;
        self.strings(body.get("instructions").unwrap_or(&Value::Null));
        match body.get("input") {
            Some(Value::Array(items)) => {
                for item in items {
                    self.extra += self.family.message;
                    self.content(item.get("content").unwrap_or(&Value::Null));
                    if item.get("type").is_some_and(|kind| kind == "function_call") {
                        self.call(item.get("name"), item.get("arguments"));
                    }
                    self.strings(item.get("output").unwrap_or(&Value::Null));
                }
            }
            input => self.strings(input.unwrap_or(&Value::Null)),
        }
        self.tools(body);
    }

    fn message(&mut self, message: &Value) {
        self.content(message.get("content").unwrap_or(&Value::Null));
        if message.get("role").is_some_and(|role| role == "tool") {
            self.extra += self.family.result;
        }
        for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            if let Some(function) = call.get("function") {
                self.call(function.get("name"), function.get("arguments"));
            }
        }
    }

    fn content(&mut self, content: &Value) {
        match content {
            Value::String(text) => self.text += tokens(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.part(part)),
            _ => {}
        }
    }

    fn part(&mut self, part: &Value) {
        let text = |path: &str| part.pointer(path).and_then(Value::as_str);
        let kind = self.family.kind;
        match text("/type").unwrap_or_default() {
            "image" => self.extra += picture::picture(text("/source/data"), kind),
            "image_url" => {
                let url = text("/image_url/url").or(text("/image_url"));
                let payload = url.and_then(|url| url.split_once(";base64,")).map(|(_, payload)| payload);
                self.extra += picture::picture(payload, kind);
            }
            "document" if text("/source/type") == Some("text") => {
                self.text += text("/source/data").map_or(0, tokens);
            }
            "document" => self.extra += picture::document(text("/source/data")),
            "file" => self.extra += picture::document(text("/file/file_data")),
            "tool_use" => self.call(part.get("name"), part.get("input")),
            "tool_result" => {
                self.extra += self.family.result;
                self.content(part.get("content").unwrap_or(&Value::Null));
            }
            // Earlier thoughts are taken out of the prompt again, and what is sealed has no text.
            "thinking" | "redacted_thinking" => {}
            _ => match text("/text").or(text("/refusal")) {
                Some(text) => self.text += tokens(text),
                None => self.strings(part),
            },
        }
    }

    fn call(&mut self, name: Option<&Value>, arguments: Option<&Value>) {
        self.extra += self.family.call;
        self.text += name.and_then(Value::as_str).map_or(0, tokens);
        self.text += match arguments {
            Some(Value::String(text)) => tokens(text),
            Some(object) => tokens(&object.to_string()),
            None => 0,
        };
    }

    fn tools(&mut self, body: &Map<String, Value>) {
        let Some(tools) = body.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty())
        else {
            return;
        };
        if self.family.kind == Kind::OpenAi {
            let rendered = declaration::declarations(tools.iter().filter_map(parts_of_tool));
            self.text += tokens(&rendered);
            self.extra += 9;
            return;
        }
        let choice = body.get("tool_choice");
        let word = choice.and_then(|choice| choice.as_str().or(choice.get("type").and_then(Value::as_str)));
        let forced = matches!(word, Some("any" | "required" | "tool" | "function"));
        let one_at_a_time = choice.and_then(|choice| choice.get("disable_parallel_tool_use"));
        self.extra += if forced { self.family.tools_forced } else { self.family.tools };
        if one_at_a_time.is_some_and(|flag| flag == true) {
            self.extra = self.extra.saturating_sub(self.family.one_at_a_time);
        }
        self.extra += self.family.further_tool * (tools.len() as u64 - 1);
        for tool in tools {
            match parts_of_tool(tool) {
                Some((name, description, schema)) => {
                    self.text += tokens(name) + description.map_or(0, tokens);
                    self.text += schema.map_or(0, |schema| tokens(&schema.to_string()));
                }
                None => self.text += tokens(&tool.to_string()),
            }
        }
    }

    fn format(&mut self, body: &Map<String, Value>) {
        let openai = body.get("response_format").and_then(|format| format.pointer("/json_schema/schema"));
        let anthropic = body.get("output_config").and_then(|config| config.pointer("/format/schema"));
        let beta = body.get("output_format").and_then(|format| format.get("schema"));
        if let Some(schema) = openai.or(anthropic).or(beta) {
            self.extra += self.family.format + tokens(&schema.to_string()) * self.family.schema / 1_000;
        }
    }

    /// Every text in it, whatever it is called.
    fn strings(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text += tokens(text),
            Value::Array(items) => items.iter().for_each(|item| self.strings(item)),
            Value::Object(map) => map.values().for_each(|value| self.strings(value)),
            // Prompts of the completions and embeddings API may be lists of tokens.
            Value::Number(_) => self.extra += 1,
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// Name, description and schema of a function, in OpenAI's shape or Anthropic's.
fn parts_of_tool(tool: &Value) -> Option<(&str, Option<&str>, Option<&Value>)> {
    let (tool, schema) = match tool.get("function") {
        Some(function) => (function, function.get("parameters")),
        None => (tool, tool.get("input_schema")),
    };
    Some((tool.get("name")?.as_str()?, tool.get("description").and_then(Value::as_str), schema))
}
