//! Anthropic's Messages. Reference: <https://docs.claude.com/en/api/messages> and
//! <https://docs.claude.com/en/docs/build-with-claude/streaming>.

mod probe;
mod usage;

mod decode_answer;
mod decode_message;
mod decode_request;
mod decode_stream;
mod encode_answer;
mod encode_request;
mod encode_stream;
mod thinking;

pub(crate) use decode_answer::decode_answer;
pub(crate) use decode_request::decode_request;
pub(crate) use decode_stream::StreamDecoder;
pub(crate) use encode_answer::encode_answer;
pub(crate) use encode_request::encode_request;
pub(crate) use encode_stream::StreamEncoder;
pub(crate) use probe::{probe_answer, probe_count, probe_event};
pub(crate) use thinking::plan as plan_thinking;
pub(crate) use usage::{RunningUsage, UsageFields};
