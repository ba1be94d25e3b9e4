//! Looks at an answer or event that is passed on unchanged, without copying it.

use std::borrow::Cow;

use domain::Usage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::UsageFields;
use crate::ProviderError;
use crate::formats::raw::{is_filled, text_of};
use crate::provider_error::read_error_value;
use crate::transcript::{BlockKind, Blocks};

/// What one event says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Probe<'a> {
    /// A token, a tool call or reasoning is in it.
    pub(crate) content: bool,
    /// The stop reason is known.
    pub(crate) finished: bool,
    /// It is `message_stop`.
    pub(crate) done: bool,
    /// Text.
    pub(crate) text: Option<Cow<'a, str>>,
    /// A block begins that is neither text nor a thought.
    pub(crate) closes: bool,
    /// How far the blocks have come, when that changes.
    pub(crate) blocks: Option<Blocks>,
    /// Cumulative usage so far.
    pub(crate) usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    index: Option<usize>,
    message: Option<Message>,
    #[serde(borrow)]
    content_block: Option<ContentBlock<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<UsageFields>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct ContentBlock<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
}

impl BlockKind {
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "text" => Some(Self::Text),
            "thinking" => Some(Self::Thinking),
            _ => None,
        }
    }
}

/// Probes the data of one event.
///
/// # Errors
/// `Err(Ok(error))` is an error the provider reports, `Err(Err(reason))` data that is no event.
pub(crate) fn probe_event(data: &str) -> Result<Probe<'_>, Result<ProviderError, String>> {
    if !data.trim_ascii_start().starts_with('{') {
        return Err(Err("an event is not a JSON object".to_owned()));
    }
    let event: Event<'_> =
        serde_json::from_str(data).map_err(|error| Err(format!("an event cannot be read: {error}")))?;
    let mut probe = Probe { usage: event.usage, ..Probe::default() };
    match event.r#type.as_ref() {
        "error" => {
            let error = event.error.and_then(|raw| serde_json::from_str(raw.get()).ok());
            return Err(Ok(read_error_value(&error.unwrap_or(Value::Null))));
        }
        "message_start" => probe.usage = event.message.and_then(|message| message.usage).or(probe.usage),
        "content_block_start" => {
            let open = event.content_block.and_then(|block| BlockKind::of(&block.r#type));
            // A text or thinking block begins empty; any other begins with its name.
            (probe.content, probe.closes) = (open.is_none(), open.is_none());
            probe.blocks = Some(Blocks { done: event.index.unwrap_or(0), open });
        }
        "content_block_delta" => {
            probe.content = true;
            probe.text = event.delta.and_then(|delta| delta.text).and_then(text_of);
        }
        "content_block_stop" => {
            probe.blocks = Some(Blocks { done: event.index.map_or(0, |index| index + 1), open: None });
        }
        "message_delta" => {
            probe.finished = event.delta.is_some_and(|delta| is_filled(delta.stop_reason));
        }
        "message_stop" => probe.done = true,
        _ => {}
    }
    Ok(probe)
}

/// Probes a whole answer for its usage.
///
/// # Errors
/// The reason, when it is not a JSON object, cut short, or an error.
pub(crate) fn probe_answer(body: &str) -> Result<Option<Usage>, String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default, deserialize_with = "crate::optional_text")]
        r#type: Option<Cow<'a, str>>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
        usage: Option<UsageFields>,
    }
    if !body.trim_ascii_start().starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let body: Body<'_> =
        serde_json::from_str(body).map_err(|error| format!("the answer is not valid: {error}"))?;
    if body.r#type.as_deref() == Some("error") || is_filled(body.error) {
        let error = body.error.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let reason = read_error_value(&error.unwrap_or(Value::Null)).message;
        return Err(format!("the answer is an error: {reason}"));
    }
    if body.content.is_none() {
        return Err("the answer has no `content`".to_owned());
    }
    Ok(body.usage.map(|fields| fields.usage()))
}

/// Probes the answer to a count.
///
/// # Errors
/// The reason, when it holds no count.
pub(crate) fn probe_count(body: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Count {
        #[serde(rename = "input_tokens")]
        _input_tokens: u64,
    }
    serde_json::from_str::<Count>(body)
        .map(|_| ())
        .map_err(|error| format!("the answer holds no count: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_begins_with_a_delta_or_a_tool_block() {
        for (data, content) in [
            (r#"{"type":"ping"}"#, false),
            (r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#, false),
            (
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t"}}"#,
                true,
            ),
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#, true),
        ] {
            assert_eq!(probe_event(data).unwrap().content, content, "{data}");
        }
    }

    #[test]
    fn the_stop_reason_and_the_end_are_seen() {
        let data =
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}"#;
        let probe = probe_event(data).unwrap();
        assert!(probe.finished && !probe.done);
        assert_eq!(probe.usage.unwrap().usage().completion, 4);
        assert!(probe_event(r#"{"type":"message_stop"}"#).unwrap().done);
    }

    #[test]
    fn an_error_event_is_the_providers_and_a_broken_one_is_malformed() {
        let data = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let error = probe_event(data).unwrap_err().unwrap();
        assert_eq!((error.message.as_str(), error.kind.as_deref()), ("Overloaded", Some("overloaded_error")));
        for data in ["{\"type\":", "{}", "[]", ""] {
            assert!(probe_event(data).unwrap_err().is_err(), "{data}");
        }
    }

    #[test]
    fn a_whole_answer_has_content_and_is_no_error() {
        let usage = probe_answer(r#"{"content":[],"usage":{"input_tokens":2,"output_tokens":1}}"#).unwrap();
        assert_eq!(usage.unwrap().prompt, 2);
        for body in
            ["{}", "[", r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#, "{\"content\":["]
        {
            assert!(probe_answer(body).is_err(), "{body}");
        }
    }
}
