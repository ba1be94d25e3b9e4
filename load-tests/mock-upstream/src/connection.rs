//! One accepted connection: reads requests one after the other and has them answered.
//!
//! Owns the buffers and the life of the connection. It must not know formats or faults.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::answer;
use crate::body::Chunks;
use crate::downstream::Downstream;
use crate::head::{Framing, Head, HeadError};
use crate::record::{Held, Outcome};
use crate::request::Request;
use crate::script::Script;
use crate::state::State;

const READ_BYTES: usize = 16 << 10;
/// A buffer that grew above this is given back after the request.
const KEPT_BUFFER_BYTES: usize = 1 << 20;
/// After a refusal with the body unread: how long, and how much of it, is thrown away before the
/// close, so that the refusal is not lost to a reset.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 8 << 20;

pub(crate) struct Connection {
    stream: TcpStream,
    state: Arc<State>,
    inbox: Vec<u8>,
    out: Vec<u8>,
}

/// Why reading ended without a request.
enum Stop {
    Closed,
    Refused(HeadError),
}

impl From<HeadError> for Stop {
    fn from(error: HeadError) -> Self {
        Self::Refused(error)
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, state: Arc<State>) -> Self {
        Self { stream, state, inbox: Vec::with_capacity(READ_BYTES), out: Vec::with_capacity(2 << 10) }
    }

    /// Serves until the other side closes, a fault ends it, or it idles too long.
    pub(crate) async fn run(mut self) {
        let state = Arc::clone(&self.state);
        let (_open, _) = Held::new(&state.counters.open_connections);
        let idle = sleep_until(Instant::now() + state.options.idle_timeout);
        tokio::pin!(idle);
        loop {
            let (head, chunked) = match self.read_request(idle.as_mut()).await {
                Ok(read) => read,
                Err(Stop::Closed) => return,
                Err(Stop::Refused(error)) => return self.refuse(error).await,
            };
            let keep_alive = self.answer(&head, chunked).await;
            if !keep_alive {
                return;
            }
        }
    }

    /// Reads one request; a chunked body comes decoded, another one stays in the inbox.
    async fn read_request(
        &mut self,
        mut idle: std::pin::Pin<&mut Sleep>,
    ) -> Result<(Head, Option<Vec<u8>>), Stop> {
        let head = loop {
            if let Some(head) = Head::parse(&self.inbox)? {
                break head;
            }
            self.fill(idle.as_mut()).await?;
        };
        let mut continue_due = head.expects_continue && !head.http_10;
        match head.framing {
            Framing::Length(length) => {
                let wanted = head.bytes + length;
                while self.inbox.len() < wanted {
                    self.send_continue(&mut continue_due).await?;
                    self.inbox.reserve(wanted - self.inbox.len());
                    self.fill(idle.as_mut()).await?;
                }
                Ok((head, None))
            }
            Framing::Chunked => {
                let mut chunks = Chunks::new();
                loop {
                    let raw = self.inbox.get(head.bytes..).unwrap_or_default();
                    let (used, ended) = chunks.decode(raw)?;
                    self.inbox.drain(head.bytes..head.bytes + used);
                    if ended {
                        return Ok((head, Some(chunks.body)));
                    }
                    self.send_continue(&mut continue_due).await?;
                    self.fill(idle.as_mut()).await?;
                }
            }
        }
    }

    /// Reads what has arrived, or waits for it.
    async fn fill(&mut self, mut idle: std::pin::Pin<&mut Sleep>) -> Result<(), Stop> {
        let mut waiting_since = None;
        self.inbox.reserve(READ_BYTES);
        loop {
            match self.stream.try_read_buf(&mut self.inbox) {
                Ok(0) => return Err(Stop::Closed),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Stop::Closed),
            }
            // One timer per connection, moved only when it fires: a timer per read costs more than
            // parsing the head.
            let since = *waiting_since.get_or_insert_with(Instant::now);
            tokio::select! {
                biased;
                ready = self.stream.readable() => ready.map_err(|_| Stop::Closed)?,
                () = &mut idle => {
                    let due = since + self.state.options.idle_timeout;
                    if due <= Instant::now() {
                        return Err(Stop::Closed);
                    }
                    idle.as_mut().reset(due);
                }
            }
        }
    }

    async fn send_continue(&mut self, due: &mut bool) -> Result<(), Stop> {
        if !std::mem::take(due) {
            return Ok(());
        }
        let script = Script { bytes: b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), ..Script::default() };
        let sent = self.perform(&script).await;
        if sent.completed { Ok(()) } else { Err(Stop::Closed) }
    }

    /// Answers the request at the start of the inbox. `false`: the connection ends.
    async fn answer(&mut self, head: &Head, chunked: Option<Vec<u8>>) -> bool {
        let state = Arc::clone(&self.state);
        let counters = &state.counters;
        counters.requests.fetch_add(1, Ordering::Relaxed);
        let (_in_flight, now) = Held::new(&counters.in_flight);
        if now > counters.max_in_flight.load(Ordering::Relaxed) {
            counters.max_in_flight.fetch_max(now, Ordering::Relaxed);
        }
        let end = match (&chunked, head.framing) {
            (None, Framing::Length(length)) => head.bytes + length,
            _ => head.bytes,
        };
        let own = self.inbox.get(head.bytes..end).unwrap_or_default();
        let body = chunked.as_deref().unwrap_or(own);
        let request = Request::new(head, &self.inbox, body);
        let slots = state.slots.as_ref().filter(|_| !request.is_control());
        let recorded = if request.is_control() { None } else { state.ring.add(head, &self.inbox, body) };
        let script = answer::compile(&state, &request, std::mem::take(&mut self.out));
        self.inbox.drain(..end);
        let _stream = script.stream.then(|| Held::new(&counters.open_streams));
        // Whoever left meanwhile gives the place back at the first pause or write.
        let _slot = match slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let outcome = self.perform(&script).await;
        if script.stream && outcome.aborted_after_events.is_some() {
            counters.aborted_streams.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(sequence) = recorded {
            state.ring.settle(sequence, outcome);
        }
        let keep_alive = script.keep_alive && outcome.completed;
        self.give_back(script.bytes);
        keep_alive
    }

    async fn perform(&mut self, script: &Script) -> Outcome {
        let hang_limit = self.state.options.hang_limit;
        Downstream { stream: &self.stream, inbox: &mut self.inbox, hang_limit }.perform(script).await
    }

    fn give_back(&mut self, out: Vec<u8>) {
        if out.capacity() <= KEPT_BUFFER_BYTES {
            self.out = out;
        }
        if self.inbox.is_empty() && self.inbox.capacity() > KEPT_BUFFER_BYTES {
            self.inbox = Vec::with_capacity(READ_BYTES);
        }
    }

    /// Says why, then reads on for a moment: closing with unread bytes would reset the connection
    /// and take the refusal with it.
    async fn refuse(&mut self, error: HeadError) {
        let script = answer::refuse_head(&self.state, error);
        self.inbox = Vec::new();
        if !self.perform(&script).await.completed {
            return;
        }
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
        let drain = async {
            let mut thrown_away = 0;
            while thrown_away < LINGER_BYTES && self.stream.readable().await.is_ok() {
                self.inbox.clear();
                self.inbox.reserve(READ_BYTES);
                match self.stream.try_read_buf(&mut self.inbox) {
                    Ok(0) => return,
                    Ok(bytes) => thrown_away += bytes,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        let _ = timeout(LINGER, drain).await;
    }
}
