//! Any bytes as a provider's stream, cut anywhere, for every client format. Whatever the cut, the client
//! gets the same bytes, and never more than a fixed multiple of what came in.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use providers::{AnswerStream, Operation, WireFormat};

const OPERATIONS: [Operation; 3] = [Operation::ChatCompletions, Operation::Messages, Operation::Responses];
const FORMATS: [WireFormat; 3] = [WireFormat::OpenAi, WireFormat::Anthropic, WireFormat::Responses];
/// A one-letter delta becomes some hundred bytes of another format's events, a field repeated at the end.
const LARGEST_GROWTH: usize = 200;

fuzz_target!(|data: &[u8]| {
    let [choice, cut, body @ ..] = data else { return };
    let format = FORMATS[usize::from(*choice) % FORMATS.len()];
    for operation in OPERATIONS {
        let whole = run(operation, format, body, body.len().max(1));
        let pieces = run(operation, format, body, usize::from(*cut).max(1));
        assert!(pieces.len() <= body.len() * LARGEST_GROWTH + 20_000, "a stream grows");
        if operation.wire_format() == format {
            assert_eq!(whole, pieces, "the cut changes a stream of the same format");
        }
    }
});

fn run(operation: Operation, format: WireFormat, body: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = AnswerStream::new(operation, format, true, None);
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
