//! One follower of a flight.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cache::exact::Entry;
use domain::Micros;
use pingora::http::ResponseHeader;

use super::Flight;
use crate::error::GatewayError;
use crate::request::Record;
use crate::upstream::Deployment;

/// A follower's place in the answer. Dropping it leaves the flight.
#[derive(Debug)]
pub struct Subscription {
    flight: Arc<Flight>,
    follower: u64,
    has_head: bool,
}

/// The answer's header, and who gave it.
#[derive(Debug)]
pub struct AnswerHead {
    /// As the lead would have sent it.
    pub header: ResponseHeader,
    /// Who answered.
    pub deployment: Option<Arc<Deployment>>,
    /// Another deployment than the first one answered.
    pub fallback: bool,
}

/// What came.
#[derive(Debug)]
pub enum News {
    /// First of all.
    Head(Arc<AnswerHead>),
    /// A piece of the body.
    Piece(Bytes),
    /// The whole answer has been taken, and cost so much.
    End(Micros),
}

impl AnswerHead {
    pub(super) fn new(header: ResponseHeader, record: &Record) -> Self {
        Self { header, deployment: record.deployment.clone(), fallback: record.fallback }
    }
}

impl Subscription {
    /// With `awaits` for the whole answer only.
    pub(super) fn new(flight: &Arc<Flight>, awaits: bool) -> Option<Self> {
        let follower = flight.log().follow(awaits)?;
        Some(Self { flight: flight.clone(), follower, has_head: false })
    }

    /// The next thing to send on.
    ///
    /// # Errors
    /// Why the lead has no answer, or no more of it.
    pub async fn next(&mut self) -> Result<News, GatewayError> {
        loop {
            // Made before the look, or what comes in between would not wake us.
            let flight = self.flight.clone();
            let came = flight.came.notified();
            if let Some(news) = self.look() {
                return news;
            }
            came.await;
        }
    }

    /// The whole answer; None when there is none that could be given in another form.
    ///
    /// # Errors
    /// Why the lead has no answer.
    pub async fn whole(&self) -> Result<Option<Arc<Entry>>, GatewayError> {
        loop {
            let came = self.flight.came.notified();
            {
                let log = self.flight.log();
                match (&log.end, &log.whole) {
                    (Some(Err(error)), _) => return Err(error.clone()),
                    (_, Some(whole)) => return Ok(whole.clone()),
                    _ => {}
                }
            }
            came.await;
        }
    }

    fn look(&mut self) -> Option<Result<News, GatewayError>> {
        let mut log = self.flight.log();
        if !self.has_head
            && let Some(head) = &log.head
        {
            self.has_head = true;
            return Some(Ok(News::Head(head.clone())));
        }
        let position = log.followers.get(&self.follower).copied()?;
        if let Some(piece) = position.checked_sub(log.gone).and_then(|index| log.pieces.get(index)).cloned() {
            log.followers.insert(self.follower, position + 1);
            if log.closed {
                self.flight.moved.notify_one();
            }
            return Some(Ok(News::Piece(piece)));
        }
        log.end.clone().map(|end| end.map(|()| News::End(log.cost)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut log = self.flight.log();
        log.followers.remove(&self.follower);
        if log.followers.is_empty() {
            log.left = Some(Instant::now());
        }
        if log.closed || log.followers.is_empty() {
            self.flight.moved.notify_one();
        }
    }
}
