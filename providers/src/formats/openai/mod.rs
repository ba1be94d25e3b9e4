//! OpenAI's chat completions, completions and embeddings.
//! Reference: <https://platform.openai.com/docs/api-reference/chat>.

mod probe;
mod usage;

mod content;
mod decode_answer;
mod decode_message;
mod decode_request;
mod decode_stream;
mod effort;
mod encode_answer;
mod encode_message;
mod encode_request;
mod encode_stream;

pub(crate) use decode_answer::decode_answer;
pub(crate) use decode_request::decode_request;
pub(crate) use decode_stream::StreamDecoder;
pub(crate) use encode_answer::encode_answer;
pub(crate) use encode_request::encode_request;
pub(crate) use encode_stream::StreamEncoder;
pub(crate) use probe::{probe_answer, probe_event};
pub(crate) use usage::{UsageFields, with_cost};
