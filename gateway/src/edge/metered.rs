//! What a raw pass-through uses and costs, read from the bytes that pass. Nothing waits for it, nothing is changed by it,
//! and it keeps no more of a body than what counts; only a stream's text is kept, in case nobody else counts it.

use std::sync::Arc;

use bytes::Bytes;
use domain::{ModelName, Usage};
use http::header;
use pingora::http::ResponseHeader;
use providers::{AnswerStream, COUNTED, Members, Operation, WireFormat};
use store::{Counted, Kind};

use crate::error::GatewayError;
use crate::ledger;
use crate::request::{BYTES_PER_TOKEN, Record};
use crate::snapshot::Snapshot;
use crate::tokens;
use crate::upstream::Deployment;

/// What is looked for in a request.
const ASKED: &[&str] = &["model", "max_tokens", "max_completion_tokens", "max_output_tokens"];

/// One pass-through.
pub(super) struct Metered {
    snapshot: Arc<Snapshot>,
    /// The provider as a whole, with the credential that is sent.
    chosen: Arc<Deployment>,
    /// None: something that the gateway knows nothing of.
    operation: Option<Operation>,
    format: WireFormat,
    asked: Members,
    prompt_bytes: u64,
    /// The provider has the whole request.
    is_sent: bool,
    answer: Answer,
    is_settled: bool,
}

/// The answer, as far as it has come.
enum Answer {
    None,
    /// It has begun; what it says of its usage is not known.
    Unread,
    /// So many bytes of one that is not streamed.
    Whole(Members, u64),
    Stream(Box<AnswerStream>),
}

impl Metered {
    /// Takes what the request needs of its key's budgets and tokens. `rest` is the path below the provider's name.
    ///
    /// # Errors
    /// When a budget or the minute's tokens are used up, or the ledger cannot be written.
    pub(super) async fn begin(
        snapshot: Arc<Snapshot>,
        chosen: Arc<Deployment>,
        rest: &str,
        length: u64,
        record: &mut Record,
    ) -> Result<Self, GatewayError> {
        let path = format!("/{rest}");
        let provider = &chosen.provider;
        let operation = Operation::from_path(&path);
        let format = operation.map_or(provider.spec.format, |operation| provider.spec.format_for(operation));
        // Google's paths name the model.
        let model = Operation::model_in_path(&path);
        let target = snapshot.pass_through(&chosen, model);
        record.operation = operation;
        let metered = Self {
            snapshot,
            chosen,
            operation,
            format,
            asked: Members::new(ASKED),
            prompt_bytes: 0,
            is_sent: false,
            answer: Answer::None,
            is_settled: false,
        };
        // A file that is sent is not made of tokens.
        if operation.is_some_and(|operation| !operation.is_count() && !operation.is_form()) {
            record.reserve_tokens(length / BYTES_PER_TOKEN).await?;
        }
        if !operation.is_some_and(Operation::is_count) {
            let estimate = metered.estimate(&target, length);
            reserve(&target, estimate, record).await?;
        }
        (record.deployment, record.attempts) = (Some(target), 1);
        Ok(metered)
    }

    fn estimate(&self, target: &Deployment, prompt_bytes: u64) -> Usage {
        if self.operation.is_none() {
            return Usage::default();
        }
        let asked = ASKED.iter().filter_map(|name| self.asked.get(name)?.parse().ok()).max().unwrap_or(0);
        let longest = target.spec.and_then(|spec| spec.max_output_tokens);
        ledger::estimate(usize::try_from(prompt_bytes).unwrap_or(usize::MAX), asked, longest)
    }

    /// A piece of the request passes. With the last one it is known what it may cost.
    pub(super) fn asks(&mut self, piece: Option<&Bytes>, is_last: bool, record: &mut Record) {
        if let Some(piece) = piece {
            self.prompt_bytes += piece.len() as u64;
            // Forms and files may be long, and have no members.
            if self.operation.is_some() {
                self.asked.read(piece);
            }
        }
        if !is_last {
            return;
        }
        self.is_sent = true;
        let model = self.asked.text("model");
        let Some(target) = model.map(|model| self.snapshot.pass_through(&self.chosen, Some(&model))) else {
            return;
        };
        let estimate = self.estimate(&target, self.prompt_bytes);
        if let Some(reservation) = &mut record.reservation {
            reservation.raise(target.clone(), &estimate);
        }
        record.deployment = Some(target);
    }

    /// The answer begins.
    pub(super) fn answers(&mut self, head: &ResponseHeader, record: &mut Record) {
        if !head.status.is_success() {
            return;
        }
        record.ttft = Some(record.started.elapsed());
        let text = |name: header::HeaderName| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let content_type = text(header::CONTENT_TYPE);
        let is_plain = matches!(text(header::CONTENT_ENCODING), "" | "identity");
        let streamed =
            self.operation.filter(|operation| !operation.is_raw() && operation.wire_format() == self.format);
        self.answer = match streamed {
            _ if !is_plain => Answer::Unread,
            _ if content_type.starts_with("application/json") => Answer::Whole(Members::new(COUNTED), 0),
            Some(operation) if content_type.starts_with("text/event-stream") => {
                record.stream = true;
                Answer::Stream(Box::new(AnswerStream::new(operation, self.format, true, None)))
            }
            _ => Answer::Unread,
        };
    }

    /// A piece of the answer passes. What its provider has counted is in the ledger before the client has the last.
    pub(super) fn answered(&mut self, piece: Option<&Bytes>, is_last: bool, record: &mut Record) {
        if let Some(piece) = piece {
            match &mut self.answer {
                Answer::Whole(members, length) => {
                    *length += piece.len() as u64;
                    members.read(piece);
                }
                Answer::Stream(stream) => {
                    // What is wrong with it is the client's to see.
                    let _ = stream.feed(piece.clone());
                }
                Answer::None | Answer::Unread => {}
            }
        }
        if let Answer::Stream(stream) = &mut self.answer
            && is_last
        {
            let _ = stream.finish();
        }
        let (counted, is_whole) = match &self.answer {
            Answer::None => return,
            Answer::Unread => (None, is_last),
            Answer::Whole(members, _) => (providers::read_usage(self.format, members), is_last),
            // Of a stream that is not counted we count the text, when it has ended.
            Answer::Stream(stream) => (stream.usage(), stream.is_complete() && stream.usage().is_some()),
        };
        if is_whole && !self.is_settled {
            self.settle(counted, Counted::Provider, "ok", record);
        }
    }

    /// Nothing passes any more. What has not been settled by then was not counted by its provider.
    pub(super) async fn ended(&mut self, record: &mut Record) {
        if self.is_settled {
            return;
        }
        let outcome = record.outcome;
        let prompt = self.prompt_bytes / BYTES_PER_TOKEN;
        let knows_tokens =
            self.operation.is_some_and(|operation| !operation.is_raw() && !operation.is_count());
        let usage = match &self.answer {
            // Refused, which costs nothing; or given up, when the prompt may be billed.
            Answer::None if self.is_sent && knows_tokens && is_given_up(outcome) => {
                Usage { prompt, ..Usage::default() }
            }
            Answer::None => return,
            Answer::Stream(stream) => {
                let model = record.deployment.as_ref().map(|target| target.upstream_model.clone());
                let tokens = tokens::count(model.unwrap_or_default(), stream.text().to_owned()).await;
                let counted = stream.usage().unwrap_or(Usage { prompt, ..Usage::default() });
                Usage { completion: counted.completion.max(tokens), ..counted }
            }
            Answer::Whole(_, length) if knows_tokens => {
                Usage { prompt, completion: length / BYTES_PER_TOKEN, ..Usage::default() }
            }
            Answer::Whole(..) | Answer::Unread => return self.settle(None, Counted::Nobody, outcome, record),
        };
        self.settle(Some(usage), Counted::Estimate, outcome, record);
    }

    fn settle(&mut self, usage: Option<Usage>, counted: Counted, outcome: &str, record: &mut Record) {
        self.is_settled = true;
        (record.usage, record.counted) = (usage, counted);
        record.settle(outcome, true);
    }
}

async fn reserve(target: &Arc<Deployment>, estimate: Usage, record: &mut Record) -> Result<(), GatewayError> {
    let ledger = &record.app.ledger;
    let principal = record.principal.as_ref().filter(|principal| ledger.concerns(principal));
    let Some(principal) = principal else { return Ok(()) };
    // As with `provider/model`: a name that the client chose is no name of ours.
    let model = ModelName::from(target.id.as_str());
    let reservation = ledger.reserve(principal, &record.request_id, &model, target, estimate).await?;
    record.reservation = Some(reservation.of(Kind::PassThrough));
    Ok(())
}

/// The provider was left without an answer, or left us without one.
fn is_given_up(outcome: &str) -> bool {
    outcome == GatewayError::ClientGone.face().label || outcome == "upstream_timeout"
}
