//! Anthropic's Messages. Reference: <https://docs.claude.com/en/api/messages> and
//! <https://docs.claude.com/en/docs/build-with-claude/streaming>.

mod probe;
mod usage;

pub(crate) use probe::{probe_answer, probe_event};
pub(crate) use usage::{RunningUsage, UsageFields};
