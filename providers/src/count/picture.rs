//! The tokens of pictures and documents, by the providers' documented formulas as far as the size can be
//! seen: <https://docs.claude.com/en/docs/build-with-claude/vision> and
//! <https://platform.openai.com/docs/guides/images-vision>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::family::Kind;

/// The size that is assumed for a picture behind an address.
const USUAL_SIZE: (u64, u64) = (1_024, 1_024);

/// A picture with this base64 payload, or behind an address.
pub(super) fn picture(payload: Option<&str>, kind: Kind) -> u64 {
    let (width, height) = payload.and_then(size).unwrap_or(USUAL_SIZE);
    match kind {
        // One token for 750 pixels, after shrinking to about 1.15 megapixels.
        Kind::Claude => (width.saturating_mul(height) / 750).clamp(1, 1_568),
        Kind::Gemini => 258,
        // 85, and 170 for every square of 512 pixels once the shorter side is at most 768.
        Kind::OpenAi => {
            let (short, long) = (width.min(height).max(1), width.max(height).max(1));
            let (short, long) = if long > 2_048 { (short * 2_048 / long, 2_048) } else { (short, long) };
            let (short, long) = if short > 768 { (768, long * 768 / short) } else { (short, long) };
            85 + 170 * short.div_ceil(512).max(1) * long.div_ceil(512)
        }
    }
}

/// A document: one page for every 50 kB, at 2,000 tokens a page. A rough guess: how many pages a PDF
/// has is known only to those who read it.
pub(super) fn document(payload: Option<&str>) -> u64 {
    2_000 * payload.map_or(1, |payload| (payload.len() as u64 / 66_000).max(1))
}

/// Width and height from the head of a PNG, GIF or JPEG.
fn size(payload: &str) -> Option<(u64, u64)> {
    // JPEG's size may stand behind a preview of up to 64 kB.
    let head = payload.get(..payload.len().min(96 * 1024) / 4 * 4)?;
    let bytes = STANDARD_NO_PAD.decode(head.trim_end_matches('=')).ok()?;
    let two = |at: usize| Some(u64::from(*bytes.get(at)?) << 8 | u64::from(*bytes.get(at + 1)?));
    let little = |at: usize| Some(u64::from(*bytes.get(at)?) | u64::from(*bytes.get(at + 1)?) << 8);
    if bytes.starts_with(b"\x89PNG") {
        return Some((two(16)? << 16 | two(18)?, two(20)? << 16 | two(22)?));
    }
    if bytes.starts_with(b"GIF8") {
        return Some((little(6)?, little(8)?));
    }
    if !bytes.starts_with(b"\xff\xd8") {
        return None;
    }
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        // The frame header, in any of its variants.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            return Some((two(at + 7)?, two(at + 5)?));
        }
        at += 2 + usize::try_from(two(at + 2)?.max(2)).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_from_the_head() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x03\x20\0\0\x02\x58\x08";
        let gif = b"GIF89a\x20\x03\x58\x02";
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\x02\x58\x03\x20\x03";
        for bytes in [&png[..], &gif[..], &jpeg[..]] {
            let mut bytes = bytes.to_vec();
            bytes.resize(48, 0);
            assert_eq!(size(&base64::engine::general_purpose::STANDARD.encode(&bytes)), Some((800, 600)));
        }
        for junk in ["", "####", "AAAA", "/9j/"] {
            assert_eq!(size(junk), None);
        }
    }

    #[test]
    fn the_documented_examples_hold() {
        assert_eq!(picture(None, Kind::OpenAi), 765);
        assert_eq!(picture(None, Kind::Claude), 1_398);
    }
}
