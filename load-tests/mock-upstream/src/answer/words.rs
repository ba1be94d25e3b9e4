//! The text of an answer: words echoed from the request, as many as asked for.

use crate::behaviour::Behaviour;

/// Words echoed when nothing else is asked for; a book sent in does not come back.
const MAX_ECHOED_WORDS: u64 = 64;

/// Why the text ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    StopSequence(String),
}

/// A text with its length in words, which are the mock's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) words: u64,
    pub(super) finish: Finish,
}

/// What bounds the text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds<'a> {
    /// Words wanted; `None`: as many as the source has.
    pub(super) chunks: Option<usize>,
    /// `max_tokens`.
    pub(super) limit: Option<u64>,
    pub(super) stops: &'a [String],
    /// What the client put into the assistant's mouth: the answer goes on behind it.
    pub(super) prefill: Option<&'a str>,
}

impl Text {
    /// Repeats the words of `source` until the text is as long as asked for.
    pub(super) fn compose(source: &str, behaviour: &Behaviour, bounds: Bounds<'_>) -> Self {
        let source = if source.trim_ascii().is_empty() { "ok" } else { source };
        let once = behaviour.size.is_none() && behaviour.chunks.or(bounds.chunks).is_none();
        let size = behaviour.size;
        let wanted = match (size, behaviour.chunks.or(bounds.chunks)) {
            (Some(_), _) => u64::MAX,
            (None, Some(chunks)) => chunks as u64,
            (None, None) => MAX_ECHOED_WORDS,
        };
        let mut text = String::with_capacity(size.unwrap_or(512) + 16);
        let mut words = 0;
        let mut finish = Finish::Stop;
        let mut next = source.split_ascii_whitespace();
        while words < wanted && size.is_none_or(|size| text.len() < size) {
            let Some(word) = next.next() else {
                if once {
                    break;
                }
                next = source.split_ascii_whitespace();
                continue;
            };
            if bounds.limit.is_some_and(|limit| words >= limit) {
                finish = Finish::Length;
                break;
            }
            if words > 0 {
                text.push(' ');
            }
            text.push_str(word);
            words += 1;
        }
        if let Some(size) = size {
            fit(&mut text, size, finish == Finish::Length);
        }
        let mut composed = Self { text, words, finish };
        composed.stop_at(bounds.stops);
        composed.go_on_from(bounds.prefill);
        composed
    }

    /// The text in as many pieces as `chunks` says, or one per word; joined they are the text.
    pub(super) fn pieces(&self, chunks: Option<usize>) -> Vec<&str> {
        match chunks {
            Some(chunks) if chunks as u64 != self.words => equal_pieces(&self.text, chunks),
            _ => word_pieces(&self.text),
        }
    }

    fn stop_at(&mut self, stops: &[String]) {
        let found = stops.iter().filter(|stop| !stop.is_empty());
        let first = found.filter_map(|stop| Some((self.text.find(stop.as_str())?, stop))).min();
        if let Some((position, stop)) = first {
            self.text.truncate(position);
            self.words = self.text.split_ascii_whitespace().count() as u64;
            self.finish = Finish::StopSequence(stop.clone());
        }
    }

    fn go_on_from(&mut self, prefill: Option<&str>) {
        if let Some(rest) = prefill.and_then(|prefill| self.text.strip_prefix(prefill)) {
            self.text = rest.to_owned();
            self.words = self.text.split_ascii_whitespace().count() as u64;
        }
    }
}

/// Cuts, or fills with full stops, to exactly `size` bytes; `short` texts are only cut.
fn fit(text: &mut String, size: usize, short: bool) {
    let cut = (0..=size.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(cut.unwrap_or(0));
    while !short && text.len() < size {
        text.push('.');
    }
}

fn word_pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (position, _) in text.match_indices(' ').skip_while(|(position, _)| *position == 0) {
        pieces.extend(text.get(start..position));
        start = position;
    }
    pieces.extend(text.get(start..).filter(|last| !last.is_empty()));
    pieces
}

fn equal_pieces(text: &str, chunks: usize) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(chunks.min(text.len()));
    let mut start = 0;
    for chunk in 1..=chunks {
        let aim = text.len() * chunk / chunks.max(1);
        let end = (aim..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        pieces.extend(text.get(start..end).filter(|piece| !piece.is_empty()));
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose(source: &str, wishes: &str, bounds: Bounds<'_>) -> Text {
        let mut behaviour = Behaviour::default();
        behaviour.apply(wishes).unwrap();
        Text::compose(source, &behaviour, bounds)
    }

    #[test]
    fn the_words_come_back_once_and_short() {
        let text = compose("one  two\nthree", "m", Bounds::default());
        assert_eq!((text.text.as_str(), text.words, text.finish), ("one two three", 3, Finish::Stop));
        let long = "w ".repeat(1000);
        assert_eq!(compose(&long, "m", Bounds::default()).words, 64);
    }

    #[test]
    fn chunks_repeat_the_words_and_each_is_one_piece() {
        let text = compose("one two", "m;chunks=3", Bounds::default());
        assert_eq!(text.pieces(Some(3)), ["one", " two", " one"]);
    }

    #[test]
    fn a_size_is_met_to_the_byte_and_cut_in_equal_pieces() {
        let text = compose("grüße an alle", "m;size=101;chunks=10", Bounds::default());
        assert_eq!(text.text.len(), 101);
        let pieces = text.pieces(Some(10));
        assert_eq!((pieces.len(), pieces.concat()), (10, text.text.clone()));
    }

    #[test]
    fn the_token_limit_and_stops_end_the_text() {
        let limited = compose("a b c", "m", Bounds { limit: Some(2), ..Bounds::default() });
        assert_eq!((limited.text.as_str(), limited.finish), ("a b", Finish::Length));
        let stops = ["c".to_owned(), "b".to_owned()];
        let stopped = compose("a b c", "m", Bounds { stops: &stops, ..Bounds::default() });
        assert_eq!((stopped.text.as_str(), stopped.words), ("a ", 1));
        assert_eq!(stopped.finish, Finish::StopSequence("b".to_owned()));
    }

    #[test]
    fn a_prefilled_answer_goes_on_behind_the_prefix() {
        let text = compose("one two three", "m", Bounds { prefill: Some("one two"), ..Bounds::default() });
        assert_eq!((text.text.as_str(), text.words), (" three", 1));
        assert_eq!(text.pieces(None).concat(), " three");
    }
}
