//! OpenAI's Responses. Reference: <https://platform.openai.com/docs/api-reference/responses> and
//! <https://platform.openai.com/docs/api-reference/responses-streaming>.

mod probe;
mod usage;

mod tool_names;

mod decode_content;
mod decode_input;
mod decode_request;
mod decode_tool;
mod echo;
mod encode_answer;
mod encode_error;
mod encode_item;
mod encode_stream;

mod decode_answer;
mod decode_item;
mod decode_stream;
mod encode_input;
mod encode_request;
mod item_queue;

pub(crate) use decode_answer::decode_answer;
pub(crate) use decode_request::decode_request;
pub(crate) use decode_stream::StreamDecoder;
pub(crate) use encode_answer::encode_answer;
pub(crate) use encode_error::failed_events;
pub(crate) use encode_request::encode_request;
pub(crate) use encode_stream::StreamEncoder;
pub(crate) use probe::{probe_answer, probe_event};
pub(crate) use tool_names::ToolNames;
pub(crate) use usage::UsageFields;
