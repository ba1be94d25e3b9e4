//! Amazon Bedrock's Converse; spoken to providers only. Reference:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.

mod family;
mod opaque;
mod usage;

mod decode_answer;
mod decode_stream;
mod encode_message;
mod encode_reasoning;
mod encode_request;

pub(crate) use decode_answer::decode_answer;
pub(crate) use decode_stream::StreamDecoder;
pub(crate) use encode_request::{encode_request, path};
pub(crate) use usage::UsageFields;
