//! What one request and one streamed event cost in `providers`: parse, splice, translate, event codec.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use providers::{
    AnswerStream, Operation, ProviderSpec, WireFormat, catalogue, decode_answer, encode_request,
    read_request_head, splice_model,
};

const SIZES: [(&str, usize); 3] = [("1KB", 1 << 10), ("64KB", 64 << 10), ("1MB", 1 << 20)];
const EVENTS: usize = 1_000;

fn chat(size: usize) -> Bytes {
    let text = "The signal is at danger until the block ahead is clear. ".repeat(size / 56 + 1);
    let text = text.get(..size.saturating_sub(180)).unwrap_or(&text);
    format!(
        r#"{{"model":"small","temperature":0.2,"max_tokens":256,"stream":true,"messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"{text}"}}]}}"#
    )
    .into()
}

fn spec(kind: &str) -> &'static ProviderSpec {
    catalogue().provider(kind).expect("a kind of the catalogue")
}

fn requests(criterion: &mut Criterion) {
    for (name, size) in SIZES {
        let body = chat(size);
        let head = read_request_head(Operation::ChatCompletions, "", &body).unwrap();
        let mut group = criterion.benchmark_group(format!("request/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("parse", |bencher| {
            bencher.iter(|| read_request_head(Operation::ChatCompletions, "", black_box(&body)).unwrap());
        });
        group.bench_function("splice", |bencher| {
            bencher.iter(|| splice_model(black_box(&body), head.model_span.as_ref().unwrap(), "gpt-4o-mini"));
        });
        for kind in ["anthropic", "openai-responses", "gemini", "bedrock", "cohere"] {
            group.bench_function(format!("translate openai to {kind}"), |bencher| {
                bencher.iter(|| {
                    let operation = Operation::ChatCompletions;
                    encode_request(operation, &head, black_box(&body), spec(kind), "m", false).unwrap()
                });
            });
        }
        group.finish();
    }
}

fn answers(criterion: &mut Criterion) {
    let body = Bytes::from_static(
        br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"The line is clear."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":200,"output_tokens":6}}"#,
    );
    let mut group = criterion.benchmark_group("answer");
    for (client, operation) in [
        ("openai", Operation::ChatCompletions),
        ("responses", Operation::Responses),
        ("gemini", Operation::GenerateContent),
    ] {
        group.bench_function(format!("translate anthropic to {client}"), |bencher| {
            bencher
                .iter(|| decode_answer(operation, WireFormat::Anthropic, black_box(body.clone())).unwrap());
        });
    }
    group.finish();
}

fn event(name: &str, fields: &str) -> Bytes {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{fields}}}\n\n").into()
}

/// The figure is for [`EVENTS`] events, each fed by itself as it would come from a socket.
fn streams(criterion: &mut Criterion) {
    let openai: Vec<Bytes> = (0..EVENTS)
        .map(|index| {
            format!(
                "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
                 \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word{index} \"}},\"logprobs\":null,\
                 \"finish_reason\":null}}]}}\n\n"
            )
            .into()
        })
        .collect();
    let mut anthropic: Vec<Bytes> = vec![
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude\",\"usage\":{\"input_tokens\":9}}}\n\n".into(),
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n".into(),
    ];
    anthropic.extend((0..EVENTS).map(|index| {
        Bytes::from(format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"word{index} \"}}}}\n\n"
        ))
    }));
    let mut responses: Vec<Bytes> = vec![
        event(
            "response.created",
            r#""response":{"id":"resp_1","object":"response","model":"m","status":"in_progress","output":[]}"#,
        ),
        event(
            "response.output_item.added",
            r#""output_index":0,"item":{"type":"message","id":"i","role":"assistant","status":"in_progress","content":[]}"#,
        ),
        event(
            "response.content_part.added",
            r#""output_index":0,"content_index":0,"item_id":"i","part":{"type":"output_text","text":"","annotations":[]}"#,
        ),
    ];
    responses.extend((0..EVENTS).map(|index| {
        let fields = format!(r#""output_index":0,"content_index":0,"item_id":"i","delta":"word{index} ""#);
        event("response.output_text.delta", &fields)
    }));
    let gemini: Vec<Bytes> = (0..EVENTS)
        .map(|index| {
            format!(
                "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"word{index} \"}}],\"role\":\"model\"}},\"index\":0}}],\
                 \"usageMetadata\":{{\"promptTokenCount\":9,\"candidatesTokenCount\":{index},\"totalTokenCount\":9}},\
                 \"modelVersion\":\"m\",\"responseId\":\"r\"}}\r\n\r\n"
            )
            .into()
        })
        .collect();
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, operation, provider, events) in [
        ("pass openai through", Operation::ChatCompletions, WireFormat::OpenAi, &openai),
        ("translate openai to anthropic", Operation::Messages, WireFormat::OpenAi, &openai),
        ("translate openai to responses", Operation::Responses, WireFormat::OpenAi, &openai),
        ("translate openai to gemini", Operation::StreamGenerateContent, WireFormat::OpenAi, &openai),
        ("translate anthropic to openai", Operation::ChatCompletions, WireFormat::Anthropic, &anthropic),
        ("translate responses to openai", Operation::ChatCompletions, WireFormat::Responses, &responses),
        ("translate responses to anthropic", Operation::Messages, WireFormat::Responses, &responses),
        ("translate gemini to openai", Operation::ChatCompletions, WireFormat::Gemini, &gemini),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || AnswerStream::new(operation, provider, true, None),
                |mut stream| {
                    for event in events {
                        black_box(stream.feed(event.clone()).unwrap());
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, requests, answers, streams);
criterion_main!(benches);
