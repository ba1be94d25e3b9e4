//! An answer that is kept: its pieces as they came, and what was known of it.

use bytes::{Bytes, BytesMut};
use domain::{Micros, Usage};

/// What an entry takes beside its bytes, in memory.
const OVERHEAD: usize = 384;
/// And each piece.
const PIECE_OVERHEAD: usize = size_of::<Bytes>();

/// Facts about an entry that are yes or no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// The pieces are events of a stream; else they are one whole body.
    pub const STREAMED: Self = Self(1);
    /// The stream has a chunk with what was used.
    pub const WITH_USAGE: Self = Self(2);
    /// The answer calls tools.
    pub const CALLS_TOOLS: Self = Self(4);
    /// It is no answer but the provider's refusal of the request.
    pub const REFUSED: Self = Self(8);

    /// Are all of these set?
    pub fn contain(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With these set too.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was kept, in milliseconds since 1970.
    pub created_ms: u64,
    /// Until then it is served.
    pub fresh_until_ms: u64,
    /// Until then it may be served when there is nothing better.
    pub stale_until_ms: u64,
    /// What it is.
    pub flags: Flags,
    /// The answer's status.
    pub status: u16,
    /// What making it used.
    pub usage: Usage,
    /// What making it cost, and each hit saves.
    pub cost: Micros,
    /// Who answered.
    pub origin: Box<str>,
    /// The body, cut as it came. All pieces lie in one buffer.
    pub pieces: Vec<Bytes>,
}

impl Entry {
    /// Pieces that lie in one buffer and hold on to no other.
    pub fn gather(pieces: &[Bytes]) -> Vec<Bytes> {
        let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        for piece in pieces {
            all.extend_from_slice(piece);
        }
        let mut all = all.freeze();
        pieces.iter().map(|piece| all.split_to(piece.len())).collect()
    }

    /// The body's bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// True without a body.
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }

    /// What it takes in memory.
    pub(super) fn weight(&self) -> usize {
        OVERHEAD + self.origin.len() + self.len() + self.pieces.len() * PIECE_OVERHEAD
    }
}
