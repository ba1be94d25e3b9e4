//! Undoes `content-encoding: gzip`. We ask for identity, but some providers' edges compress anyway.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzDecoder;

/// The decoder of one answer's body.
#[derive(Debug)]
pub(super) enum ContentCoding {
    /// Nothing to undo.
    Identity,
    /// RFC 1952.
    Gzip(Box<GzDecoder<Vec<u8>>>),
}

impl ContentCoding {
    /// From the value of `content-encoding`.
    ///
    /// # Errors
    /// The name of a coding that cannot be undone.
    pub(super) fn new(header: Option<&[u8]>) -> Result<Self, String> {
        match header.map(<[u8]>::trim_ascii) {
            None | Some(b"" | b"identity") => Ok(Self::Identity),
            Some(b"gzip" | b"x-gzip") => Ok(Self::Gzip(Box::new(GzDecoder::new(Vec::new())))),
            Some(other) => Err(String::from_utf8_lossy(other).into_owned()),
        }
    }

    /// The bytes behind one chunk; at most `limit` of them.
    ///
    /// # Errors
    /// When the chunk is not valid gzip or expands beyond the limit.
    pub(super) fn decode(&mut self, chunk: Bytes, limit: usize) -> Result<Bytes, String> {
        let Self::Gzip(decoder) = self else { return Ok(chunk) };
        // Fed in small pieces, so that a bomb is noticed before it has grown.
        for piece in chunk.chunks(4_096) {
            decoder
                .write_all(piece)
                .and_then(|()| decoder.flush())
                .map_err(|error| format!("bad gzip: {error}"))?;
            if decoder.get_ref().len() > limit {
                return Err("a compressed answer expands beyond the limit".to_owned());
            }
        }
        Ok(Bytes::from(std::mem::take(decoder.get_mut())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_cut_anywhere_is_undone() {
        let mut coding = ContentCoding::new(Some(b"gzip")).unwrap();
        let mut text = Vec::new();
        for piece in gzip(b"data: {}\n\ndata: [DONE]\n\n").chunks(3) {
            text.extend_from_slice(&coding.decode(Bytes::copy_from_slice(piece), 1_000).unwrap());
        }
        assert_eq!(text, b"data: {}\n\ndata: [DONE]\n\n");
    }

    #[test]
    fn a_gzip_bomb_is_refused() {
        let mut coding = ContentCoding::new(Some(b"gzip")).unwrap();
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(coding.decode(Bytes::from(bomb), 1 << 20).is_err());
    }
}
