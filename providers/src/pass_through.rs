//! A streamed answer whose two formats are the same. Looks at every event and passes it on unchanged;
//! only what a client must not get is taken out and only the cost is put in.

use bytes::{Bytes, BytesMut};
use domain::Price;

use crate::answer_stream::Progress;
use crate::formats::StreamEncoder;
use crate::formats::anthropic::RunningUsage;
use crate::formats::{anthropic, gemini, openai, responses};
use crate::sse::{Block, Blocks, next_line};
use crate::transcript::Transcript;
use crate::{StreamFault, WireFormat};

/// What becomes of one event.
enum Verdict {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

/// The state of one stream beyond its [`Progress`].
#[derive(Debug)]
pub(crate) struct PassThrough {
    format: WireFormat,
    include_usage: bool,
    price: Option<Price>,
    running: RunningUsage,
    gemini_running: gemini::RunningUsage,
    joined: Vec<u8>,
}

impl PassThrough {
    pub(crate) fn new(format: WireFormat, include_usage: bool, price: Option<Price>) -> Self {
        let joined = Vec::new();
        let (running, gemini_running) = (RunningUsage::default(), gemini::RunningUsage::default());
        Self { format, include_usage, price, running, gemini_running, joined }
    }

    /// Takes whole events. The bytes before a fault are good and come out with it.
    pub(crate) fn take(&mut self, events: &Bytes, progress: &mut Progress) -> (Bytes, Option<StreamFault>) {
        let mut joined = std::mem::take(&mut self.joined);
        let mut blocks = Blocks::new(events);
        // Bytes before `kept_from` are in `out` already; most buffers are kept whole and never copied.
        let (mut out, mut kept_from, mut end) = (BytesMut::new(), 0, 0);
        let mut fault = None;
        while let Some(block) = blocks.next(&mut joined) {
            let verdict = match self.judge(events, &block, progress) {
                Ok(verdict) => verdict,
                Err(reason) => {
                    fault = Some(reason);
                    break;
                }
            };
            end = block.range.end;
            let replacement = match verdict {
                Verdict::Keep => continue,
                Verdict::Drop => Vec::new(),
                Verdict::Replace(bytes) => bytes,
            };
            out.extend_from_slice(events.get(kept_from..block.range.start).unwrap_or_default());
            out.extend_from_slice(&replacement);
            kept_from = end;
        }
        self.joined = joined;
        if kept_from == 0 {
            return (events.slice(..end), fault);
        }
        out.extend_from_slice(events.get(kept_from..end).unwrap_or_default());
        (out.freeze(), fault)
    }

    /// The end marker that a provider forgot after its last event.
    pub(crate) fn end_marker(&self) -> &'static [u8] {
        match self.format {
            WireFormat::OpenAi => b"data: [DONE]\n\n",
            WireFormat::Anthropic => b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            // What finishes an answer ends it.
            WireFormat::Responses => b"",
            // No client speaks them.
            WireFormat::Bedrock | WireFormat::Cohere => b"",
            // The end of the body is the end.
            WireFormat::Gemini => b"",
        }
    }

    /// For the answer that goes on with this one, if anything can.
    pub(crate) fn encoder(&self, transcript: &Transcript) -> Option<StreamEncoder> {
        StreamEncoder::resumed(self.format, self.include_usage, self.price, transcript)
    }

    fn judge(
        &mut self,
        events: &[u8],
        block: &Block<'_>,
        progress: &mut Progress,
    ) -> Result<Verdict, StreamFault> {
        // Nothing belongs behind the end marker.
        if progress.complete {
            return Ok(Verdict::Drop);
        }
        match self.format {
            WireFormat::OpenAi => self.judge_openai(events, block, progress),
            WireFormat::Anthropic => self.judge_anthropic(block, progress),
            WireFormat::Responses => judge_responses(events, block, progress),
            WireFormat::Bedrock | WireFormat::Cohere => Ok(Verdict::Keep),
            WireFormat::Gemini => self.judge_gemini(block, progress),
        }
    }

    fn judge_openai(
        &mut self,
        events: &[u8],
        block: &Block<'_>,
        progress: &mut Progress,
    ) -> Result<Verdict, StreamFault> {
        let Some(data) = block.data else { return Ok(without_data(events, block)) };
        let data = utf8(data)?;
        if data.trim_ascii() == "[DONE]" {
            progress.complete = true;
        } else {
            let probe = openai::probe_event(data)?;
            // LiteLLM's has a choice, which says nothing.
            let is_usage_chunk = probe.is_empty || progress.finished && !probe.content && !probe.finished;
            progress.content |= probe.content;
            progress.finished |= probe.finished;
            progress.transcript.name(data);
            progress.transcript.is_closed |= probe.closes;
            progress.transcript.push(probe.text.as_deref().unwrap_or_default());
            if let Some((usage, span)) = probe.usage {
                progress.usage = Some(usage);
                if is_usage_chunk && !self.include_usage && !span.is_empty() {
                    return Ok(Verdict::Drop);
                }
                let last = probe.is_empty || probe.finished;
                if let Some(price) = self.price.filter(|_| last && self.include_usage)
                    && let (Some(before), Some(object), Some(after)) =
                        (data.get(..span.start), data.get(span.clone()), data.get(span.end..))
                    && !object.is_empty()
                {
                    let priced = openai::with_cost(object, price.cost(&usage));
                    let json = [before.as_bytes(), &priced, after.as_bytes()].concat();
                    return Ok(Verdict::Replace(rebuilt(events, block, &json)));
                }
            }
        }
        Ok(without_id_and_retry(events, block, data))
    }

    fn judge_anthropic(
        &mut self,
        block: &Block<'_>,
        progress: &mut Progress,
    ) -> Result<Verdict, StreamFault> {
        let Some(data) = block.data else { return Ok(Verdict::Keep) };
        let data = utf8(data)?;
        let probe = anthropic::probe_event(data)?;
        progress.content |= probe.content;
        progress.finished |= probe.finished;
        progress.complete |= probe.done;
        progress.transcript.name(data);
        progress.transcript.is_closed |= probe.closes;
        progress.transcript.push(probe.text.as_deref().unwrap_or_default());
        progress.transcript.blocks = probe.blocks.unwrap_or(progress.transcript.blocks);
        if let Some(fields) = probe.usage {
            self.running.take(fields);
            progress.usage = self.running.usage();
        }
        Ok(Verdict::Keep)
    }

    fn judge_gemini(&mut self, block: &Block<'_>, progress: &mut Progress) -> Result<Verdict, StreamFault> {
        let Some(data) = block.data else { return Ok(Verdict::Keep) };
        let data = utf8(data)?;
        let probe = gemini::probe_event(data)?;
        progress.content |= probe.content;
        progress.finished |= probe.finished;
        progress.transcript.name(data);
        progress.transcript.is_closed |= probe.closes;
        progress.transcript.push(&probe.text);
        if let Some(fields) = probe.usage {
            self.gemini_running.take(fields);
            progress.usage = self.gemini_running.usage();
        }
        Ok(Verdict::Keep)
    }
}

fn judge_responses(
    events: &[u8],
    block: &Block<'_>,
    progress: &mut Progress,
) -> Result<Verdict, StreamFault> {
    let Some(data) = block.data else { return Ok(without_data(events, block)) };
    let data = utf8(data)?;
    // A marker of another format, which some servers add.
    if data.trim_ascii() == "[DONE]" {
        return Ok(Verdict::Drop);
    }
    let probe = responses::probe_event(data)?;
    progress.content |= probe.content;
    progress.finished |= probe.ended;
    progress.complete |= probe.ended;
    progress.usage = probe.usage.or(progress.usage);
    Ok(without_id_and_retry(events, block, data))
}

/// openai-python 3.3.0 reads a block without data as an empty event and fails on it.
fn without_data(events: &[u8], block: &Block<'_>) -> Verdict {
    if block.is_silent() { Verdict::Keep } else { Verdict::Replace(comments(events, block)) }
}

fn without_id_and_retry(events: &[u8], block: &Block<'_>, data: &str) -> Verdict {
    if block.has_other_fields {
        Verdict::Replace(rebuilt(events, block, data.as_bytes()))
    } else {
        Verdict::Keep
    }
}

fn utf8(data: &[u8]) -> Result<&str, StreamFault> {
    std::str::from_utf8(data)
        .map_err(|error| StreamFault::Malformed(format!("an event is not UTF-8: {error}")))
}

/// Only the comment lines of a block, and its blank line if it has any.
fn comments(events: &[u8], block: &Block<'_>) -> Vec<u8> {
    let mut out = lines_kept(events, block, |line| line.starts_with(b":"));
    if !out.is_empty() {
        out.push(b'\n');
    }
    out
}

/// The block with its comments and its name, without `id:` and `retry:`, and with this data in one
/// line: a line end in JSON stands between two values, where a space means the same.
fn rebuilt(events: &[u8], block: &Block<'_>, json: &[u8]) -> Vec<u8> {
    let mut out = lines_kept(events, block, |line| line.starts_with(b":") || line.starts_with(b"event"));
    out.extend_from_slice(b"data: ");
    out.extend(json.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
    out.extend_from_slice(b"\n\n");
    out
}

fn lines_kept(events: &[u8], block: &Block<'_>, keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let bytes = events.get(block.range.clone()).unwrap_or_default();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some((line, next)) = next_line(bytes, at) {
        if keep(line) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        at = next;
    }
    out
}
