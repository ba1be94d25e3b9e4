//! Cohere's chat, version 2 of its API; spoken to providers only. Reference:
//! <https://docs.cohere.com/reference/chat> and <https://docs.cohere.com/v2/docs/streaming>.

mod usage;

mod decode_answer;
mod decode_stream;
mod encode_message;
mod encode_request;

pub(crate) use decode_answer::decode_answer;
pub(crate) use decode_stream::StreamDecoder;
pub(crate) use encode_request::encode_request;
pub(crate) use usage::UsageFields;
