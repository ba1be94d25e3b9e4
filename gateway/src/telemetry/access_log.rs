//! The access log: one JSON object a line. Requests append to a bounded buffer; a thread writes it out ten times a second, and
//! sooner when so much waits that it would push other things out of the processor's cache: no request waits for a disk or a pipe.

use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use serde::Serialize;

use crate::routing::Decision;

/// Lines that do not fit are dropped and counted: a full disk must not stop the traffic.
const BUFFER_LIMIT: usize = 8 << 20;
/// What a decision that waits takes of that, about.
const DECISION_BYTES: usize = 1 << 10;
/// Lines are joined to writes of this.
const WRITE_BYTES: usize = 64 << 10;
/// When this much waits it is written at once.
const ENOUGH_BYTES: usize = 256 << 10;
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// One request. Absent values are left out.
#[derive(Debug, Serialize)]
pub struct AccessLine<'a> {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Our id of the request.
    pub request_id: &'a str,
    /// The caller's trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// The virtual key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// `chat`, `embeddings`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'a str>,
    /// The public model that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<&'a str>,
    /// What a virtual model decided, as in the answer's header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// The HTTP status; 499 when the client left.
    pub status: u16,
    /// `ok` or the error's label.
    pub outcome: &'a str,
    /// Whether it was streamed.
    pub stream: bool,
    /// Calls of deployments.
    pub attempts: u32,
    /// Whether another deployment than the first answered.
    pub fallback: bool,
    /// Attempts that went on with a broken stream.
    pub resumptions: u32,
    /// It followed the answer to an identical request.
    pub coalesced: bool,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// Micro-dollars.
    pub cost_micros: u64,
    /// From the request's arrival to its end.
    pub duration_us: u64,
    /// To the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_us: Option<u64>,
    /// Our own share of it.
    pub overhead_us: u64,
    /// The decision with all that it was made of, for `signalbox router replay`. The writer's thread puts it last: in the middle
    /// of a request it would cost three times as much.
    #[serde(skip)]
    pub decision: Option<&'a Arc<Decision>>,
}

/// The log's near end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AccessLog(Option<Arc<Buffer>>);

#[derive(Debug, Default)]
struct Buffer {
    lines: Mutex<Lines>,
    dropped: AtomicU64,
    /// Who writes them.
    writer: OnceLock<Thread>,
}

/// Lines that wait to be written.
#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    /// Decisions, and before which byte of the text each belongs.
    decisions: Vec<(usize, Arc<Decision>)>,
}

impl AccessLog {
    /// Opens `stdout`, `off`, or a file to append to.
    ///
    /// # Errors
    /// When the file cannot be opened or the writer thread cannot start.
    pub fn open(target: &str) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match target {
            "off" => return Ok(Self(None)),
            "stdout" => Box::new(io::stdout()),
            path => Box::new(std::fs::OpenOptions::new().create(true).append(true).open(path)?),
        };
        let buffer = Arc::new(Buffer::default());
        let far_end = buffer.clone();
        let writer = std::thread::Builder::new().name("access-log".to_owned());
        let writer = writer.spawn(move || write_out(&far_end, out))?;
        let _ = buffer.writer.set(writer.thread().clone());
        Ok(Self(Some(buffer)))
    }

    /// True when lines go nowhere.
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Appends a line.
    pub fn append(&self, line: &AccessLine<'_>) {
        let Some(buffer) = &self.0 else { return };
        let mut lines = buffer.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let before = lines.bytes();
        let is_taken = lines.append(line);
        let is_enough = before < ENOUGH_BYTES && lines.bytes() >= ENOUGH_BYTES;
        drop(lines);
        if !is_taken {
            buffer.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if is_enough && let Some(writer) = buffer.writer.get() {
            writer.unpark();
        }
    }

    /// Lines that did not fit.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |buffer| buffer.dropped.load(Ordering::Relaxed))
    }

    /// Waits until what was appended so far has been taken by the writer, a second at most.
    pub async fn drain(&self) {
        let Some(buffer) = &self.0 else { return };
        for _ in 0..10 {
            if buffer.lines.lock().unwrap_or_else(PoisonError::into_inner).text.is_empty() {
                break;
            }
            tokio::time::sleep(FLUSH_INTERVAL).await;
        }
        tokio::time::sleep(FLUSH_INTERVAL).await;
    }
}

impl Lines {
    /// What they take, about.
    fn bytes(&self) -> usize {
        self.text.len() + self.decisions.len() * DECISION_BYTES
    }

    /// False when there is no room, or the line is no JSON.
    fn append(&mut self, line: &AccessLine<'_>) -> bool {
        let length = self.text.len();
        if self.bytes() > BUFFER_LIMIT || serde_json::to_writer(&mut self.text, line).is_err() {
            self.text.truncate(length);
            return false;
        }
        if let Some(decision) = line.decision {
            self.decisions.push((self.text.len() - 1, decision.clone()));
        }
        self.text.push(b'\n');
        true
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut rest = &*self.text;
        let mut written = 0;
        for (before, decision) in &self.decisions {
            let (lines, behind) = rest.split_at_checked(before - written).unwrap_or((rest, &[]));
            out.write_all(lines)?;
            out.write_all(b",\"decision\":")?;
            serde_json::to_writer(&mut *out, decision.as_ref())?;
            (rest, written) = (behind, *before);
        }
        out.write_all(rest)?;
        out.flush()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.decisions.clear();
    }
}

fn write_out(buffer: &Arc<Buffer>, out: Box<dyn Write + Send>) {
    let mut out = BufWriter::with_capacity(WRITE_BYTES, out);
    let mut full = Lines::default();
    // The thread ends when the last near end is gone.
    while Arc::strong_count(buffer) > 1 {
        std::thread::park_timeout(FLUSH_INTERVAL);
        std::mem::swap(&mut full, &mut *buffer.lines.lock().unwrap_or_else(PoisonError::into_inner));
        if !full.text.is_empty() {
            // A reader that went away must not end the gateway.
            let _ = full.write(&mut out);
            full.clear();
        }
    }
}
