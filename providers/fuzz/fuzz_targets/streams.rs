//! Any bytes as a stream in the provider format in `DECODER`, cut anywhere, for every client format. The
//! client never gets more than a fixed multiple of what came in, and in the same format the same bytes
//! whatever the cut.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use providers::{AnswerStream, Operation, WireFormat};

const OPERATIONS: [Operation; 4] = [
    Operation::ChatCompletions,
    Operation::Messages,
    Operation::Responses,
    Operation::StreamGenerateContent,
];
const FORMATS: [WireFormat; 6] = [
    WireFormat::OpenAi,
    WireFormat::Anthropic,
    WireFormat::Responses,
    WireFormat::Gemini,
    WireFormat::Bedrock,
    WireFormat::Cohere,
];
/// A one-letter delta becomes some hundred bytes of another format's events, a field repeated at the end.
const LARGEST_GROWTH: usize = 200;
static FORMAT: LazyLock<WireFormat> = LazyLock::new(|| {
    let name = std::env::var("DECODER").expect("DECODER names a provider format");
    FORMATS.into_iter().find(|format| format.as_str() == name).expect("a provider format's name")
});

fuzz_target!(|data: &[u8]| {
    let [cut, body @ ..] = data else { return };
    for operation in OPERATIONS {
        let whole = run(operation, body, body.len().max(1));
        let pieces = run(operation, body, usize::from(*cut).max(1));
        assert!(pieces.len() <= body.len() * LARGEST_GROWTH + 20_000, "a stream grows");
        if operation.wire_format() == *FORMAT {
            assert_eq!(whole, pieces, "the cut changes a stream of the same format");
        }
    }
});

fn run(operation: Operation, body: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = AnswerStream::new(operation, *FORMAT, true, None);
    let mut out = Vec::new();
    for chunk in body.chunks(piece) {
        match stream.feed(Bytes::copy_from_slice(chunk)) {
            Ok(events) => out.extend(events.unwrap_or_default()),
            Err(_) => return out,
        }
    }
    if let Ok(events) = stream.finish() {
        out.extend(events.unwrap_or_default());
    }
    out
}
