//! Looks at an answer or event that is passed on unchanged, without copying it.

use std::borrow::Cow;

use domain::Usage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::UsageFields;
use crate::ProviderError;
use crate::formats::raw::is_filled;
use crate::provider_error::read_error_value;

/// What one event says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Probe {
    /// A token, a tool call or reasoning is in it.
    pub(crate) content: bool,
    /// The answer has ended; nothing follows.
    pub(crate) ended: bool,
    /// The whole count.
    pub(crate) usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    usage: Option<UsageFields>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

/// Probes the data of one event.
///
/// # Errors
/// `Err(Ok(error))` is an error or a failed answer the provider reports, `Err(Err(reason))` data that
/// is no event.
pub(crate) fn probe_event(data: &str) -> Result<Probe, Result<ProviderError, String>> {
    require_object(data).map_err(Err)?;
    let event: Event<'_> =
        serde_json::from_str(data).map_err(|error| Err(format!("an event cannot be read: {error}")))?;
    let mut probe = Probe::default();
    match event.r#type.as_ref() {
        "error" => {
            let error = event.error.filter(|error| is_filled(Some(error)));
            return Err(Ok(read_error(error.map_or(data, RawValue::get))));
        }
        "response.failed" => {
            let error = event.response.and_then(|response| response.error);
            return Err(Ok(read_error(error.map_or("null", RawValue::get))));
        }
        "response.completed" | "response.incomplete" => {
            probe.ended = true;
            if let Some(response) = event.response {
                if let Some(error) = response.error.filter(|error| is_filled(Some(error))) {
                    return Err(Ok(read_error(error.get())));
                }
                probe.usage = response.usage.map(|fields| fields.usage());
            }
        }
        // A message or reasoning begins empty; any other item begins with its name.
        "response.output_item.added" => {
            probe.content =
                event.item.is_some_and(|item| !matches!(item.r#type.as_ref(), "message" | "reasoning"));
        }
        "response.output_item.done" => probe.content = true,
        kind => probe.content = kind.ends_with(".delta"),
    }
    Ok(probe)
}

/// Probes a whole answer for its usage.
///
/// # Errors
/// The reason, when it is not a JSON object, cut short, or failed.
pub(crate) fn probe_answer(body: &str) -> Result<Option<Usage>, String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        usage: Option<UsageFields>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "crate::optional_text")]
        status: Option<Cow<'a, str>>,
        output: Option<IgnoredAny>,
    }
    require_object(body)?;
    let body: Body<'_> =
        serde_json::from_str(body).map_err(|error| format!("the answer is not valid: {error}"))?;
    if let Some(error) = body.error.filter(|error| is_filled(Some(error))) {
        return Err(format!("the answer is an error: {}", read_error(error.get()).message));
    }
    if body.status.as_deref() == Some("failed") {
        return Err("the answer failed without a reason".to_owned());
    }
    if body.output.is_none() {
        return Err("the answer has no `output`".to_owned());
    }
    Ok(body.usage.map(|fields| fields.usage()))
}

fn require_object(text: &str) -> Result<(), String> {
    // Serde would take a list for a struct.
    if text.trim_ascii_start().starts_with('{') { Ok(()) } else { Err("not a JSON object".to_owned()) }
}

fn read_error(text: &str) -> ProviderError {
    let error: Value = serde_json::from_str(text).unwrap_or_default();
    read_error_value(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_answer_has_its_usage() {
        for kind in ["response.completed", "response.incomplete"] {
            let data = format!(
                r#"{{"type":"{kind}","response":{{"error":null,"usage":{{"input_tokens":3,"output_tokens":4}}}}}}"#
            );
            let probe = probe_event(&data).unwrap();
            let usage = probe.usage.unwrap();
            assert!(probe.ended && !probe.content);
            assert_eq!((usage.prompt, usage.completion), (3, 4));
        }
    }

    #[test]
    fn what_only_announces_is_no_content() {
        for (data, content) in [
            (r#"{"type":"response.created","response":{}}"#, false),
            (r#"{"type":"response.output_item.added","item":{"type":"message"}}"#, false),
            (r#"{"type":"response.output_item.added","item":{"type":"function_call"}}"#, true),
            (r#"{"type":"response.output_text.delta","delta":"x"}"#, true),
        ] {
            assert_eq!(probe_event(data).unwrap().content, content, "{data}");
        }
    }

    #[test]
    fn a_failed_answer_is_an_error_however_it_is_told() {
        for data in [
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"c","message":"m"}}}"#,
            r#"{"type":"error","code":"c","message":"m","param":null}"#,
            r#"{"type":"error","error":{"code":"c","message":"m"}}"#,
        ] {
            let error = probe_event(data).unwrap_err().unwrap();
            assert_eq!((error.message.as_str(), error.code.as_deref()), ("m", Some("c")), "{data}");
        }
        for body in [
            r#"{"status":"failed","error":{"message":"m"},"output":[]}"#,
            r#"{"status":"failed","output":[]}"#,
            "{}",
            "[]",
            r#"{"output":["#,
        ] {
            assert!(probe_answer(body).is_err(), "{body}");
        }
        assert_eq!(probe_answer(r#"{"output":[],"error":null}"#), Ok(None));
    }
}
