//! Google's generateContent, as the Gemini API and Vertex AI speak it. Reference:
//! <https://ai.google.dev/api/generate-content> and
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>.

mod head;
mod path;
mod probe;
mod usage;

mod finish;
mod logprobs;
mod piece;
mod schema;
mod signature;

mod decode_answer;
mod decode_config;
mod decode_contents;
mod decode_request;
mod decode_stream;
mod encode_answer;
mod encode_config;
mod encode_contents;
mod encode_request;
mod encode_stream;

pub(crate) use decode_answer::decode_answer;
pub(crate) use decode_request::decode_request;
pub(crate) use decode_stream::StreamDecoder;
pub(crate) use encode_answer::encode_answer;
pub(crate) use encode_request::encode_request;
pub(crate) use encode_stream::StreamEncoder;
pub(crate) use head::read_head;
pub(crate) use path::{split_path, upstream_path};
pub(crate) use probe::{probe_answer, probe_event};
pub(crate) use signature::without_foreign;
pub(crate) use usage::{RunningUsage, UsageFields};
