//! Decoding of chunked request bodies (RFC 9112, section 7.1).
//!
//! Owns the decoder's state between reads; it must not read from a socket.

use crate::head::{HeadError, MAX_BODY_BYTES};

/// A chunk-size line or a trailer longer than this is refused.
const MAX_LINE_BYTES: usize = 8 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Size,
    Bytes(usize),
    BytesEnd,
    Trailer,
}

/// Collects the chunks of one body.
#[derive(Debug)]
pub(crate) struct Chunks {
    pub(crate) body: Vec<u8>,
    expect: Expect,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { body: Vec::new(), expect: Expect::Size }
    }

    /// Decodes what it can from `raw`. Returns the bytes used up, and whether the body has ended.
    pub(crate) fn decode(&mut self, raw: &[u8]) -> Result<(usize, bool), HeadError> {
        let mut used = 0;
        loop {
            let rest = raw.get(used..).unwrap_or_default();
            if let Expect::Bytes(wanted) = self.expect {
                let part = rest.get(..wanted.min(rest.len())).unwrap_or_default();
                self.body.extend_from_slice(part);
                used += part.len();
                if part.len() < wanted {
                    self.expect = Expect::Bytes(wanted - part.len());
                    return Ok((used, false));
                }
                self.expect = Expect::BytesEnd;
                continue;
            }
            let Some((line, bytes)) = line(rest)? else { return Ok((used, false)) };
            used += bytes;
            match self.expect {
                Expect::Size => self.expect = self.begin(line)?,
                Expect::BytesEnd if line.is_empty() => self.expect = Expect::Size,
                Expect::Trailer if line.is_empty() => return Ok((used, true)),
                Expect::Trailer => {}
                Expect::BytesEnd | Expect::Bytes(_) => return Err(HeadError::Malformed),
            }
        }
    }

    fn begin(&self, line: &[u8]) -> Result<Expect, HeadError> {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .ok_or(HeadError::Malformed)?;
        if size > MAX_BODY_BYTES.saturating_sub(self.body.len()) {
            return Err(HeadError::BodyTooLarge);
        }
        Ok(if size == 0 { Expect::Trailer } else { Expect::Bytes(size) })
    }
}

/// The line at the start of `raw` without its end, and its length with it.
fn line(raw: &[u8]) -> Result<Option<(&[u8], usize)>, HeadError> {
    match memchr::memchr(b'\n', raw) {
        Some(end) if end <= MAX_LINE_BYTES => {
            let line = raw.get(..end).unwrap_or_default();
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
        }
        None if raw.len() <= MAX_LINE_BYTES => Ok(None),
        _ => Err(HeadError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &[u8] = b"4;ext=1\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\nGET";

    #[test]
    fn chunks_with_extensions_and_trailers_are_joined() {
        let mut chunks = Chunks::new();
        assert_eq!(chunks.decode(RAW), Ok((RAW.len() - 3, true)));
        assert_eq!(chunks.body, b"Wikipedia");
    }

    #[test]
    fn a_body_cut_at_any_byte_decodes_to_the_same() {
        for cut in 0..RAW.len() - 3 {
            let mut chunks = Chunks::new();
            let (used, ended) = chunks.decode(&RAW[..cut]).unwrap();
            assert!(!ended, "cut at {cut}");
            assert!(chunks.decode(&RAW[used..]).unwrap().1, "cut at {cut}");
            assert_eq!(chunks.body, b"Wikipedia", "cut at {cut}");
        }
    }

    #[test]
    fn a_size_that_is_no_hexadecimal_number_is_refused() {
        assert_eq!(Chunks::new().decode(b"zz\r\n"), Err(HeadError::Malformed));
        assert_eq!(Chunks::new().decode(b"\r\n"), Err(HeadError::Malformed));
    }

    #[test]
    fn a_chunk_above_the_body_limit_is_refused() {
        assert_eq!(Chunks::new().decode(b"fffffff\r\n"), Err(HeadError::BodyTooLarge));
    }
}
