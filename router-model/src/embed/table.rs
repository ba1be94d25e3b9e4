//! The table of token vectors, and a text's vector as the sum of its tokens' rows.

use std::sync::OnceLock;

use super::pieces::Pieces;

/// The table that comes with Signalbox: 256 dimensions, int8, 7.4 MB; its card is `router-model/README.md`.
const BUILT_IN: &[u8] = include_bytes!("../../models/static-v1.sbe");
const MAGIC: &[u8] = b"SBEMBED1";

/// Only so much of a text is read: its beginning and its end, which say what is asked.
const MAX_TEXT_BYTES: usize = 8192;

/// Why a file is no table of token vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// It begins otherwise.
    #[error(
        "the file does not begin as a table of token vectors does: make one with train/distill_embedder.py"
    )]
    Magic,
    /// It ends too early or says impossible sizes.
    #[error("the table of token vectors is cut short or damaged: fetch or make the file again")]
    Damaged,
}

/// Turns texts into vectors.
#[derive(Debug)]
pub struct StaticEmbedder {
    pieces: Pieces,
    scales: Vec<f32>,
    rows: &'static [u8],
    dimensions: usize,
}

impl StaticEmbedder {
    /// The one that comes with Signalbox. The first call reads its vocabulary, which takes a few milliseconds.
    pub fn built_in() -> Result<&'static Self, TableFault> {
        static TABLE: OnceLock<Result<StaticEmbedder, TableFault>> = OnceLock::new();
        TABLE.get_or_init(|| Self::read(BUILT_IN)).as_ref().map_err(|fault| *fault)
    }

    /// Reads a table.
    pub fn read(file: &'static [u8]) -> Result<Self, TableFault> {
        let rest = file.strip_prefix(MAGIC).ok_or(TableFault::Magic)?;
        let (tokens, rest) = number(rest)?;
        let (dimensions, mut rest) = number(rest)?;
        let mut pieces = Pieces::default();
        for row in 0..tokens {
            let (length, after) = rest.split_first().ok_or(TableFault::Damaged)?;
            let (token, after) = after.split_at_checked(usize::from(*length)).ok_or(TableFault::Damaged)?;
            pieces.add(token, row);
            rest = after;
        }
        let tokens = tokens as usize;
        let dimensions = dimensions as usize;
        let (scales, rows) = rest.split_at_checked(tokens * 4).ok_or(TableFault::Damaged)?;
        if dimensions == 0 || tokens.checked_mul(dimensions) != Some(rows.len()) {
            return Err(TableFault::Damaged);
        }
        let scales = scales.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Self { pieces, scales, rows, dimensions })
    }

    /// How long vectors are.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vector of a text, of length 1. `None` when no word of it is known, as in a script that the table lacks.
    pub fn embed(&self, text: &str) -> Option<Vec<f32>> {
        let mut sum = vec![0.0_f32; self.dimensions];
        let mut found = 0_usize;
        let (beginning, end) = ends(text);
        for part in [beginning, end] {
            self.pieces.each(part, |row| {
                found += 1;
                self.add(row, &mut sum);
            });
        }
        let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
        if found == 0 || length <= f32::EPSILON {
            return None;
        }
        sum.iter_mut().for_each(|value| *value /= length);
        Some(sum)
    }

    fn add(&self, row: u32, sum: &mut [f32]) {
        let row = row as usize;
        let begin = row * self.dimensions;
        let (Some(scale), Some(values)) =
            (self.scales.get(row), self.rows.get(begin..begin + self.dimensions))
        else {
            return;
        };
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += scale * f32::from(value.cast_signed());
        }
    }
}

/// The beginning and, of a long text, the end.
fn ends(text: &str) -> (&str, &str) {
    if text.len() <= MAX_TEXT_BYTES {
        return (text, "");
    }
    let half = MAX_TEXT_BYTES / 2;
    let first = text.floor_char_boundary(half);
    let last = text.floor_char_boundary(text.len() - half);
    (text.get(..first).unwrap_or(""), text.get(last..).unwrap_or(""))
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), TableFault> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(TableFault::Damaged)?;
    Ok((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(one: &str, other: &str) -> f32 {
        let embedder = StaticEmbedder::built_in().unwrap();
        let (one, other) = (embedder.embed(one).unwrap(), embedder.embed(other).unwrap());
        one.iter().zip(&other).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_that_mean_the_same_are_closer_than_others() {
        let near = cosine(
            "How do I bake sourdough bread?",
            "What is the way to make bread with a sourdough starter?",
        );
        let far = cosine("How do I bake sourdough bread?", "Which planet has the most moons?");
        assert!(near > 0.6 && far < 0.3, "{near} {far}");
        assert!((cosine("naïve café", "NAIVE CAFE") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_text_without_a_known_word_has_no_vector() {
        let embedder = StaticEmbedder::built_in().unwrap();
        assert!(embedder.embed("").is_none());
        assert!(embedder.embed("今日は天気がいい").is_none());
        assert_eq!(embedder.embed("hello").map(|vector| vector.len()), Some(embedder.dimensions()));
    }

    #[test]
    fn of_a_long_text_both_ends_count() {
        let embedder = StaticEmbedder::built_in().unwrap();
        let long = format!("{} zebra", "lorem ipsum é ".repeat(5000));
        assert_ne!(embedder.embed(&long), embedder.embed(&long.replace("zebra", "truck")));
    }

    #[test]
    fn the_table_is_the_one_of_the_model_card() {
        use sha2::Digest as _;
        let digest: String =
            sha2::Sha256::digest(BUILT_IN).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(include_str!("../../models/static-v1.sha256").starts_with(&digest), "{digest}");
    }

    #[test]
    fn a_damaged_table_is_refused() {
        assert_eq!(StaticEmbedder::read(b"something").err(), Some(TableFault::Magic));
        let cut = BUILT_IN.split_at(BUILT_IN.len() / 2).0;
        assert_eq!(StaticEmbedder::read(cut).err(), Some(TableFault::Damaged));
    }
}
