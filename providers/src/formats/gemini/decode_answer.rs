//! A whole Gemini answer, read into the neutral form.

use super::finish::{failure, read_finish};
use super::logprobs::decode_logprobs;
use super::piece::{CallIds, Candidate, Piece, Response, read_part};
use crate::canonical::{ChatAnswer, Choice, Finish, Part};

/// Reads an answer's body. A prompt that was blocked is an answer that the filter ended.
///
/// # Errors
/// The reason, when there is no answer, when the model failed, or when the body has another shape.
pub(crate) fn decode_answer(body: &str) -> Result<ChatAnswer, String> {
    let body: Response =
        serde_json::from_str(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    let blocked = body.is_blocked();
    let id = body.response_id.unwrap_or_default();
    let mut ids = CallIds::of_response(&id);
    let mut choices = Vec::new();
    for candidate in body.candidates.unwrap_or_default() {
        choices.push(decode_candidate(candidate, &mut ids)?);
    }
    if blocked {
        let (finish, stop_sequence, logprobs) = (Finish::ContentFilter, None, None);
        choices.push(Choice { parts: Vec::new(), finish, stop_sequence, logprobs });
    }
    if choices.is_empty() {
        return Err("the answer has no candidate".to_owned());
    }
    Ok(ChatAnswer {
        id,
        model: body.model_version.unwrap_or_default(),
        choices,
        usage: body.usage_metadata.and_then(|fields| fields.usage()).unwrap_or_default(),
    })
}

fn decode_candidate(candidate: Candidate, ids: &mut CallIds) -> Result<Choice, String> {
    let mut pieces = Vec::new();
    for part in candidate.content.unwrap_or_default().parts.unwrap_or_default() {
        read_part(part, ids, &mut pieces);
    }
    let finish = match candidate.finish_reason.as_deref() {
        Some(reason) => {
            read_finish(reason).ok_or_else(|| failure(reason, candidate.finish_message.as_deref()))?
        }
        None if pieces.is_empty() => return Err("the answer has neither content nor an end".to_owned()),
        None => Finish::Stop,
    };
    let has_calls = pieces.iter().any(|piece| matches!(piece, Piece::Call { .. }));
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => parts.push(Part::text(text)),
            Piece::Thought(text) => parts.push(Part::Reasoning { text, signature: None }),
            Piece::Signature(signed) => match parts.last_mut() {
                Some(Part::Reasoning { signature: signature @ None, .. }) => *signature = Some(signed),
                _ => parts.push(Part::Reasoning { text: String::new(), signature: Some(signed) }),
            },
            Piece::Call { id, name, arguments } => parts.push(Part::ToolCall { id, name, arguments }),
        }
    }
    Ok(Choice {
        parts,
        finish: finish.with_calls(has_calls),
        stop_sequence: None,
        logprobs: candidate.logprobs_result.as_ref().map(decode_logprobs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_prompt_is_the_filters_end_and_no_candidate_is_no_answer() {
        let blocked = decode_answer(
            r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":8}}"#,
        )
        .unwrap();
        assert_eq!((blocked.choices[0].finish, blocked.usage.prompt), (Finish::ContentFilter, 8));
        for body in ["{}", r#"{"candidates":[]}"#, r#"{"candidates":[{"index":0}]}"#, "[]"] {
            assert!(decode_answer(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_failure_of_the_model_is_an_error_and_every_filter_is_one_end() {
        let finish = |reason: &str| {
            decode_answer(&format!(
                r#"{{"candidates":[{{"finishReason":"{reason}","finishMessage":"why"}}]}}"#
            ))
            .map(|answer| answer.choices[0].finish)
        };
        assert_eq!(
            finish("MALFORMED_FUNCTION_CALL"),
            Err("the model's answer failed (MALFORMED_FUNCTION_CALL): why".to_owned())
        );
        for reason in ["SAFETY", "RECITATION", "SPII", "BLOCKLIST", "OTHER", "LANGUAGE", "NEW_ONE"] {
            assert_eq!(finish(reason), Ok(Finish::ContentFilter), "{reason}");
        }
        assert_eq!((finish("STOP"), finish("MAX_TOKENS")), (Ok(Finish::Stop), Ok(Finish::Length)));
    }

    #[test]
    fn calls_without_an_id_get_one_that_no_other_answer_has() {
        let ids = |response: &str| {
            let body = format!(
                r#"{{"responseId":"{response}","candidates":[{{"finishReason":"STOP","content":{{"parts":[
                   {{"functionCall":{{"name":"f"}}}},{{"functionCall":{{"name":"f","id":"x"}}}},{{"functionCall":{{"name":"g"}}}}]}}}}]}}"#
            );
            let answer = decode_answer(&body).unwrap();
            assert_eq!(answer.choices[0].finish, Finish::ToolCalls);
            let id = |part: &Part| match part {
                Part::ToolCall { id, .. } => id.clone(),
                other => panic!("{other:?}"),
            };
            answer.choices[0].parts.iter().map(id).collect::<Vec<_>>()
        };
        assert_eq!(ids("a-B_1"), ["call_aB1_0", "x", "call_aB1_2"]);
        assert_eq!(ids(""), ["call_0", "x", "call_2"]);
    }

    #[test]
    fn a_signature_stands_before_the_part_it_signs() {
        let body = r#"{"candidates":[{"finishReason":"STOP","content":{"parts":[{"text":"hm","thought":true},
            {"text":"a"},{"functionCall":{"name":"f"},"thoughtSignature":"s"},{"text":"","thoughtSignature":"t"}]}}]}"#;
        let signed = |value: &str| {
            let signature = Some(crate::canonical::Signature {
                maker: crate::canonical::Maker::Gemini,
                value: value.to_owned(),
            });
            Part::Reasoning { text: String::new(), signature }
        };
        let answer = decode_answer(body).unwrap();
        assert_eq!(
            answer.choices[0].parts,
            [
                Part::Reasoning { text: "hm".to_owned(), signature: None },
                Part::text("a"),
                signed("s"),
                Part::ToolCall { id: "call_0".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() },
                signed("t"),
            ]
        );
    }
}
