//! Answers in the formats that are spoken to providers only, replayed for each client format: the text,
//! the tool calls, the thoughts with their tokens and the usage have to come out as they went in.

use std::collections::BTreeMap;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::base64;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use domain::Usage;
use providers::{AnswerStream, Operation, WireFormat, decode_answer};
use serde_json::Value;

use crate::OPERATIONS;
use crate::grammar;
use crate::recording::{all, text};
use crate::said::Said;
use crate::without_clock;

struct Outbound {
    file: String,
    format: WireFormat,
    body: Body,
}

enum Body {
    Whole(Value),
    /// The bytes, and the events in them.
    Streamed(Vec<u8>, Vec<Value>),
}

#[test]
fn every_recorded_answer_of_an_outbound_format_says_the_same_to_each_client() {
    let mut counts = BTreeMap::new();
    for recording in outbound() {
        for (client, operation) in OPERATIONS {
            let file = &recording.file;
            let (said, usage, before, counted) = match &recording.body {
                Body::Whole(body) => {
                    let answer = decode_answer(operation, recording.format, Bytes::from(body.to_string()))
                        .unwrap_or_else(|error| panic!("{file}: {error}"));
                    let text = String::from_utf8(answer.body.to_vec()).unwrap();
                    let (before, counted) = read_whole(recording.format, body);
                    (Said::whole(client, &text), answer.usage, before, counted)
                }
                Body::Streamed(bytes, events) => {
                    let (text, usage) = replay(operation, &recording, bytes, usize::MAX);
                    for piece in [1, 7, 100, 1_000] {
                        let cut = replay(operation, &recording, bytes, piece).0;
                        assert_eq!(without_clock(&cut), without_clock(&text), "{file} by {piece}");
                    }
                    grammar::check(client, &text).unwrap_or_else(|fault| panic!("{file}: {fault}\n{text}"));
                    let (before, counted) = read_stream(recording.format, events);
                    (Said::streamed(client, &text), usage, before, counted)
                }
            };
            assert_eq!(said, before, "{file} for {client:?}");
            assert_eq!(usage, counted, "{file} for {client:?}");
            let streamed = matches!(recording.body, Body::Streamed(..));
            *counts.entry((recording.format.as_str(), streamed)).or_insert(0) += 1;
        }
    }
    println!("{counts:?}");
    for (key, least) in
        [(("bedrock", false), 108), (("bedrock", true), 60), (("cohere", false), 88), (("cohere", true), 48)]
    {
        assert!(counts[&key] >= least, "{counts:?}");
    }
}

/// Cut anywhere before its finish reason a stream is no answer, and a changed byte of a frame is noticed.
#[test]
fn every_recorded_frame_is_checked_and_a_cut_stream_is_truncated() {
    let mut streams = 0;
    for recording in outbound() {
        let Body::Streamed(bytes, _) = &recording.body else { continue };
        let mut stream = AnswerStream::new(Operation::ChatCompletions, recording.format, true, None);
        let _ = stream.feed(Bytes::copy_from_slice(&bytes[..bytes.len() / 3]));
        assert!(stream.finish().is_err(), "{}", recording.file);
        if recording.format == WireFormat::Bedrock {
            let mut changed = bytes.clone();
            changed[bytes.len() / 2] ^= 0x10;
            let mut stream = AnswerStream::new(Operation::ChatCompletions, recording.format, true, None);
            let fed = stream.feed(Bytes::from(changed)).is_err() || stream.has_fault();
            assert!(fed || stream.finish().is_err(), "{}", recording.file);
        }
        streams += 1;
    }
    assert!(streams >= 27, "{streams}");
}

fn replay(operation: Operation, recording: &Outbound, body: &[u8], piece: usize) -> (String, Option<Usage>) {
    let mut stream = AnswerStream::new(operation, recording.format, true, None);
    let mut out = Vec::new();
    for chunk in body.chunks(piece.min(body.len())) {
        let fed = stream.feed(Bytes::copy_from_slice(chunk));
        out.extend(fed.unwrap_or_else(|fault| panic!("{}: {fault}", recording.file)).unwrap_or_default());
    }
    let end = stream.finish().unwrap_or_else(|fault| panic!("{}: {fault}", recording.file));
    out.extend(end.unwrap_or_default());
    assert!(stream.is_complete() && stream.content_started(), "{}", recording.file);
    (String::from_utf8(out).unwrap(), stream.usage())
}

fn outbound() -> Vec<Outbound> {
    all().into_iter().filter_map(|(file, recording)| read(file, &recording)).collect()
}

fn read(file: String, recording: &Value) -> Option<Outbound> {
    let (status, kind) = (recording["response_status"].as_u64()?, recording["kind"].as_str()?);
    let url = recording["request"]["url"].as_str()?;
    let format = match (recording["provider"].as_str()?, url) {
        ("bedrock", "fixture:") => WireFormat::Bedrock,
        ("bedrock", url) if url.ends_with("/converse") || url.ends_with("/converse-stream") => {
            WireFormat::Bedrock
        }
        ("cohere", url) if url == "fixture:" || url.ends_with("/v2/chat") => WireFormat::Cohere,
        _ => return None,
    };
    if status != 200 || !kind.starts_with("chat") {
        return None;
    }
    let lines = |lines: &Value| {
        let lines = lines.as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    };
    let body = if let Some(binary) = recording["response_body_base64"].as_str() {
        let events = recording["eventstream_decoded"].as_array().unwrap();
        let named = events.iter().map(|event| {
            let name = event["headers"][":event-type"].as_str().unwrap();
            serde_json::json!({ name: event["payload"] })
        });
        Body::Streamed(base64::decode(binary).unwrap(), named.collect())
    } else if recording["sse_lines"].is_array() {
        let body = lines(&recording["sse_lines"]);
        let events: Vec<Value> = body
            .lines()
            .filter_map(|line| line.strip_prefix("data: ").filter(|data| *data != "[DONE]"))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        // Recorded behind the framing: put back into frames.
        let bytes = match format {
            WireFormat::Bedrock => events.iter().flat_map(frame).collect(),
            _ => body.into_bytes(),
        };
        Body::Streamed(bytes, events)
    } else {
        Body::Whole(serde_json::from_str(&text(recording.get("response_body")?)).unwrap())
    };
    Some(Outbound { file, format, body })
}

fn frame(event: &Value) -> Vec<u8> {
    let (name, payload) = event.as_object().unwrap().iter().next().unwrap();
    let header = |name: &'static str, value: String| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(Bytes::from(payload.to_string()))
        .add_header(header(":message-type", "event".to_owned()))
        .add_header(header(":event-type", name.clone()));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn number(value: &Value) -> u64 {
    value.as_f64().unwrap_or_default() as u64
}

fn count(format: WireFormat, usage: &Value) -> Option<Usage> {
    let counted = match format {
        WireFormat::Bedrock => {
            let (cached, cache_write) =
                (number(&usage["cacheReadInputTokens"]), number(&usage["cacheWriteInputTokens"]));
            let prompt = number(&usage["inputTokens"]) + cached + cache_write;
            let completion = number(&usage["outputTokens"]);
            Usage { prompt, completion, cached, cache_write, reasoning: 0 }
        }
        _ => Usage {
            prompt: number(&usage["billed_units"]["input_tokens"]),
            completion: number(&usage["billed_units"]["output_tokens"]),
            reasoning: number(&usage["tokens"]["reasoning_tokens"]),
            ..Usage::default()
        },
    };
    (!counted.is_empty()).then_some(counted)
}

fn read_whole(format: WireFormat, body: &Value) -> (Said, Option<Usage>) {
    let mut said = Said::default();
    if format == WireFormat::Bedrock {
        for block in body["output"]["message"]["content"].as_array().unwrap() {
            said.text += block["text"].as_str().unwrap_or_default();
            for cited in block["citationsContent"]["content"].as_array().into_iter().flatten() {
                said.text += cited["text"].as_str().unwrap();
            }
            take_reasoning(&mut said, &block["reasoningContent"]["reasoningText"]);
            take_reasoning(&mut said, &block["reasoningContent"]);
            if block["toolUse"].is_object() {
                said.call(&block["toolUse"]["name"], &block["toolUse"]["input"].to_string());
            }
        }
    } else {
        let message = &body["message"];
        for content in message["content"].as_array().into_iter().flatten() {
            said.text += content["text"].as_str().unwrap_or_default();
            said.reasoning += content["thinking"].as_str().unwrap_or_default();
        }
        said.text += message["tool_plan"].as_str().unwrap_or_default();
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap();
            said.call(&call["function"]["name"], arguments.strip_prefix("null").unwrap_or(arguments));
        }
    }
    (said, count(format, &body["usage"]))
}

fn take_reasoning(said: &mut Said, reasoning: &Value) {
    said.reasoning += reasoning["text"].as_str().unwrap_or_default();
    said.token(&reasoning["signature"]);
    if let Some(redacted) = reasoning["redactedContent"].as_str() {
        said.token(&String::from_utf8(base64::decode(redacted).unwrap()).unwrap().into());
    }
}

fn read_stream(format: WireFormat, events: &[Value]) -> (Said, Option<Usage>) {
    let (mut said, mut usage) = (Said::default(), None);
    let mut calls: Vec<(Value, String)> = Vec::new();
    for event in events {
        if format == WireFormat::Bedrock {
            let (start, delta) =
                (&event["contentBlockStart"]["start"]["toolUse"], &event["contentBlockDelta"]["delta"]);
            if start.is_object() {
                calls.push((start["name"].clone(), String::new()));
            }
            said.text += delta["text"].as_str().unwrap_or_default();
            take_reasoning(&mut said, &delta["reasoningContent"]);
            if let Some(piece) = delta["toolUse"]["input"].as_str() {
                calls.last_mut().unwrap().1 += piece;
            }
            usage = usage.or_else(|| count(format, &event["metadata"]["usage"]));
        } else {
            let message = &event["delta"]["message"];
            said.text += message["content"]["text"].as_str().unwrap_or_default();
            said.text += message["tool_plan"].as_str().unwrap_or_default();
            said.reasoning += message["content"]["thinking"].as_str().unwrap_or_default();
            let function = &message["tool_calls"]["function"];
            if event["type"] == "tool-call-start" {
                calls.push((function["name"].clone(), String::new()));
            }
            if let Some(piece) = function["arguments"].as_str() {
                calls.last_mut().unwrap().1 += piece;
            }
            usage = usage.or_else(|| count(format, &event["delta"]["usage"]));
        }
    }
    for (name, arguments) in calls {
        said.call(&name, arguments.strip_prefix("null").unwrap_or(&arguments));
    }
    (said, usage)
}
