//! Answers of the operations whose bodies are passed on unread: rankings, pictures, sound, transcripts.
//! Looks for what was counted in those that are JSON, and for nothing else.

use bytes::Bytes;
use domain::Usage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::formats::tokens::count;
use crate::provider_error::read_error_value;
use crate::{Answer, MalformedAnswer};

#[derive(Deserialize)]
struct Body {
    usage: Option<Value>,
    error: Option<Value>,
}

/// The names of both of OpenAI's APIs; those who rank give nothing but a total.
#[derive(Deserialize)]
pub(crate) struct Counts {
    #[serde(default, alias = "input_tokens", deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(default, alias = "output_tokens", deserialize_with = "count")]
    completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    total_tokens: Option<u64>,
}

/// Reads the body of a 2xx answer; it comes out unchanged.
///
/// # Errors
/// When it is empty, JSON cut short, or an error in disguise.
pub(crate) fn decode(body: Bytes) -> Result<Answer, MalformedAnswer> {
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return Err("the answer is empty".to_owned().into());
    }
    // Sound, subtitles and plain transcripts are no JSON.
    if !start.starts_with(b"{") {
        return Ok(Answer { body, usage: None });
    }
    let Ok(read) = serde_json::from_slice::<Body>(&body) else {
        // A transcript may begin with a brace; only JSON that has no end is an answer cut short.
        let cut = serde_json::from_slice::<IgnoredAny>(&body).err().is_some_and(|error| error.is_eof());
        let whole = Answer { body, usage: None };
        return if cut { Err("the answer is cut short".to_owned().into()) } else { Ok(whole) };
    };
    if let Some(error) = read.error.filter(|error| !error.is_null()) {
        return Err(read_error_value(&error).message.into());
    }
    let counts = read.usage.and_then(|usage| serde_json::from_value::<Counts>(usage).ok());
    Ok(Answer { body, usage: counts.and_then(|counts| counts.usage()) })
}

impl Counts {
    pub(crate) fn usage(&self) -> Option<Usage> {
        let completion = self.completion_tokens.unwrap_or(0);
        // Mistral counts the sound it was given in the total alone.
        let rest = self.total_tokens.unwrap_or(0).saturating_sub(completion);
        let prompt = self.prompt_tokens.unwrap_or(0).max(rest);
        let usage = Usage { prompt, completion, ..Usage::default() };
        (!usage.is_empty()).then_some(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(body: &'static str) -> Option<(u64, u64)> {
        let answer = decode(Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(answer.body, body);
        answer.usage.map(|usage| (usage.prompt, usage.completion))
    }

    #[test]
    fn usage_is_found_under_each_of_its_names() {
        for (body, expected) in [
            (r#"{"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}}"#, Some((7, 0))),
            (r#"{"data":[],"usage":{"total_tokens":57}}"#, Some((57, 0))),
            (r#"{"usage":{"type":"tokens","input_tokens":3,"output_tokens":4}}"#, Some((3, 4))),
            (r#"{"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":9}}"#, Some((7, 2))),
            (r#"{"usage":{"type":"duration","seconds":9}}"#, None),
            (r#"{"id":"x","meta":{"billed_units":{"search_units":1}}}"#, None),
        ] {
            assert_eq!(usage(body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_read() {
        for body in [&b"ID3\x04\xff\xfb"[..], b"1\n00:00 --> 00:01\nhello\n", b"{laughs} hello"] {
            let answer = decode(Bytes::from_static(body)).unwrap();
            assert_eq!((answer.body, answer.usage), (Bytes::from_static(body), None));
        }
    }

    #[test]
    fn a_failed_answer_is_no_success() {
        for body in ["", " ", r#"{"error":{"message":"no"}}"#, r#"{"data":["#] {
            assert!(decode(Bytes::from_static(body.as_bytes())).is_err(), "{body}");
        }
    }
}
