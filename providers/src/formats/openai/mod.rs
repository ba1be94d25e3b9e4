//! OpenAI's chat completions, completions and embeddings.
//! Reference: <https://platform.openai.com/docs/api-reference/chat>.

mod probe;
mod usage;

mod content;
mod effort;
mod reasoning_details;

mod decode_answer;
mod decode_message;
mod decode_request;
mod decode_stream;
mod encode_answer;
mod encode_message;
mod encode_request;
mod encode_stream;

#[cfg(test)]
mod round_trip_tests;

pub(crate) use decode_answer::decode_answer;
pub(crate) use decode_request::decode_request;
pub(crate) use decode_stream::StreamDecoder;
pub(crate) use encode_answer::encode_answer;
pub(crate) use encode_request::encode_request;
pub(crate) use encode_stream::StreamEncoder;
pub(crate) use probe::{probe_answer, probe_event};
pub(crate) use usage::{UsageFields, with_cost};
