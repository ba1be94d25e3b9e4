//! Streams of one format and of two, however they are cut and however they end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy allows these inside test functions only, not in what they share"
)]

use bytes::Bytes;
use domain::Price;
use proptest::prelude::*;
use providers::{AnswerStream, Operation, StreamFault, WireFormat};

const PRICE: Price =
    Price { input: 1_000_000, output: 2_000_000, cached_input: None, cache_write: None, reasoning: None };

const TEXT: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"é"}}]}"#;
const FINISH: &str = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
const DONE: &str = "data: [DONE]";

fn chat(include_usage: bool) -> AnswerStream {
    AnswerStream::new(Operation::ChatCompletions, WireFormat::OpenAi, include_usage, Some(PRICE))
}

fn messages() -> AnswerStream {
    AnswerStream::new(Operation::Messages, WireFormat::Anthropic, false, Some(PRICE))
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn events(events: &[&str]) -> String {
    events.iter().map(|event| format!("{event}\n\n")).collect()
}

/// Everything that comes out for these pieces, with the end of the body.
fn run(mut stream: AnswerStream, pieces: &[&[u8]]) -> (String, Result<(), StreamFault>) {
    let mut out = Vec::new();
    for piece in pieces {
        match stream.feed(Bytes::copy_from_slice(piece)) {
            Ok(bytes) => out.extend(bytes.unwrap_or_default()),
            Err(fault) => return (String::from_utf8(out).unwrap(), Err(fault)),
        }
    }
    let end = stream.finish().map(|tail| out.extend(tail.unwrap_or_default()));
    (String::from_utf8(out).unwrap(), end)
}

#[test]
fn whole_events_of_one_chunk_are_a_slice_of_it() {
    let chunk = bytes(&(events(&[TEXT, FINISH]) + "data: {\"cho"));
    let mut stream = chat(false);
    let out = stream.feed(chunk.clone()).unwrap().unwrap();
    assert_eq!(out.as_ptr(), chunk.as_ptr());
    assert_eq!(out, events(&[TEXT, FINISH]));
    assert_eq!(stream.feed(bytes("ices")).unwrap(), None);
}

#[test]
fn content_usage_and_the_end_are_noticed_as_they_come() {
    let mut stream = chat(true);
    stream
        .feed(bytes(
            ": PROCESSING\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        ))
        .unwrap();
    assert!(!stream.content_started());
    stream.feed(bytes(&events(&[TEXT]))).unwrap();
    assert!(stream.content_started() && stream.usage().is_none());
    stream.feed(bytes(&events(&[FINISH, USAGE]))).unwrap();
    assert_eq!(stream.usage().map(|usage| (usage.prompt, usage.completion)), Some((3, 4)));
    assert!(!stream.is_complete());
    stream.feed(bytes(&events(&[DONE]))).unwrap();
    assert!(stream.is_complete());
    assert_eq!(stream.finish(), Ok(None));
}

#[test]
fn comments_pass_and_id_and_retry_lines_do_not() {
    let input = ": a\n\nid: 7\nretry: 10\n\n: b\nid: 8\n\nid: 9\ndata: {\"choices\":[]}\n\n: c\nevent: x\n\n";
    let (out, _) = run(chat(false), &[input.as_bytes()]);
    assert_eq!(out, ": a\n\n: b\n\ndata: {\"choices\":[]}\n\n: c\n\n");
}

#[test]
fn crlf_and_a_byte_order_mark_are_understood() {
    let input = format!("\u{feff}{TEXT}\r\n\r\n{FINISH}\r\n\r\n{DONE}\r\n\r\n");
    let (out, end) = run(chat(false), &[input.as_bytes()]);
    assert_eq!(out, input.trim_start_matches('\u{feff}'));
    assert_eq!(end, Ok(()));
}

#[test]
fn data_over_several_lines_is_one_event() {
    let input = "data: {\"choices\":\ndata: [],\"usage\":\ndata: {\"prompt_tokens\":1000}}\n\n";
    let mut stream = chat(true);
    let out = stream.feed(bytes(input)).unwrap().unwrap();
    assert_eq!(out, "data: {\"choices\": [],\"usage\": {\"prompt_tokens\":1000,\"cost\":0.001000}}\n\n");
    assert_eq!(stream.usage().unwrap().prompt, 1_000);
}

#[test]
fn the_cost_is_spliced_into_the_usage_and_nothing_else_changes() {
    let input = events(&[TEXT, FINISH, USAGE, DONE]);
    let (out, end) = run(chat(true), &[input.as_bytes()]);
    assert_eq!(out, input.replace("\"completion_tokens\":4}", "\"completion_tokens\":4,\"cost\":0.000011}"));
    assert_eq!(end, Ok(()));
}

/// LiteLLM's usage chunk has one choice with an empty delta.
#[test]
fn a_usage_chunk_with_an_empty_choice_is_one_too() {
    let usage = r#"data: {"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":3}}"#;
    let input = events(&[TEXT, FINISH, usage, DONE]);
    let (out, end) = run(chat(false), &[input.as_bytes()]);
    assert_eq!((out, end), (events(&[TEXT, FINISH, DONE]), Ok(())));
}

#[test]
fn a_usage_chunk_nobody_asked_for_is_counted_but_not_passed_on() {
    let mut stream = chat(false);
    let out = stream.feed(bytes(&events(&[TEXT, FINISH, USAGE, DONE]))).unwrap().unwrap();
    assert_eq!(out, events(&[TEXT, FINISH, DONE]));
    assert_eq!(stream.usage().unwrap().completion, 4);
}

#[test]
fn a_missing_end_marker_is_supplied_after_a_finish_reason() {
    let (out, end) = run(chat(false), &[events(&[TEXT, FINISH]).as_bytes()]);
    assert_eq!((out, end), (events(&[TEXT, FINISH, DONE]), Ok(())));
    let delta =
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}";
    let (out, end) = run(messages(), &[events(&[delta]).as_bytes()]);
    assert!(out.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    assert_eq!(end, Ok(()));
}

#[test]
fn an_end_marker_without_its_blank_line_still_counts() {
    for ending in ["data: [DONE]", "data: [DONE]\n", "data: [DONE]\r\n"] {
        let input = events(&[TEXT, FINISH]) + ending;
        let (out, end) = run(chat(false), &[input.as_bytes()]);
        assert!(
            out.trim_end().ends_with(DONE) && out.ends_with("\n\n") || out.ends_with("\r\n\n"),
            "{out:?}"
        );
        assert_eq!(out.matches(DONE).count(), 1);
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn a_stream_that_breaks_off_is_truncated_and_never_looks_complete() {
    for cut in ["", "data: {\"choices\":[{\"ind", "data: "] {
        let (out, end) = run(chat(false), &[(events(&[TEXT]) + cut).as_bytes()]);
        assert_eq!((out, end), (events(&[TEXT]), Err(StreamFault::Truncated)), "{cut}");
    }
    assert_eq!(run(messages(), &[]).1, Err(StreamFault::Truncated));
}

#[test]
fn a_malformed_event_is_never_passed_on_and_good_ones_before_it_are() {
    let mut stream = chat(false);
    let out = stream.feed(bytes(&events(&[TEXT, "data: {\"choices\":[", FINISH]))).unwrap().unwrap();
    assert_eq!(out, events(&[TEXT]));
    assert!(stream.has_fault());
    assert!(matches!(stream.feed(bytes(&events(&[FINISH]))), Err(StreamFault::Malformed(_))));
    assert!(matches!(stream.finish(), Err(StreamFault::Malformed(_))));
    let (out, end) = run(chat(false), &[b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n"]);
    assert_eq!(out, "");
    assert!(matches!(end, Err(StreamFault::Malformed(_))));
}

#[test]
fn an_error_event_of_the_provider_is_its_error() {
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}";
    for stream in
        [messages(), AnswerStream::new(Operation::ChatCompletions, WireFormat::Anthropic, false, None)]
    {
        let (out, end) = run(stream, &[events(&[overloaded]).as_bytes()]);
        assert_eq!(out, "");
        let Err(StreamFault::Provider(error)) = end else { panic!("{end:?}") };
        assert_eq!((error.message.as_str(), error.kind.as_deref()), ("Overloaded", Some("overloaded_error")));
    }
    let (out, end) = run(
        chat(false),
        &[events(&[TEXT, "data: {\"error\":{\"message\":\"sk-abcdef123456 spent\"}}"]).as_bytes()],
    );
    assert_eq!(out, events(&[TEXT]));
    let Err(StreamFault::Provider(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.message, "[redacted] spent");
}

#[test]
fn an_endless_event_is_too_long() {
    let mut stream = chat(false);
    let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
    let fault = (0..10).find_map(|_| stream.feed(piece.clone()).err());
    assert_eq!(fault, Some(StreamFault::TooLong));
}

#[test]
fn nothing_follows_the_end_marker() {
    let (out, end) = run(chat(false), &[events(&[FINISH, DONE, TEXT, "data: junk"]).as_bytes()]);
    assert_eq!((out, end), (events(&[FINISH, DONE]), Ok(())));
}

#[test]
fn mixed_tool_calls_are_refused_rather_than_reordered() {
    let call = |index: u32, rest: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":{index},{rest}}}]}}}}]}}")
    };
    let first = call(0, "\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}");
    let second = call(1, "\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}");
    let late = call(0, "\"function\":{\"arguments\":\"}\"}");
    let stream = AnswerStream::new(Operation::Messages, WireFormat::OpenAi, false, None);
    let (out, end) = run(stream, &[events(&[&first, &second, &late]).as_bytes()]);
    assert!(out.contains("\"name\":\"g\""));
    assert!(matches!(end, Err(StreamFault::Malformed(_))), "{end:?}");
}

#[test]
fn arguments_that_go_on_after_text_are_refused() {
    let call = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}"#;
    let late = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#;
    let stream = AnswerStream::new(Operation::Messages, WireFormat::OpenAi, false, None);
    let (_, end) = run(stream, &[events(&[call, TEXT, late]).as_bytes()]);
    assert!(matches!(end, Err(StreamFault::Malformed(_))), "{end:?}");
}

#[test]
fn calls_are_told_apart_by_index_by_id_or_by_both() {
    let call = |marks: &str, name: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{{marks}\"function\":{{\"name\":\"{name}\",\"arguments\":\"{{}}\"}}}}]}}}}]}}"
        )
    };
    for (first, second) in [
        ("\"index\":0,\"id\":\"a\",", "\"index\":1,\"id\":\"b\","),
        ("\"index\":0,\"id\":\"a\",", "\"index\":0,\"id\":\"b\","),
        ("\"id\":\"a\",", "\"id\":\"b\","),
        ("\"index\":0,", "\"index\":1,"),
    ] {
        let stream = AnswerStream::new(Operation::Messages, WireFormat::OpenAi, false, None);
        let (out, end) =
            run(stream, &[events(&[&call(first, "f"), &call(second, "g"), FINISH, DONE]).as_bytes()]);
        assert_eq!((out.matches("\"tool_use\",\"id\"").count(), end), (2, Ok(())), "{first} {second}");
        assert!(out.contains("\"stop_reason\":\"tool_use\""));
    }
}

#[test]
fn without_include_usage_a_translated_stream_has_no_usage_and_with_it_exactly_one() {
    let upstream = include_str!("golden/streams/chat-text-and-tools.upstream.sse");
    for (asked, count) in [(false, 0), (true, 1)] {
        let stream = AnswerStream::new(Operation::ChatCompletions, WireFormat::Anthropic, asked, Some(PRICE));
        let (out, end) = run(stream, &[upstream.as_bytes()]);
        assert_eq!((out.matches("\"usage\"").count(), end), (count, Ok(())));
        let last = out.trim_end().rsplit("\n\n").nth(1).unwrap();
        assert_eq!(last.contains("\"choices\":[]") && last.contains("\"cost\":0.000180"), asked, "{last}");
    }
}

/// Streams that hold everything a cut could hurt.
fn sample() -> impl Strategy<Value = (String, Operation, WireFormat)> {
    let anthropic = include_str!("golden/streams/chat-text-and-tools.upstream.sse");
    let openai = include_str!("golden/streams/messages-text-and-tools.upstream.sse");
    let odd = format!(
        "\u{feff}: hello é\n\nid: 1\ndata: {{\"choices\":[],\ndata:\"x\":\"你好\"}}\n\n{}",
        events(&[TEXT, FINISH, USAGE, DONE])
    );
    let gemini = include_str!("golden/streams/chat-from-gemini.upstream.sse");
    let odd_ends = [odd.clone(), odd.replace('\n', "\r\n"), odd.replace('\n', "\r")];
    let mut samples = vec![
        (anthropic.to_owned(), Operation::ChatCompletions, WireFormat::Anthropic),
        (anthropic.replace('\n', "\r\n"), Operation::Messages, WireFormat::Anthropic),
        (openai.to_owned(), Operation::Messages, WireFormat::OpenAi),
        (openai.to_owned(), Operation::ChatCompletions, WireFormat::OpenAi),
        (gemini.to_owned(), Operation::ChatCompletions, WireFormat::Gemini),
        (gemini.replace('\n', "\r\n"), Operation::Messages, WireFormat::Gemini),
        (gemini.to_owned(), Operation::StreamGenerateContent, WireFormat::Gemini),
        (openai.to_owned(), Operation::StreamGenerateContent, WireFormat::OpenAi),
        (anthropic.to_owned(), Operation::StreamGenerateContent, WireFormat::Anthropic),
    ];
    let responses = include_str!("golden/streams/chat-from-responses.upstream.sse");
    samples.extend([
        (responses.to_owned(), Operation::Responses, WireFormat::Responses),
        (responses.replace('\n', "\r\n"), Operation::ChatCompletions, WireFormat::Responses),
        (anthropic.to_owned(), Operation::Responses, WireFormat::Anthropic),
        (openai.to_owned(), Operation::Responses, WireFormat::OpenAi),
    ]);
    samples.extend(odd_ends.map(|text| (text, Operation::ChatCompletions, WireFormat::OpenAi)));
    prop::sample::select(samples)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_a_stream_gives_the_same_bytes(
        (text, operation, provider) in sample(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        every_byte in prop::bool::weighted(0.1),
    ) {
        let stream = || AnswerStream::new(operation, provider, true, Some(PRICE));
        let input = text.as_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        if every_byte {
            places = (0..input.len()).collect();
        }
        places.extend([0, input.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
        let clock = |text: String| -> String {
            text.lines().map(|line| line.replace("created_at", "created").split("\"created\":").map(|part| {
                part.trim_start_matches(|c: char| c.is_ascii_digit())
            }).collect::<String>() + "\n").collect()
        };
        let (whole, end) = run(stream(), &[input]);
        let (cut, cut_end) = run(stream(), &pieces);
        prop_assert_eq!(clock(cut), clock(whole));
        prop_assert_eq!(&cut_end, &end);
        prop_assert_eq!(end, Ok(()));
    }
}
