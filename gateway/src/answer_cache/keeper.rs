//! Collects an answer on its way to the client, up to a limit.

use bytes::Bytes;
use domain::Micros;
use pingora::http::ResponseHeader;

use crate::client::Client;
use crate::error::GatewayError;
use crate::request::Record;

/// A client, and what it was sent.
pub struct Keeper<'a, C> {
    client: &'a mut C,
    pieces: Vec<Bytes>,
    /// What may still come; None once it was too much.
    room: Option<usize>,
}

impl<'a, C> Keeper<'a, C> {
    /// Of at most so many bytes.
    pub fn new(client: &'a mut C, limit: usize) -> Self {
        Self { client, pieces: Vec::new(), room: Some(limit) }
    }

    /// The pieces of the answer; None when it was too large.
    pub fn into_pieces(self) -> Option<Vec<Bytes>> {
        self.room.map(|_| self.pieces)
    }
}

impl<C: Client> Client for Keeper<'_, C> {
    fn gone(&mut self) -> impl Future<Output = ()> + Send {
        self.client.gone()
    }

    fn has_answered(&self) -> bool {
        self.client.has_answered()
    }

    fn write_head(
        &mut self,
        head: Box<ResponseHeader>,
        record: &Record,
    ) -> impl Future<Output = Result<(), GatewayError>> + Send {
        self.client.write_head(head, record)
    }

    fn costs(&mut self, cost: Micros) {
        self.client.costs(cost);
    }

    fn write(&mut self, piece: Bytes, end: bool) -> impl Future<Output = Result<(), GatewayError>> + Send {
        if let Some(room) = self.room {
            self.room = room.checked_sub(piece.len());
            if self.room.is_none() {
                self.pieces = Vec::new();
            } else if !piece.is_empty() {
                self.pieces.push(piece.clone());
            }
        }
        self.client.write(piece, end)
    }
}
