//! Performs a script on a socket, and notices at once when the other side leaves.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::record::Outcome;
use crate::script::{Script, Step};

/// A reader that takes nothing for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Pipelined bytes taken in while an answer is written; beyond it a hang-up shows only in a write.
const MAX_AHEAD_BYTES: usize = 256 << 10;

/// One side of a connection while an answer is performed.
pub(crate) struct Downstream<'a> {
    pub(crate) stream: &'a TcpStream,
    /// Takes what arrives meanwhile: the next request.
    pub(crate) inbox: &'a mut Vec<u8>,
    pub(crate) hang_limit: Duration,
}

/// The other side closed, or stopped reading.
#[derive(Clone, Copy)]
struct Gone;

impl Downstream<'_> {
    /// Sends the script. The outcome is not complete after a fault or when the reader left.
    pub(crate) async fn perform(&mut self, script: &Script) -> Outcome {
        if script.steps.is_empty() && script.split.is_none() && script.drip.is_none() {
            let sent = self.write(&script.bytes).await;
            return outcome(sent.map(|()| true), 0);
        }
        let mut events = 0;
        let ended = self.perform_steps(script, &mut events).await;
        outcome(ended, events)
    }

    /// `Ok(false)`: a fault ended it.
    async fn perform_steps(&mut self, script: &Script, events: &mut usize) -> Result<bool, Gone> {
        let mut due = Instant::now();
        let mut written = 0;
        for step in &script.steps {
            match *step {
                Step::Wait(pause) => {
                    // From due time to due time, so that the timer's millisecond does not add up.
                    due = (due + pause).max(Instant::now());
                    self.pause_until(due).await?;
                }
                Step::Write { end, content } => {
                    self.write_paced(script, script.bytes.get(written..end).unwrap_or_default()).await?;
                    written = end;
                    *events += usize::from(content);
                }
                Step::Reset => {
                    // An error means that the connection is gone already.
                    let _ = SockRef::from(self.stream).set_linger(Some(Duration::ZERO));
                    return Ok(false);
                }
                Step::Close => return Ok(false),
                Step::Hang => {
                    self.pause_until(Instant::now() + self.hang_limit).await?;
                    return Ok(false);
                }
            }
        }
        self.write_paced(script, script.bytes.get(written..).unwrap_or_default()).await?;
        Ok(true)
    }

    async fn write_paced(&mut self, script: &Script, bytes: &[u8]) -> Result<(), Gone> {
        if let Some(pause) = script.drip {
            for byte in bytes.chunks(1) {
                self.write(byte).await?;
                self.pause_until(Instant::now() + pause).await?;
            }
            return Ok(());
        }
        let Some(most) = script.split else { return self.write(bytes).await };
        for piece in bytes.chunks(most.max(1)) {
            self.write(piece).await?;
            // Lets a reader on the same runtime see the pieces apart.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn write(&self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(Gone),
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = timeout(WRITE_TIMEOUT, self.stream.writable()).await;
                    writable.map_err(|_| Gone)?.map_err(|_| Gone)?;
                }
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Waits, while watching for the other side's FIN or RST.
    async fn pause_until(&mut self, due: Instant) -> Result<(), Gone> {
        let sleep = sleep_until(due);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return Ok(()),
                ready = self.stream.readable(), if self.inbox.len() < MAX_AHEAD_BYTES => {
                    ready.map_err(|_| Gone)?;
                    self.take_in()?;
                }
            }
        }
    }

    fn take_in(&mut self) -> Result<(), Gone> {
        self.inbox.reserve(4 << 10);
        match self.stream.try_read_buf(self.inbox) {
            Ok(0) => Err(Gone),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Gone),
        }
    }
}

fn outcome(ended: Result<bool, Gone>, events: usize) -> Outcome {
    match ended {
        Ok(completed) => Outcome { completed, aborted_after_events: None },
        Err(Gone) => Outcome { completed: false, aborted_after_events: Some(events) },
    }
}
