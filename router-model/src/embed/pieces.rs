//! Cuts a text into word pieces as BERT's uncased models do: lower case without accents, then the longest piece of the
//! vocabulary from the left, again and again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longer words are no words; BERT skips them too.
const MAX_WORD_BYTES: usize = 100;

/// Pieces by their text: those that begin a word, and those that go on.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    beginning: Table,
    inner: Table,
    longest: usize,
}

type Table = HashMap<Box<[u8]>, u32, BuildHasherDefault<Bytes>>;

/// A quick hash of short byte strings. The vocabulary is ours, so that nobody can make it collide.
#[derive(Default)]
struct Bytes(u64);

impl Hasher for Bytes {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0_u8; 8];
            word.copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder().iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        self.write_u64(rest ^ ((bytes.len() as u64) << 56));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    fn write_usize(&mut self, _: usize) {
        // The length that `[u8]` hashes first is in the last word already.
    }
}

impl Pieces {
    /// Adds the piece of a row of the table.
    pub(super) fn add(&mut self, token: &[u8], row: u32) {
        let (table, text) = match token.strip_prefix(b"##") {
            Some(text) if !text.is_empty() => (&mut self.inner, text),
            _ => (&mut self.beginning, token),
        };
        self.longest = self.longest.max(text.len());
        table.insert(text.into(), row);
    }

    /// Calls `found` with the row of each piece of a text. Words that cannot be cut wholly are left out.
    pub(super) fn each(&self, text: &str, mut found: impl FnMut(u32)) {
        let mut word = Vec::with_capacity(32);
        let mut rows = Vec::with_capacity(8);
        if text.is_ascii() {
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() {
                    word.push(byte.to_ascii_lowercase());
                    continue;
                }
                self.word(&word, &mut rows, &mut found);
                word.clear();
                if byte.is_ascii_punctuation() {
                    self.word(&[byte], &mut rows, &mut found);
                }
            }
        } else {
            let mut buffer = [0_u8; 4];
            for letter in text.nfd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase)
            {
                if letter.is_alphanumeric() {
                    word.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
                    continue;
                }
                self.word(&word, &mut rows, &mut found);
                word.clear();
                if !letter.is_whitespace() && !letter.is_control() {
                    self.word(letter.encode_utf8(&mut buffer).as_bytes(), &mut rows, &mut found);
                }
            }
        }
        self.word(&word, &mut rows, &mut found);
    }

    fn word(&self, word: &[u8], rows: &mut Vec<u32>, found: &mut impl FnMut(u32)) {
        if word.is_empty() || word.len() > MAX_WORD_BYTES {
            return;
        }
        rows.clear();
        let mut rest = word;
        while !rest.is_empty() {
            let table = if rest.len() == word.len() { &self.beginning } else { &self.inner };
            let longest = rest.len().min(self.longest);
            let piece = (1..=longest).rev().find_map(|length| {
                let piece = rest.get(..length)?;
                table.get(piece).map(|row| (*row, length))
            });
            let Some((row, length)) = piece else { return };
            rows.push(row);
            rest = rest.get(length..).unwrap_or(&[]);
        }
        rows.iter().copied().for_each(found);
    }
}
