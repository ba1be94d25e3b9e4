//! The usage of an answer whose body nobody holds: the members that say it, in every format.

use domain::Usage;
use serde::de::DeserializeOwned;

use crate::formats::{anthropic, bedrock, cohere, gemini, openai, responses};
use crate::raw_answer::Counts;
use crate::{Members, WireFormat};

/// The members of an unstreamed answer that say what it used; see [`Members`].
pub const COUNTED: &[&str] = &["usage", "usageMetadata"];

/// What a provider of this format has counted, from the [`COUNTED`] members of its answer.
pub fn read_usage(format: WireFormat, members: &Members) -> Option<Usage> {
    let usage = members.get("usage");
    let usage = match format {
        WireFormat::OpenAi => {
            let usage = usage?;
            // Pictures and transcripts are counted under the names of the other API, and rankings have a total alone.
            if usage.contains("\"prompt_tokens\"") {
                Some(read::<openai::UsageFields>(usage)?.usage())
            } else {
                read::<Counts>(usage)?.usage()
            }
        }
        WireFormat::Anthropic => Some(read::<anthropic::UsageFields>(usage?)?.usage()),
        WireFormat::Responses => Some(read::<responses::UsageFields>(usage?)?.usage()),
        WireFormat::Bedrock => Some(read::<bedrock::UsageFields>(usage?)?.usage()),
        WireFormat::Cohere => Some(read::<cohere::UsageFields>(usage?)?.usage()),
        WireFormat::Gemini => read::<gemini::UsageFields>(members.get("usageMetadata")?)?.usage(),
    };
    usage.filter(|usage| !usage.is_empty())
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_in_each_format() {
        for (format, body) in [
            (WireFormat::OpenAi, r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#),
            (
                WireFormat::OpenAi,
                r#"{"data":[],"usage":{"input_tokens":7,"output_tokens":2,"total_tokens":9}}"#,
            ),
            (WireFormat::Anthropic, r#"{"content":[],"usage":{"input_tokens":7,"output_tokens":2}}"#),
            (WireFormat::Responses, r#"{"output":[],"usage":{"input_tokens":7,"output_tokens":2}}"#),
            (WireFormat::Bedrock, r#"{"usage":{"inputTokens":7,"outputTokens":2},"output":{}}"#),
            (WireFormat::Cohere, r#"{"usage":{"billed_units":{"input_tokens":7,"output_tokens":2}}}"#),
            (WireFormat::Gemini, r#"{"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2}}"#),
        ] {
            let mut members = Members::new(COUNTED);
            members.read(body.as_bytes());
            let usage = read_usage(format, &members).map(|usage| (usage.prompt, usage.completion));
            assert_eq!(usage, Some((7, 2)), "{body}");
        }
        let mut members = Members::new(COUNTED);
        members.read(br#"{"id":"file-1","usage":null}"#);
        assert_eq!(read_usage(WireFormat::OpenAi, &members), None);
    }
}
