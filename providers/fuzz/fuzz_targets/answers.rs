//! Any bytes as a whole answer or error in the provider format in `DECODER`, for every client format.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use providers::{Operation, WireFormat, decode_answer, read_provider_error};

const OPERATIONS: [Operation; 4] =
    [Operation::ChatCompletions, Operation::Messages, Operation::Responses, Operation::GenerateContent];
const FORMATS: [WireFormat; 6] = [
    WireFormat::OpenAi,
    WireFormat::Anthropic,
    WireFormat::Responses,
    WireFormat::Gemini,
    WireFormat::Bedrock,
    WireFormat::Cohere,
];
static FORMAT: LazyLock<WireFormat> = LazyLock::new(|| {
    let name = std::env::var("DECODER").expect("DECODER names a provider format");
    FORMATS.into_iter().find(|format| format.as_str() == name).expect("a provider format's name")
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    for operation in OPERATIONS {
        let _ = decode_answer(operation, *FORMAT, Bytes::copy_from_slice(body));
    }
    let error = read_provider_error(*FORMAT, 400 + u16::from(*choice), body);
    assert!(error.message.chars().count() <= 1_000, "an error grows");
});
