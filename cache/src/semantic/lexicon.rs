//! What words mean to the guard: which are mere grammar or chat, which negate or point, which are opposites or of one
//! kind. Read once from the files in `cache/lexicon`, which are general knowledge and hold nothing of any stream.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use super::stem::{hash_bytes, stem_hash};

/// The part that a word plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Grammar.
    Function,
    /// Chat.
    Noise,
    /// Turns the sense round.
    Negation,
    /// Gives the word after it a role.
    Direction(u8),
    /// Says when.
    Past,
    /// Says when.
    Future,
}

/// The role of `to`, which is a direction only in some places.
pub(super) const ROLE_TO: u8 = 2;

/// What becomes of words in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Chat at the beginning or end of a text.
    Chat,
    /// One word.
    Word(u64),
}

/// Words in a row.
#[derive(Debug)]
pub(super) struct Phrase {
    /// The words after the first.
    pub(super) rest: Vec<u64>,
    pub(super) row: Row,
}

/// Everything that is known of words.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    parts: Map<Part>,
    synonyms: Map<u64>,
    phrases: Map<Vec<Phrase>>,
    opposites: Map<Vec<Pole>>,
    kinds: Map<Vec<u16>>,
    numbers: Map<f64>,
    magnitudes: Map<f64>,
    units: Map<()>,
    openers: Map<()>,
}

#[derive(Clone, Copy, Debug)]
struct Pole {
    axis: u16,
    first: bool,
}

type Map<V> = HashMap<u64, V, BuildHasherDefault<Hashed>>;

/// Keys are hashes already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash_bytes(bytes);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// The lexicon.
pub(super) static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::read);

const SMALL_NUMBERS: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];
const TENS: &[&str] = &["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const MAGNITUDES: &[(&str, f64)] = &[
    ("hundred", 1e2),
    ("thousand", 1e3),
    ("k", 1e3),
    ("million", 1e6),
    ("billion", 1e9),
    ("bn", 1e9),
    ("trillion", 1e12),
    ("dozen", 12.0),
];

impl Lexicon {
    fn read() -> Self {
        let mut lexicon = Self::default();
        for (value, word) in (0_u32..).zip(SMALL_NUMBERS) {
            lexicon.numbers.insert(hash_bytes(word.as_bytes()), f64::from(value));
        }
        for (value, word) in (3_u32..).zip(TENS) {
            lexicon.numbers.insert(hash_bytes(word.as_bytes()), f64::from(value * 10));
        }
        for (word, value) in MAGNITUDES {
            lexicon.magnitudes.insert(hash_bytes(word.as_bytes()), *value);
        }
        for line in lines(include_str!("../../lexicon/synonyms.txt")) {
            lexicon.read_synonyms(line);
        }
        for line in lines(include_str!("../../lexicon/common.txt")) {
            lexicon.read_common(line);
        }
        for (axis, line) in (0_u16..).zip(lines(include_str!("../../lexicon/antonyms.txt"))) {
            let (first, second) = line.split_once('|').unwrap_or((line, ""));
            for (side, first) in [(first, true), (second, false)] {
                for word in side.split_whitespace() {
                    let word = lexicon.canonical(stem_hash(word));
                    lexicon.opposites.entry(word).or_default().push(Pole { axis, first });
                }
            }
        }
        for (kind, line) in (0_u16..).zip(lines(include_str!("../../lexicon/kinds.txt"))) {
            let (name, words) = line.split_once(':').unwrap_or(("", line));
            for word in words.split_whitespace() {
                let word = lexicon.canonical(stem_hash(word));
                lexicon.kinds.entry(word).or_default().push(kind);
                if matches!(name, "unit" | "currency") {
                    lexicon.units.insert(word, ());
                }
            }
        }
        lexicon
    }

    fn read_synonyms(&mut self, line: &str) {
        let (first, others) = line.split_once(':').unwrap_or((line, ""));
        let first = stem_hash(first.trim());
        for other in others.split_whitespace() {
            if other.contains('+') {
                self.add_phrase(other.split('+'), Row::Word(first));
            } else {
                self.synonyms.insert(stem_hash(other), first);
            }
        }
    }

    fn read_common(&mut self, line: &str) {
        let (part, words) = line.split_once(':').unwrap_or((line, ""));
        let part = match part {
            "phrase" => {
                let words = words.split_whitespace().map(|word| word.split('\'').next().unwrap_or(word));
                self.add_phrase(words, Row::Chat);
                return;
            }
            "opener" => {
                self.openers.extend(words.split_whitespace().map(|word| (hash_bytes(word.as_bytes()), ())));
                return;
            }
            "noise" => Part::Noise,
            "negation" => Part::Negation,
            "past" => Part::Past,
            "future" => Part::Future,
            "from" => Part::Direction(1),
            "to" => Part::Direction(ROLE_TO),
            "before" => Part::Direction(3),
            "after" => Part::Direction(4),
            "above" => Part::Direction(5),
            "below" => Part::Direction(6),
            "than" => Part::Direction(7),
            "against" => Part::Direction(8),
            "by" => Part::Direction(9),
            _ => Part::Function,
        };
        for word in words.split_whitespace() {
            self.parts.insert(hash_bytes(word.as_bytes()), part);
        }
    }

    fn add_phrase<'a>(&mut self, words: impl Iterator<Item = &'a str>, row: Row) {
        let mut hashes = words.map(|word| hash_bytes(word.as_bytes()));
        let Some(first) = hashes.next() else { return };
        let phrases = self.phrases.entry(first).or_default();
        phrases.push(Phrase { rest: hashes.collect(), row });
        // The longest one wins.
        phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.rest.len()));
    }

    /// The part that a word plays besides its meaning.
    pub(super) fn part(&self, surface: u64) -> Option<Part> {
        self.parts.get(&surface).copied()
    }

    /// The word that stands for this one and its synonyms.
    pub(super) fn canonical(&self, stem: u64) -> u64 {
        self.synonyms.get(&stem).copied().unwrap_or(stem)
    }

    /// Phrases that begin with a word.
    pub(super) fn phrases(&self, first: u64) -> &[Phrase] {
        self.phrases.get(&first).map_or(&[], Vec::as_slice)
    }

    /// The value of a number word.
    pub(super) fn number(&self, surface: u64) -> Option<f64> {
        self.numbers.get(&surface).copied()
    }

    /// What a word like `million` multiplies by.
    pub(super) fn magnitude(&self, surface: u64) -> Option<f64> {
        self.magnitudes.get(&surface).copied()
    }

    /// Whether requests begin with this word, which is then no name although it has a capital.
    pub(super) fn is_opener(&self, surface: u64) -> bool {
        self.openers.contains_key(&surface)
    }

    /// Whether a word measures the number before it.
    pub(super) fn is_unit(&self, canonical: u64) -> bool {
        self.units.contains_key(&canonical)
    }

    /// Whether a word is one of a kind, as a language or a month is.
    pub(super) fn is_of_kind(&self, canonical: u64) -> bool {
        self.kinds.contains_key(&canonical)
    }

    /// Whether two words stand on opposite sides of an axis.
    pub(super) fn are_opposites(&self, one: u64, other: u64) -> bool {
        let (Some(ones), Some(others)) = (self.opposites.get(&one), self.opposites.get(&other)) else {
            return false;
        };
        ones.iter().any(|one| others.iter().any(|other| one.axis == other.axis && one.first != other.first))
    }

    /// Whether two words are different things of one kind.
    pub(super) fn are_of_one_kind(&self, one: u64, other: u64) -> bool {
        let (Some(ones), Some(others)) = (self.kinds.get(&one), self.kinds.get(&other)) else { return false };
        one != other && ones.iter().any(|kind| others.contains(kind))
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> u64 {
        LEXICON.canonical(stem_hash(text))
    }

    #[test]
    fn knows_opposites_in_every_form_and_synonyms_of_them() {
        for (one, other) in [
            ("enabled", "disabling"),
            ("increase", "decreases"),
            ("longer", "shorter"),
            ("north", "south"),
            ("buy", "sell"),
        ] {
            assert!(LEXICON.are_opposites(word(one), word(other)), "{one} {other}");
        }
        assert!(!LEXICON.are_opposites(word("increase"), word("raise")));
        assert!(!LEXICON.are_opposites(word("table"), word("chair")));
    }

    #[test]
    fn knows_things_of_one_kind() {
        assert!(LEXICON.are_of_one_kind(word("germany"), word("france")));
        assert!(LEXICON.are_of_one_kind(word("km"), word("miles")));
        assert!(!LEXICON.are_of_one_kind(word("km"), word("kilometers")));
        assert!(!LEXICON.are_of_one_kind(word("germany"), word("blue")));
    }

    #[test]
    fn no_word_is_its_own_opposite() {
        let axes = lines(include_str!("../../lexicon/antonyms.txt"));
        for line in axes {
            let (first, second) = line.split_once('|').unwrap();
            for one in first.split_whitespace() {
                assert!(second.split_whitespace().all(|other| word(one) != word(other)), "{one} in {line}");
            }
        }
    }
}
