//! Looks at an answer or event that is passed on unchanged: is it whole, has content begun, has it
//! finished, what was used. Nothing is copied or allocated on the way.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use domain::Usage;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::UsageFields;
use crate::ProviderError;
use crate::formats::raw::{is_filled, offset_in, text_of};
use crate::provider_error::read_error_value;

/// What one event says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Probe<'a> {
    /// A token, a tool call or reasoning is in it.
    pub(crate) content: bool,
    /// A choice has finished.
    pub(crate) finished: bool,
    /// It has no choice.
    pub(crate) is_empty: bool,
    /// Text of the only choice.
    pub(crate) text: Option<Cow<'a, str>>,
    /// A tool call, a refusal, sound or another choice is in it.
    pub(crate) closes: bool,
    /// Cumulative usage and where its object lies in the data; a length of zero when it lies deeper.
    pub(crate) usage: Option<(Usage, Range<usize>)>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Choices<'a>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Extension<'a>>,
}

/// Groq repeats the usage here, and gives it here even when it was not asked for.
#[derive(Deserialize)]
struct Extension<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Default)]
struct Choices<'a> {
    any: bool,
    content: bool,
    text: Option<&'a RawValue>,
    closes: bool,
    finished: bool,
    // Moonshot puts the usage into the choice.
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

impl Delta<'_> {
    fn has_content(&self) -> bool {
        [
            self.content,
            self.tool_calls,
            self.function_call,
            self.refusal,
            self.reasoning,
            self.reasoning_content,
            self.reasoning_details,
            self.audio,
        ]
        .into_iter()
        .any(is_filled)
    }
}

impl Choice<'_> {
    /// Nobody can go on behind it.
    fn closes(&self) -> bool {
        let delta = self.delta.as_ref();
        let other = delta.is_some_and(|delta| {
            [delta.tool_calls, delta.function_call, delta.refusal, delta.audio].into_iter().any(is_filled)
        });
        other || self.index.unwrap_or(0) != 0 || is_filled(self.text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Choices<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Choices::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut seen = Choices::default();
                while let Some(choice) = list.next_element::<Choice<'de>>()? {
                    seen.any = true;
                    seen.closes |= choice.closes();
                    seen.text = choice.delta.as_ref().and_then(|delta| delta.content).or(seen.text);
                    seen.content |=
                        choice.delta.is_some_and(|delta| delta.has_content()) || is_filled(choice.text);
                    seen.finished |= is_filled(choice.finish_reason);
                    seen.usage = choice.usage.or(seen.usage);
                }
                Ok(seen)
            }
        }
        deserializer.deserialize_any(List)
    }
}

/// Probes the data of one event that is not `[DONE]`.
///
/// # Errors
/// `Err(Ok(error))` is an error the provider reports, `Err(Err(reason))` data that is no chunk.
pub(crate) fn probe_event(data: &str) -> Result<Probe<'_>, Result<ProviderError, String>> {
    require_object(data).map_err(Err)?;
    let chunk: Chunk<'_> =
        serde_json::from_str(data).map_err(|error| Err(format!("an event is not a chunk: {error}")))?;
    if let Some(error) = chunk.error.filter(|error| is_filled(Some(error))) {
        return Err(Ok(read_error(error)));
    }
    let usage = match (chunk.usage, chunk.choices.usage, chunk.x_groq.and_then(|extension| extension.usage)) {
        (Some(raw), _, _) => {
            let start = offset_in(data, raw);
            count(raw).map(|usage| (usage, start..start + raw.get().len()))
        }
        (None, Some(raw), _) | (None, None, Some(raw)) => count(raw).map(|usage| (usage, 0..0)),
        (None, None, None) => None,
    };
    Ok(Probe {
        content: chunk.choices.content,
        finished: chunk.choices.finished,
        is_empty: !chunk.choices.any,
        text: chunk.choices.text.and_then(text_of).filter(|text| !text.is_empty()),
        closes: chunk.choices.closes,
        usage,
    })
}

/// Probes a whole answer for its usage.
///
/// # Errors
/// The reason, when it is not a JSON object, cut short, or an error.
pub(crate) fn probe_answer(body: &str) -> Result<Option<Usage>, String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        choices: Option<IgnoredAny>,
        data: Option<IgnoredAny>,
    }
    require_object(body)?;
    let body: Body<'_> =
        serde_json::from_str(body).map_err(|error| format!("the answer is not valid: {error}"))?;
    if let Some(error) = body.error.filter(|error| is_filled(Some(error))) {
        return Err(format!("the answer is an error: {}", read_error(error).message));
    }
    if body.choices.is_none() && body.data.is_none() {
        return Err("the answer has neither `choices` nor `data`".to_owned());
    }
    Ok(body.usage.and_then(count))
}

fn require_object(text: &str) -> Result<(), String> {
    // Serde would take a list for a struct.
    if text.trim_ascii_start().starts_with('{') { Ok(()) } else { Err("not a JSON object".to_owned()) }
}

fn count(raw: &RawValue) -> Option<Usage> {
    serde_json::from_str::<UsageFields>(raw.get()).ok().map(|fields| fields.usage())
}

fn read_error(raw: &RawValue) -> ProviderError {
    let error: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    read_error_value(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(data: &str) -> Probe<'_> {
        probe_event(data).unwrap()
    }

    #[test]
    fn a_role_alone_is_no_content() {
        let probe = probe(
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        );
        assert_eq!(probe, Probe::default());
    }

    #[test]
    fn text_tool_calls_and_reasoning_are_content() {
        for delta in [
            r#"{"content":"\n"}"#,
            r#"{"tool_calls":[{"index":0}]}"#,
            r#"{"reasoning_content":"hm"}"#,
            r#"{"content":[{"type":"text","text":"x"}]}"#,
        ] {
            assert!(probe(&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#)).content, "{delta}");
        }
        assert!(probe(r#"{"choices":[{"text":"x"}]}"#).content);
    }

    #[test]
    fn usage_is_found_at_the_top_in_the_choice_and_in_groqs_extension() {
        let data = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let found = probe(data);
        let (usage, span) = found.usage.clone().unwrap();
        assert_eq!((usage.prompt, usage.completion, found.is_empty), (1, 2, true));
        assert_eq!(&data[span], r#"{"prompt_tokens":1,"completion_tokens":2}"#);
        assert!(probe(r#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#).usage.is_some());
        assert!(probe(r#"{"choices":[],"x_groq":{"id":"r","usage":{"prompt_tokens":1}}}"#).usage.is_some());
        assert!(probe(r#"{"choices":[],"usage":null}"#).usage.is_none());
    }

    #[test]
    fn an_error_event_is_the_providers_and_a_broken_one_is_malformed() {
        let error = probe_event(r#"{"error":{"message":"overloaded","code":502},"choices":[]}"#)
            .unwrap_err()
            .unwrap();
        assert_eq!((error.message.as_str(), error.code.as_deref()), ("overloaded", Some("502")));
        for data in ["{\"choices\":[", "[]", "hello", "{\"choices\":3}"] {
            assert!(probe_event(data).unwrap_err().is_err(), "{data}");
        }
        assert!(probe_event(r#"{"error":null,"choices":[]}"#).is_ok());
    }

    #[test]
    fn a_whole_answer_is_an_object_with_choices_or_data() {
        assert_eq!(probe_answer(r#"{"choices":[],"usage":{"prompt_tokens":3}}"#).unwrap().unwrap().prompt, 3);
        assert_eq!(probe_answer(r#"{"data":[]}"#), Ok(None));
        for body in ["", "[]", "{\"choices\":[{", "{}", r#"{"error":{"message":"x"},"choices":[]}"#] {
            assert!(probe_answer(body).is_err(), "{body}");
        }
    }
}
