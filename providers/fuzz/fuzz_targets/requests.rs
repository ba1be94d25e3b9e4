//! Any bytes as a request body of the client format in `DECODER`, to every provider format.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use providers::{Operation, catalogue, count_tokens, encode_request, read_request_head};

const KINDS: [&str; 7] =
    ["openai", "anthropic", "openai-responses", "openrouter", "gemini", "bedrock", "cohere"];
static OPERATION: LazyLock<(Operation, &str)> = LazyLock::new(|| {
    match std::env::var("DECODER").expect("DECODER names a client format").as_str() {
        "chat" => (Operation::ChatCompletions, ""),
        "completions" => (Operation::Completions, ""),
        "messages" => (Operation::Messages, ""),
        "responses" => (Operation::Responses, ""),
        "gemini" => (Operation::GenerateContent, "/v1beta/models/m:generateContent"),
        other => panic!("no client format is called {other}"),
    }
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let (operation, target) = *OPERATION;
    let body = Bytes::copy_from_slice(body);
    let Ok(head) = read_request_head(operation, target, &body) else { return };
    for kind in KINDS {
        let spec = catalogue().provider(kind).expect("a kind of the catalogue");
        let _ = encode_request(operation, &head, &body, spec, "m", choice.is_multiple_of(2));
    }
    // The tokenizer is by far the slowest part; one input in sixteen is enough for it.
    if choice.is_multiple_of(16) {
        let _ = count_tokens(operation, "gpt-4o", &body);
    }
});
