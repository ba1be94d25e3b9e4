//! Server-sent events compiled to a script: framing, pauses, and the faults inside a stream.
//!
//! Owns what a broken stream looks like. It must not know what the events mean.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::answer::Refusal;
use crate::behaviour::Fault;
use crate::request::{Context, Format};
use crate::script::{Script, Step};

/// Half an event: the JSON ends within a string.
const BROKEN_EVENT: &str =
    r#"{"id":"broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hal"#;

/// A stream under construction.
pub(crate) struct EventStream<'a> {
    context: &'a Context<'a>,
    script: Script,
    /// The event being built, reused.
    event: Vec<u8>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    contents: usize,
    /// A fault took the stream over: whatever follows is not sent.
    over: bool,
    fault_done: bool,
}

impl<'a> EventStream<'a> {
    pub(crate) fn begin(context: &'a Context<'a>) -> Self {
        let mut script = Script::begin(context, Vec::with_capacity(8 << 10));
        script.stream = true;
        let ttft = context.behaviour.ttft.unwrap_or(context.state.options.ttft);
        let over = script.prelude(context, ttft);
        if !over {
            context.write_head(&mut script.bytes, 200, "text/event-stream; charset=utf-8");
            script.bytes.extend_from_slice(b"cache-control: no-cache\r\n");
            if context.http_10 {
                // Without chunks only the close marks the end (RFC 9112, section 6.3).
                script.keep_alive = false;
            } else {
                script.bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
            }
            script.bytes.extend_from_slice(b"\r\n");
        }
        let gzip = context.behaviour.gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        Self { context, script, event: Vec::new(), gzip, contents: 0, over, fault_done: over }
    }

    /// An event that carries no content. `name` is its `event:` line.
    pub(crate) fn event(&mut self, name: Option<&str>, value: &impl Serialize) {
        if !self.over {
            self.build(name, value);
            self.send(false);
        }
    }

    /// A content chunk: preceded by the gap, counted by `after`.
    pub(crate) fn content(&mut self, name: Option<&str>, value: &impl Serialize) {
        if self.contents == 0 {
            self.strike();
        } else if !self.over {
            self.gap();
        }
        if self.over {
            return;
        }
        self.build(name, value);
        self.send(true);
        self.contents += 1;
        self.strike();
    }

    /// The pause before an event that ends the stream.
    pub(crate) fn gap(&mut self) {
        let gap = self.context.behaviour.gap.unwrap_or(self.context.state.options.gap);
        if !self.over && !gap.is_zero() {
            self.script.steps.push(Step::Wait(gap));
        }
    }

    /// OpenAI's end marker.
    pub(crate) fn done(&mut self) {
        if !self.over && !self.withholds_end() {
            self.event.clear();
            self.event.extend_from_slice(b"data: [DONE]");
            self.end_lines(2);
            self.send(false);
        }
    }

    /// True when `fault=no_done` asks for a stream that is whole but for its end marker.
    pub(crate) fn withholds_end(&self) -> bool {
        let behaviour = &self.context.behaviour;
        behaviour.fault == Some(Fault::NoDone) && behaviour.after.is_none()
    }

    /// The last chunk, unless a fault has ended the stream.
    pub(crate) fn finish(mut self) -> Script {
        if !self.over {
            self.end_body();
        }
        self.script
    }

    /// Injects the fault when as many content chunks as `after` says are out.
    fn strike(&mut self) {
        let behaviour = &self.context.behaviour;
        let Some(fault) = behaviour.fault.filter(|_| !self.fault_done) else { return };
        // Faults that are events need a stream to happen in: without `after` they follow the first chunk.
        let in_band = matches!(fault, Fault::Malformed | Fault::ErrorEvent).then_some(1);
        if behaviour.after.or(in_band) != Some(self.contents) {
            return;
        }
        self.fault_done = true;
        if self.contents > 0 {
            self.gap();
        }
        match fault {
            Fault::Malformed => {
                self.event.clear();
                self.event.extend_from_slice(b"data: ");
                self.event.extend_from_slice(BROKEN_EVENT.as_bytes());
                self.end_lines(2);
                self.send(false);
            }
            Fault::ErrorEvent => self.error_event(),
            Fault::NoDone => self.end_body(),
            Fault::Hang | Fault::Reset | Fault::Close => self.script.steps.extend(fault.step()),
        }
        self.over = fault != Fault::Malformed;
    }

    fn error_event(&mut self) {
        let status = match self.context.format {
            Format::OpenAi => 500,
            Format::Anthropic => 529,
        };
        let envelope = Refusal::wished(status, "", None).envelope(self.context);
        self.event.clear();
        if self.context.format == Format::Anthropic {
            self.event.extend_from_slice(b"event: error");
            self.end_lines(1);
        }
        self.event.extend_from_slice(b"data: ");
        self.event.extend_from_slice(&envelope);
        self.end_lines(2);
        self.send(false);
        self.end_body();
    }

    fn build(&mut self, name: Option<&str>, value: &impl Serialize) {
        self.event.clear();
        if let Some(name) = name {
            self.event.extend_from_slice(b"event: ");
            self.event.extend_from_slice(name.as_bytes());
            self.end_lines(1);
        }
        self.event.extend_from_slice(b"data: ");
        // Strings and numbers written to a Vec cannot fail.
        let _ = serde_json::to_writer(&mut self.event, value);
        self.end_lines(2);
    }

    fn end_lines(&mut self, lines: usize) {
        let end: &[u8] = if self.context.behaviour.crlf { b"\r\n" } else { b"\n" };
        for _ in 0..lines {
            self.event.extend_from_slice(end);
        }
    }

    fn send(&mut self, content: bool) {
        if let Some(gzip) = &mut self.gzip {
            // Writing to a Vec cannot fail; the flush makes the event readable before the next one.
            let _ = gzip.write_all(&self.event);
            let _ = gzip.flush();
            self.event = std::mem::take(gzip.get_mut());
        }
        self.chunk();
        self.script.write(content);
    }

    fn chunk(&mut self) {
        if self.context.http_10 {
            self.script.bytes.extend_from_slice(&self.event);
            return;
        }
        let _ = write!(self.script.bytes, "{:x}\r\n", self.event.len());
        self.script.bytes.extend_from_slice(&self.event);
        self.script.bytes.extend_from_slice(b"\r\n");
    }

    fn end_body(&mut self) {
        if let Some(gzip) = self.gzip.take() {
            self.event = gzip.finish().unwrap_or_default();
            self.chunk();
        }
        if !self.context.http_10 {
            self.script.bytes.extend_from_slice(b"0\r\n\r\n");
        }
        self.script.write(false);
        self.over = true;
    }
}
