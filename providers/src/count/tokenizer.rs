//! OpenAI's `o200k_base`, the yardstick of all counts here. It is built at the first count: about a
//! quarter of a second and 70 MB, once for the process; afterwards a count costs about 20 ns a byte.

use tiktoken_rs::o200k_base_singleton;

/// A text is counted in pieces of at most this many bytes, because the tokenizer's regular expression
/// gives up on endless runs of white space and its merging is not linear on endless words.
const PIECE: usize = 8 * 1024;

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> u64 {
    let tokenizer = o200k_base_singleton();
    let mut rest = text;
    let mut count = 0;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(end_of_piece(rest));
        count += tokenizer.encode_ordinary(piece).len() as u64;
        rest = behind;
    }
    count
}

/// Before the last space of the piece, where a token would begin anyway; else between two characters.
fn end_of_piece(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let longest = text.floor_char_boundary(PIECE);
    let space = text.get(..longest).and_then(|piece| piece.rfind(' '));
    space.filter(|at| *at > 0).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_pieces_counts_like_the_whole() {
        let text = "Der schnelle braune Fuchs springt über den faulen Hund. ".repeat(400);
        let whole = o200k_base_singleton().encode_ordinary(&text).len() as u64;
        assert!(text.len() > 2 * PIECE && tokens(&text).abs_diff(whole) <= 2, "{whole}");
        assert_eq!((tokens(""), tokens("hello world")), (0, 2));
    }

    #[test]
    fn endless_runs_of_anything_are_counted() {
        for run in [" ", "a", "\n", "é", "你", "'s", " \n"] {
            assert!(tokens(&run.repeat(200_000)) > 0, "{run:?}");
        }
    }
}
