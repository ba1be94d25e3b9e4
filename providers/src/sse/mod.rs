//! Server-sent events (WHATWG HTML, section 9.2.6) as bytes. Owns where an event begins and ends;
//! knows nothing of what is inside one.

mod block;
mod framer;

pub(crate) use block::{Block, Blocks};
pub(crate) use framer::{Framer, TooLong};

/// The longest event that is taken: larger than any tool call or inline image a provider streams.
pub(crate) const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// The line that ends at or before `from`'s next line end: (line without its end, offset after it).
/// Line ends are LF, CRLF and CR. A last line without an end counts as a line.
pub(crate) fn next_line(buffer: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = buffer.get(from..).filter(|rest| !rest.is_empty())?;
    let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
        return Some((rest, buffer.len()));
    };
    let line = rest.get(..length)?;
    let crlf = rest.get(length) == Some(&b'\r') && rest.get(length + 1) == Some(&b'\n');
    Some((line, from + length + if crlf { 2 } else { 1 }))
}
