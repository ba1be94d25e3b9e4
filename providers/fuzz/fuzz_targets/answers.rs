//! Any bytes as a provider's whole answer or error, for every client format.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use providers::{Operation, WireFormat, decode_answer, error_body, read_provider_error};

const OPERATIONS: [Operation; 3] = [Operation::ChatCompletions, Operation::Messages, Operation::Responses];
const FORMATS: [WireFormat; 3] = [WireFormat::OpenAi, WireFormat::Anthropic, WireFormat::Responses];

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let format = FORMATS[usize::from(*choice) % FORMATS.len()];
    for operation in OPERATIONS {
        let _ = decode_answer(operation, format, Bytes::copy_from_slice(body));
    }
    let error = read_provider_error(format, 400 + u16::from(*choice), body);
    assert!(error.message.len() <= body.len() + 1_000, "an error grows");
});
