//! Google's events, read as neutral steps. There is no end marker: the body ends.

use serde_json::json;

use super::RunningUsage;
use super::finish::{failure, read_finish};
use super::logprobs::decode_logprobs;
use super::piece::{CallIds, Candidate, Piece, Response, read_part};
use crate::StreamFault;
use crate::canonical::{Finish, StreamEvent};
use crate::provider_error::read_error_value;

/// The state between two events.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    /// The candidate that the steps so far belong to.
    current: u32,
    finished: Vec<u32>,
    ids: CallIds,
    usage: RunningUsage,
}

impl StreamDecoder {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// When it is no response, reports an error, or ends a candidate whose model failed.
    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        let mut response: Response = serde_json::from_str(data)
            .map_err(|error| StreamFault::Malformed(format!("an event cannot be read: {error}")))?;
        if let Some(error) = response.error.take().filter(|error| !error.is_null()) {
            return Err(StreamFault::Provider(read_error_value(&error)));
        }
        let blocked = response.is_blocked();
        if !self.started {
            self.started = true;
            let id = response.response_id.unwrap_or_default();
            self.ids = CallIds::of_response(&id);
            out.push(StreamEvent::Start { id, model: response.model_version.unwrap_or_default() });
        }
        for candidate in response.candidates.unwrap_or_default() {
            self.decode_candidate(candidate, out)?;
        }
        if blocked {
            self.finish(Finish::ContentFilter, out);
        }
        if let Some(fields) = response.usage_metadata {
            self.usage.take(fields);
            out.extend(self.usage.usage().map(StreamEvent::Usage));
        }
        Ok(())
    }

    fn decode_candidate(
        &mut self,
        candidate: Candidate,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), StreamFault> {
        let index = candidate.index.unwrap_or(0);
        if index != self.current {
            self.current = index;
            out.push(StreamEvent::Choice(index));
        }
        let mut pieces = Vec::new();
        for part in candidate.content.unwrap_or_default().parts.unwrap_or_default() {
            read_part(part, &mut self.ids, &mut pieces);
        }
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push(StreamEvent::Text(text)),
                Piece::Thought(text) => out.push(StreamEvent::Reasoning(text)),
                Piece::Signature(signature) => out.push(StreamEvent::Signature(signature)),
                Piece::Call { id, name, arguments } => {
                    out.push(StreamEvent::ToolCall { id, name });
                    out.push(StreamEvent::Arguments(arguments));
                }
            }
        }
        if let Some(result) = candidate.logprobs_result {
            out.push(StreamEvent::Logprobs(decode_logprobs(&result)));
        }
        if let Some(reason) = candidate.finish_reason {
            let finish = read_finish(&reason).ok_or_else(|| {
                let message = failure(&reason, candidate.finish_message.as_deref());
                let error = json!({ "message": message, "status": reason });
                StreamFault::Provider(read_error_value(&error))
            })?;
            self.finish(finish.with_calls(self.ids.any()), out);
        }
        Ok(())
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<StreamEvent>) {
        if !self.finished.contains(&self.current) {
            self.finished.push(self.current);
            out.push(StreamEvent::Finish { finish, stop_sequence: None });
        }
    }
}
