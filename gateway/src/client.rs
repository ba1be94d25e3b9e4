//! Who takes an answer: one connection, or a flight that several connections follow.

use bytes::Bytes;
use domain::Micros;
use pingora::http::ResponseHeader;

use crate::error::GatewayError;
use crate::request::Record;

/// The receiving end of an answer, as the phases from dispatch on see it.
pub trait Client: Send {
    /// Resolves when nobody takes the answer any more.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;

    /// True once a final status was sent; a `100 Continue` is none.
    fn has_answered(&self) -> bool;

    /// Takes the answer's header. `record` says who answered.
    ///
    /// # Errors
    /// [`GatewayError::ClientGone`].
    fn write_head(
        &mut self,
        head: Box<ResponseHeader>,
        record: &Record,
    ) -> impl Future<Output = Result<(), GatewayError>> + Send;

    /// Hears what the answer cost, before the last piece of it. Only those who share one care.
    fn costs(&mut self, _cost: Micros) {}

    /// Takes a piece of the answer's body, the last one with `end`.
    ///
    /// # Errors
    /// [`GatewayError::ClientGone`].
    fn write(&mut self, piece: Bytes, end: bool) -> impl Future<Output = Result<(), GatewayError>> + Send;
}
