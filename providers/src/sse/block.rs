//! Reads the lines of whole events.

use std::ops::Range;

use super::next_line;

/// One event, or a run of comments or blank lines between events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// Its bytes in the buffer, blank line included.
    pub(crate) range: Range<usize>,
    /// The event's name, when one is given.
    pub(crate) event: Option<&'a [u8]>,
    /// The data lines, joined by LF. None when there is no data line, or only an empty one.
    pub(crate) data: Option<&'a [u8]>,
    /// It has comment lines.
    pub(crate) has_comments: bool,
    /// It has `id:` or `retry:` lines, or lines with an unknown field.
    pub(crate) has_other_fields: bool,
}

impl Block<'_> {
    /// Nothing but comments and its blank line.
    pub(crate) fn is_silent(&self) -> bool {
        self.event.is_none() && self.data.is_none() && !self.has_other_fields
    }
}

/// Walks over the events of a buffer. Multi-line data is joined in a buffer of its own, so that the
/// usual single line costs no copy.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    buffer: &'a [u8],
    at: usize,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(buffer: &'a [u8]) -> Self {
        Self { buffer, at: 0 }
    }

    /// The next event; `joined` is overwritten when its data has several lines.
    pub(crate) fn next<'b>(&mut self, joined: &'b mut Vec<u8>) -> Option<Block<'b>>
    where
        'a: 'b,
    {
        let start = self.at;
        let mut lines = Lines::default();
        while let Some((line, next)) = next_line(self.buffer, self.at) {
            self.at = next;
            if line.is_empty() {
                break;
            }
            lines.take(line, joined);
        }
        if self.at == start {
            return None;
        }
        let data: Option<&'b [u8]> = if lines.data_lines > 1 { Some(joined) } else { lines.data };
        Some(Block {
            range: start..self.at,
            event: lines.event,
            data: data.filter(|data| !data.is_empty()),
            has_comments: lines.has_comments,
            has_other_fields: lines.has_other_fields,
        })
    }
}

#[derive(Default)]
struct Lines<'a> {
    event: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
    data_lines: usize,
    has_comments: bool,
    has_other_fields: bool,
}

impl<'a> Lines<'a> {
    fn take(&mut self, line: &'a [u8], joined: &mut Vec<u8>) {
        let (field, value) = split_field(line);
        match field {
            b"" => self.has_comments = true,
            b"data" => {
                self.data_lines += 1;
                match self.data {
                    None => self.data = Some(value),
                    Some(first) => {
                        if self.data_lines == 2 {
                            joined.clear();
                            joined.extend_from_slice(first);
                        }
                        joined.push(b'\n');
                        joined.extend_from_slice(value);
                    }
                }
            }
            b"event" => self.event = Some(value),
            _ => self.has_other_fields = true,
        }
    }
}

/// Field name and value; one space after the colon belongs to neither.
pub(crate) fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr::memchr(b':', line) else { return (line, b"") };
    let (field, value) = line.split_at_checked(colon).unwrap_or((line, b""));
    let value = value.strip_prefix(b":").unwrap_or(value);
    (field, value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_of(buffer: &str) -> Vec<Option<String>> {
        let mut blocks = Blocks::new(buffer.as_bytes());
        let mut joined = Vec::new();
        let mut all = Vec::new();
        while let Some(block) = blocks.next(&mut joined) {
            all.push(block.data.map(|data| String::from_utf8_lossy(data).into_owned()));
        }
        all
    }

    #[test]
    fn data_is_read_with_and_without_the_space_and_over_several_lines() {
        assert_eq!(
            data_of("data:1\n\ndata: 2\r\n\r\ndata:  3\r\r"),
            [Some("1".to_owned()), Some("2".to_owned()), Some(" 3".to_owned())]
        );
        assert_eq!(data_of("data: a\ndata: b\ndata:\n\n"), [Some("a\nb\n".to_owned())]);
    }

    #[test]
    fn comments_blank_lines_and_nameless_fields_are_no_data() {
        assert_eq!(data_of(": ping\n\n\ndata\n\n"), [None, None, None]);
    }

    #[test]
    fn a_block_knows_its_fields_and_its_place() {
        let buffer = b": c\nevent: e\nid: 7\ndata: x\n\n";
        let mut joined = Vec::new();
        let block = Blocks::new(buffer).next(&mut joined).unwrap();
        assert_eq!(block.range, 0..buffer.len());
        assert_eq!((block.event, block.data), (Some(&b"e"[..]), Some(&b"x"[..])));
        assert!(block.has_comments && block.has_other_fields && !block.is_silent());
    }
}
