//! The neutral form between two wire formats: what a request, an answer and a stream mean, whoever
//! spells it. Knows no format; a format's `decode_*` makes these and its `encode_*` spells them.

mod answer;
mod message;
mod request;
mod stream;

pub(crate) use answer::{ChatAnswer, Finish};
pub(crate) use message::{Media, Message, Part, Role};
pub(crate) use request::{AnswerSchema, ChatRequest, Tool, ToolChoice};
pub(crate) use stream::StreamEvent;
