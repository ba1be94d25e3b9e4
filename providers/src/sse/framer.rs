//! Cuts a byte stream after its last whole event. A chunk that ends with an event goes through
//! without a copy; what is left over waits for the next chunk.

use bytes::{Buf, Bytes, BytesMut};

use super::MAX_EVENT_BYTES;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event is longer than [`MAX_EVENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The state between two chunks. Holds at most one unfinished event.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    pending: BytesMut,
    scan: Scan,
    started: bool,
}

/// Where the search stands in the pending bytes, so that no byte is looked at twice.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    block_start: usize,
    line_start: usize,
    searched: usize,
}

impl Framer {
    /// All events that are whole once `chunk` has arrived; they end with their blank line.
    pub(crate) fn feed(&mut self, chunk: Bytes) -> Result<Option<Bytes>, TooLong> {
        let Some(mut chunk) = self.strip_mark(chunk) else { return Ok(None) };
        let (whole, kept) = if self.pending.is_empty() {
            let mut scan = Scan::default();
            scan.run(&chunk)?;
            let whole = chunk.split_to(scan.block_start);
            self.pending.extend_from_slice(&chunk);
            (whole, scan)
        } else {
            self.pending.extend_from_slice(&chunk);
            let mut scan = self.scan;
            scan.run(&self.pending)?;
            (self.pending.split_to(scan.block_start).freeze(), scan)
        };
        self.scan = kept.rebased();
        if self.pending.len() > MAX_EVENT_BYTES {
            return Err(TooLong);
        }
        Ok((!whole.is_empty()).then_some(whole))
    }

    /// What is left when the upstream ends: an event without its blank line, or nothing.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.scan = Scan::default();
        self.pending.split().freeze()
    }

    /// Removes a byte order mark from the very beginning: client libraries take it for a part of the
    /// first field's name and lose the first event. None: the beginning is not decided yet.
    fn strip_mark(&mut self, chunk: Bytes) -> Option<Bytes> {
        if self.started {
            return Some(chunk);
        }
        self.pending
            .extend_from_slice(chunk.get(..chunk.len().min(BYTE_ORDER_MARK.len())).unwrap_or_default());
        if self.pending.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&self.pending) {
            return None;
        }
        // The peeked bytes are in `pending`; put the chunk's remainder behind them unless the chunk
        // alone holds everything, which is the usual case and must not copy.
        let peeked = chunk.len().min(BYTE_ORDER_MARK.len());
        let mut whole = if self.pending.len() == peeked {
            self.pending.clear();
            chunk
        } else {
            let mut joined = self.pending.split();
            joined.extend_from_slice(chunk.get(peeked..).unwrap_or_default());
            joined.freeze()
        };
        self.started = true;
        if whole.starts_with(BYTE_ORDER_MARK) {
            whole.advance(BYTE_ORDER_MARK.len());
        }
        Some(whole)
    }
}

impl Scan {
    /// Moves `block_start` behind the last whole event of the buffer.
    fn run(&mut self, buffer: &[u8]) -> Result<(), TooLong> {
        while let Some(offset) =
            buffer.get(self.searched..).and_then(|rest| memchr::memchr2(b'\n', b'\r', rest))
        {
            let at = self.searched + offset;
            let next = match (buffer.get(at), buffer.get(at + 1)) {
                // A CR at the very end may be half of a CRLF: only the next byte tells.
                (Some(b'\r'), None) => {
                    self.searched = at;
                    return Ok(());
                }
                (Some(b'\r'), Some(b'\n')) => at + 2,
                _ => at + 1,
            };
            if at == self.line_start {
                if next - self.block_start > MAX_EVENT_BYTES {
                    return Err(TooLong);
                }
                self.block_start = next;
            }
            self.line_start = next;
            self.searched = next;
        }
        self.searched = buffer.len();
        Ok(())
    }

    /// The same place once everything before `block_start` has been taken away.
    fn rebased(self) -> Self {
        Self {
            block_start: 0,
            line_start: self.line_start - self.block_start,
            searched: self.searched - self.block_start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_all(pieces: &[&[u8]]) -> Vec<u8> {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        for piece in pieces {
            if let Some(whole) = framer.feed(Bytes::copy_from_slice(piece)).unwrap() {
                out.extend_from_slice(&whole);
            }
        }
        out
    }

    #[test]
    fn whole_events_of_one_chunk_come_out_as_one_slice_of_it() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: 3");
        let whole = Framer::default().feed(chunk.clone()).unwrap().unwrap();
        assert_eq!(&whole[..], b"data: 1\n\ndata: 2\n\n");
        assert_eq!(whole.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn every_line_end_ends_an_event() {
        assert_eq!(feed_all(&[b"data: 1\r\n\r\ndata: 2"]), b"data: 1\r\n\r\n");
        assert_eq!(feed_all(&[b"data: 1\r\rdata: 2"]), b"data: 1\r\r");
        assert_eq!(feed_all(&[b"data: 1\r\n\ndata: 2"]), b"data: 1\r\n\n");
    }

    #[test]
    fn a_cut_between_cr_and_lf_makes_no_second_line_end() {
        assert_eq!(feed_all(&[b"data: 1\r", b"\n\r", b"\ndata: 2"]), b"data: 1\r\n\r\n");
        assert_eq!(feed_all(&[b"data: 1\r", b"\ndata: 2\r\n", b"\r\n"]), b"data: 1\r\ndata: 2\r\n\r\n");
    }

    #[test]
    fn a_byte_order_mark_is_removed_however_it_is_cut() {
        assert_eq!(feed_all(&[b"\xef\xbb\xbfdata: 1\n\n"]), b"data: 1\n\n");
        assert_eq!(feed_all(&[b"\xef", b"\xbb", b"\xbfdata: 1\n", b"\n"]), b"data: 1\n\n");
        assert_eq!(feed_all(&[b"d", b"a", b"ta: 1\n\n"]), b"data: 1\n\n");
        assert_eq!(feed_all(&[b"\xef\xbb", b"x: 1\n\n"]), b"\xef\xbbx: 1\n\n");
    }

    #[test]
    fn an_event_above_the_limit_is_refused_whole_or_in_pieces() {
        let mut framer = Framer::default();
        let long = Bytes::from(vec![b'x'; MAX_EVENT_BYTES]);
        assert_eq!(framer.feed(long.clone()), Ok(None));
        assert_eq!(framer.feed(long.clone()), Err(TooLong));
        let mut ended = long.to_vec();
        ended.extend_from_slice(b"\n\n");
        assert_eq!(Framer::default().feed(Bytes::from(ended)), Err(TooLong));
    }

    #[test]
    fn what_is_left_at_the_end_is_given_back() {
        let mut framer = Framer::default();
        assert_eq!(framer.feed(Bytes::from_static(b"data: 1\n\ndata: 2\n")).unwrap().unwrap(), "data: 1\n\n");
        assert_eq!(framer.finish(), "data: 2\n");
        assert!(framer.finish().is_empty());
    }
}
