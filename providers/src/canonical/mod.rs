//! The neutral form between two wire formats: what a request, an answer and a stream mean, whoever
//! spells it. Knows no format; a format's `decode_*` makes these and its `encode_*` spells them.

mod answer;
mod message;
mod request;
mod stream;

pub(crate) use answer::{ChatAnswer, Choice, Finish};
pub(crate) use message::{CachePoint, Maker, Media, Message, Part, Role, Signature};
pub(crate) use request::{AnswerFormat, AnswerSchema, ChatRequest, Reasoning, Tool, ToolChoice};
pub(crate) use stream::StreamEvent;
