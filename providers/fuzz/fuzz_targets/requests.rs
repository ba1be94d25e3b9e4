//! Any bytes as a request body, from every client format to every provider format.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use providers::{Operation, catalogue, encode_request, read_request_head};

const OPERATIONS: [Operation; 4] =
    [Operation::ChatCompletions, Operation::Messages, Operation::Responses, Operation::Completions];
const KINDS: [&str; 4] = ["openai", "anthropic", "openai-responses", "openrouter"];

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let operation = OPERATIONS[usize::from(*choice) % OPERATIONS.len()];
    let drop_params = *choice >= 128;
    let body = Bytes::copy_from_slice(body);
    let Ok(head) = read_request_head(operation, "", &body) else { return };
    for kind in KINDS {
        let spec = catalogue().provider(kind).expect("a kind of the catalogue");
        let _ = encode_request(operation, &head, &body, spec, "m", drop_params);
    }
});
