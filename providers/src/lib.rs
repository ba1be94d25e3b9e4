//! Wire formats and their translation: bytes in, bytes out, no I/O, no async.
//!
//! A request goes [`read_request_head`] → [`encode_request`]; its answer comes back through
//! [`decode_answer`] or an [`AnswerStream`]; an error of the provider through [`read_provider_error`]
//! and to the client through [`error_body`] or [`error_event`]. Client and provider of one format
//! exchange their own bytes; otherwise a body is decoded to the neutral types of `canonical` and
//! encoded again, so that a further format costs one folder under `formats`.

mod multipart;
mod operation;
mod request_head;
mod splice;

mod catalogue;
mod translate;

mod answer;
mod answer_context;
mod answer_stream;
mod borrowed_text;
mod counted;
mod members;
mod pass_through;
mod raw_answer;
mod stream_fault;
mod transcript;
mod translation;

mod question;
mod replay;
mod resume;

mod count;

mod client_error;
mod provider_error;
mod redact;

mod canonical;
mod event_stream;
mod fields;
mod formats;
mod sse;

pub use answer::{Answer, MalformedAnswer, decode_answer, decode_answer_for};
pub use answer_context::AnswerContext;
pub use answer_stream::AnswerStream;
pub use borrowed_text::optional_text;
pub use catalogue::{
    AuthHeader, Catalogue, Lacks, ModelSpec, ProviderSpec, Quirks, ReasoningField, catalogue,
};
pub use client_error::{ClientError, error_body, error_event, is_error_envelope};
pub use count::{count_text, count_tokens};
pub use counted::{COUNTED, read_usage};
pub use members::Members;
pub use operation::{Operation, WireFormat};
pub use provider_error::{ProviderError, read_provider_error};
pub use question::{LastQuestion, last_question};
pub use replay::{KeptAnswer, Wanted, has_both_modes};
pub use request_head::{BadRequest, Caching, RequestHead, read_request_head};
pub use resume::{Resume, Way};
pub use splice::{splice_model, without_member};
pub use stream_fault::StreamFault;
pub use translate::{Untranslatable, UpstreamRequest, encode_request, supports};
