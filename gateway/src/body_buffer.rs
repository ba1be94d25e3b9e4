//! Collects a body of either side, up to a limit.

use bytes::{Bytes, BytesMut};

/// First guess, in bytes, for a body without a length.
const CAPACITY: usize = 64 << 10;

/// The chunks of a body so far. Most bodies come in one piece, which is not copied.
#[derive(Debug)]
pub struct BodyBuffer {
    first: Bytes,
    rest: BytesMut,
    limit: usize,
    length: Option<usize>,
}

/// The body is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl BodyBuffer {
    /// For a body of at most `limit` bytes; `length` is what its sender announced.
    pub fn new(limit: usize, length: Option<usize>) -> Self {
        Self { first: Bytes::new(), rest: BytesMut::new(), limit, length }
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// [`TooLong`]; nothing is appended then.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), TooLong> {
        if self.first.len() + self.rest.len() + chunk.len() > self.limit {
            return Err(TooLong);
        }
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = chunk;
            return Ok(());
        }
        if self.rest.is_empty() {
            self.rest.reserve(self.length.unwrap_or(CAPACITY));
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&chunk);
        Ok(())
    }

    /// The body.
    pub fn finish(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let chunk = Bytes::from(vec![1; 100]);
        let mut body = BodyBuffer::new(100, None);
        body.push(chunk.clone()).unwrap();
        assert_eq!(body.finish().as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn pieces_are_joined_in_order_up_to_the_limit() {
        let mut body = BodyBuffer::new(6, Some(6));
        for piece in ["ab", "", "cd", "ef"] {
            body.push(Bytes::from_static(piece.as_bytes())).unwrap();
        }
        assert_eq!(body.push(Bytes::from_static(b"g")), Err(TooLong));
        assert_eq!(body.finish(), "abcdef");
    }
}
