//! OpenAI's chat completions, completions and embeddings.
//! Reference: <https://platform.openai.com/docs/api-reference/chat>.

mod probe;
mod usage;

pub(crate) use probe::{probe_answer, probe_event};
pub(crate) use usage::{UsageFields, with_cost};
