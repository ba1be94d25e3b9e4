//! What is read and written again says the same: several choices, log probabilities, signed and sealed
//! reasoning, in whole answers and in streams.

use bytes::BytesMut;
use domain::Usage;
use serde_json::json;

use super::{StreamDecoder, StreamEncoder, decode_answer, encode_answer};
use crate::canonical::{ChatAnswer, Choice, Finish, Maker, Part, Signature, StreamEvent};

fn signature(maker: Maker, value: &str) -> Signature {
    Signature { maker, value: value.to_owned() }
}

fn reasoning(text: &str, signature: Option<Signature>) -> Part {
    Part::Reasoning { text: text.to_owned(), signature }
}

fn call(id: &str) -> Part {
    Part::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() }
}

#[test]
fn a_whole_answer_of_two_choices_survives() {
    let first = Choice {
        parts: vec![
            reasoning("Look.", Some(signature(Maker::Anthropic, "s"))),
            Part::SealedReasoning(signature(Maker::OpenAi, "d")),
            reasoning("Ask.", None),
            Part::text("ok"),
            reasoning("", Some(signature(Maker::Gemini, "g"))),
            call("a"),
            call("b"),
        ],
        finish: Finish::ToolCalls,
        stop_sequence: None,
        logprobs: Some(vec![
            json!({ "token": "ok", "logprob": -0.1, "bytes": [111, 107], "top_logprobs": [] }),
        ]),
    };
    let second = Choice {
        parts: vec![reasoning("Plain.", None), Part::text("no")],
        finish: Finish::Length,
        stop_sequence: None,
        logprobs: None,
    };
    let usage = Usage { prompt: 9, completion: 5, cached: 4, cache_write: 2, reasoning: 1 };
    let answer =
        ChatAnswer { id: "c".to_owned(), model: "m".to_owned(), choices: vec![first, second], usage };
    let body = String::from_utf8(encode_answer(&answer)).unwrap();
    assert_eq!(decode_answer(&body).unwrap(), answer, "{body}");
}

fn streamed(events: &[StreamEvent]) -> Vec<StreamEvent> {
    let mut encoder = StreamEncoder::new(true, None);
    let mut bytes = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event.clone(), &mut bytes));
    let mut decoder = StreamDecoder::default();
    let mut out = Vec::new();
    for data in std::str::from_utf8(&bytes).unwrap().lines().filter_map(|line| line.strip_prefix("data: ")) {
        decoder.decode(data, &mut out).unwrap();
    }
    out
}

#[test]
fn a_stream_of_two_mixed_choices_survives() {
    let text = |text: &str| StreamEvent::Text(text.to_owned());
    let arguments = |text: &str| StreamEvent::Arguments(text.to_owned());
    let tool = |id: &str| StreamEvent::ToolCall { id: id.to_owned(), name: "f".to_owned() };
    let finish = |finish| StreamEvent::Finish { finish, stop_sequence: None };
    let events = [
        StreamEvent::Start { id: "c".to_owned(), model: "m".to_owned() },
        StreamEvent::Reasoning("Look.".to_owned()),
        StreamEvent::Choice(1),
        text("no"),
        StreamEvent::Logprobs(vec![json!({ "token": "no", "logprob": -1.5 })]),
        StreamEvent::Choice(0),
        StreamEvent::Signature(signature(Maker::Anthropic, "s")),
        StreamEvent::SealedReasoning(signature(Maker::Anthropic, "d")),
        text("ok"),
        StreamEvent::Signature(signature(Maker::Gemini, "g")),
        tool("a"),
        arguments("{"),
        StreamEvent::Choice(1),
        tool("b"),
        arguments("[1"),
        StreamEvent::Choice(0),
        arguments("}"),
        finish(Finish::ToolCalls),
        StreamEvent::Choice(1),
        arguments("]"),
        finish(Finish::ToolCalls),
        StreamEvent::Usage(Usage { prompt: 3, completion: 2, cached: 1, cache_write: 1, reasoning: 1 }),
        StreamEvent::Done,
    ];
    assert_eq!(streamed(&events), events);
}

#[test]
fn a_signature_without_a_tool_call_behind_it_is_not_lost() {
    let gemini = StreamEvent::Signature(signature(Maker::Gemini, "g"));
    let start = StreamEvent::Start { id: "c".to_owned(), model: "m".to_owned() };
    let out = streamed(&[start, StreamEvent::Text("ok".to_owned()), gemini.clone(), StreamEvent::Done]);
    assert!(out.contains(&gemini), "{out:?}");
}

#[test]
fn a_choice_beyond_the_limit_is_no_answer() {
    let mut decoder = StreamDecoder::default();
    let chunk = r#"{"choices":[{"index":4000000000,"delta":{"content":"x"}}]}"#;
    assert!(decoder.decode(chunk, &mut Vec::new()).is_err());
}
