//! Looks at an answer or event that is passed on unchanged, without copying it.

use domain::Usage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::usage::UsageFields;
use crate::ProviderError;
use crate::formats::raw::{is_filled, text_of};
use crate::provider_error::read_error_value;

/// What one event says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Text, a tool call, a thought or a picture is in it.
    pub(crate) content: bool,
    /// A candidate has finished, or the prompt was blocked.
    pub(crate) finished: bool,
    /// Text that is no thought.
    pub(crate) text: String,
    /// Something other than text, or another candidate, is in it.
    pub(crate) closes: bool,
    /// Cumulative usage so far.
    pub(crate) usage: Option<UsageFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<PromptFeedback<'a>>,
    usage_metadata: Option<UsageFields>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    // The answer to a count of tokens.
    total_tokens: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    thought: bool,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow)]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow)]
    code_execution_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback<'a> {
    #[serde(borrow)]
    block_reason: Option<&'a RawValue>,
}

impl Candidate<'_> {
    fn parts(&self) -> &[Part<'_>] {
        self.content.as_ref().and_then(|content| content.parts.as_deref()).unwrap_or_default()
    }

    fn has_content(&self) -> bool {
        self.parts().iter().any(|part| {
            [
                part.text,
                part.function_call,
                part.inline_data,
                part.executable_code,
                part.code_execution_result,
            ]
            .into_iter()
            .any(is_filled)
        })
    }
}

/// Probes the data of one event.
///
/// # Errors
/// `Err(Ok(error))` is an error the provider reports, `Err(Err(reason))` data that is no response.
pub(crate) fn probe_event(data: &str) -> Result<Probe, Result<ProviderError, String>> {
    if !data.trim_ascii_start().starts_with('{') {
        return Err(Err("an event is not a JSON object".to_owned()));
    }
    let event: Event<'_> =
        serde_json::from_str(data).map_err(|error| Err(format!("an event cannot be read: {error}")))?;
    if let Some(error) = event.error.filter(|error| is_filled(Some(error))) {
        return Err(Ok(read_error(error)));
    }
    let candidates = event.candidates.unwrap_or_default();
    let blocked = event.prompt_feedback.is_some_and(|feedback| is_filled(feedback.block_reason));
    let parts = || candidates.iter().flat_map(Candidate::parts);
    Ok(Probe {
        text: parts().filter(|part| !part.thought).filter_map(|part| text_of(part.text?)).collect(),
        closes: candidates.len() > 1 || parts().any(|part| part.text.is_none()),
        content: candidates.iter().any(Candidate::has_content),
        finished: blocked || candidates.iter().any(|candidate| is_filled(candidate.finish_reason)),
        usage: event.usage_metadata,
    })
}

/// Probes a whole answer, or a count of tokens, for its usage.
///
/// # Errors
/// The reason, when it is not a JSON object, cut short, or an error.
pub(crate) fn probe_answer(body: &str) -> Result<Option<Usage>, String> {
    if !body.trim_ascii_start().starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let answer: Event<'_> =
        serde_json::from_str(body).map_err(|error| format!("the answer is not valid: {error}"))?;
    if let Some(error) = answer.error.filter(|error| is_filled(Some(error))) {
        return Err(format!("the answer is an error: {}", read_error(error).message));
    }
    if answer.candidates.is_none() && answer.prompt_feedback.is_none() && answer.total_tokens.is_none() {
        return Err("the answer has neither `candidates` nor `promptFeedback`".to_owned());
    }
    Ok(answer.usage_metadata.and_then(|fields| fields.usage()))
}

fn read_error(raw: &RawValue) -> ProviderError {
    let error: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    read_error_value(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_calls_and_thoughts_are_content_and_a_signature_alone_is_none() {
        for (part, content) in [
            (r#"{"text":"x"}"#, true),
            (r#"{"text":"hm","thought":true}"#, true),
            (r#"{"functionCall":{"name":"f"}}"#, true),
            (r#"{"text":"","thoughtSignature":"s"}"#, false),
            (r#"{"text":""}"#, false),
        ] {
            let data = format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}}}}]}}"#);
            assert_eq!(probe_event(&data).unwrap().content, content, "{part}");
        }
        assert!(!probe_event(r#"{"usageMetadata":{}}"#).unwrap().content);
    }

    #[test]
    fn an_end_a_blocked_prompt_and_the_usage_are_seen() {
        let probe =
            probe_event(r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3}}"#);
        let probe = probe.unwrap();
        assert!(probe.finished);
        assert_eq!(probe.usage.unwrap().usage().unwrap().prompt, 3);
        assert!(probe_event(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#).unwrap().finished);
        assert!(!probe_event(r#"{"candidates":[{"content":{}}]}"#).unwrap().finished);
    }

    #[test]
    fn an_error_event_is_the_providers_and_a_broken_one_is_malformed() {
        let error = probe_event(r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#);
        let error = error.unwrap_err().unwrap();
        assert_eq!((error.message.as_str(), error.kind.as_deref()), ("busy", Some("UNAVAILABLE")));
        for data in ["{\"candidates\":", "[]", "", "{\"candidates\":7}"] {
            assert!(probe_event(data).unwrap_err().is_err(), "{data}");
        }
    }

    #[test]
    fn a_whole_answer_has_candidates_or_says_why_not() {
        assert_eq!(probe_answer(r#"{"totalTokens":4}"#), Ok(None));
        assert_eq!(probe_answer(r#"{"promptFeedback":{"blockReason":"OTHER"}}"#), Ok(None));
        for body in ["", "[]", "{}", r#"{"error":{"message":"x"},"candidates":[]}"#, "{\"candidates\":["] {
            assert!(probe_answer(body).is_err(), "{body}");
        }
    }
}
