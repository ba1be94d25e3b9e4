//! The features made by hand: lengths, shares of kinds of bytes, marker words, the form of a question with choices.

use std::sync::LazyLock;

use super::words::{KINDS, Kind, Word, hash};

/// How many there are.
pub const HAND: usize = 16;

/// Which of them tells how many choices a question gives.
pub(super) const CHOICES: usize = 12;

/// What each is called in an explanation.
pub const HAND_NAMES: [&str; HAND] = [
    "bytes",
    "words",
    "digits",
    "numbers",
    "lines",
    "questions",
    "code symbols",
    "maths symbols",
    "code words",
    "maths words",
    "reasoning words",
    "negations",
    "choices",
    "bytes a word",
    "capitals",
    "beyond ASCII",
];

#[derive(Clone, Copy, Debug)]
enum Marker {
    Code,
    Maths,
    Reasoning,
    Negation,
}

const CODE: &[&str] = &[
    "code",
    "function",
    "python",
    "java",
    "javascript",
    "rust",
    "sql",
    "def",
    "return",
    "class",
    "import",
    "print",
    "array",
    "string",
    "algorithm",
    "program",
    "compile",
    "bug",
    "api",
    "json",
    "regex",
    "int",
    "const",
    "var",
];
const MATHS: &[&str] = &[
    "prove",
    "proof",
    "theorem",
    "equation",
    "integral",
    "derivative",
    "matrix",
    "polynomial",
    "solve",
    "compute",
    "calculate",
    "probability",
    "sum",
    "product",
    "integer",
    "triangle",
    "angle",
    "percent",
    "ratio",
    "average",
    "many",
    "much",
    "total",
    "per",
];
const REASONING: &[&str] = &[
    "why",
    "how",
    "explain",
    "because",
    "therefore",
    "if",
    "then",
    "suppose",
    "assume",
    "infer",
    "conclude",
    "compare",
    "analyze",
    "analyse",
    "step",
    "reason",
    "should",
    "would",
    "which",
    "best",
    "likely",
    "following",
];
const NEGATION: &[&str] = &[
    "not",
    "no",
    "never",
    "except",
    "none",
    "neither",
    "nor",
    "without",
    "cannot",
    "false",
    "incorrect",
    "least",
];

/// Direct-mapped by the low bits of the hash, one probe for most words.
static MARKERS: LazyLock<Vec<Option<(u64, Marker)>>> = LazyLock::new(|| {
    let mut slots = vec![None; 512];
    let lists = [
        (CODE, Marker::Code),
        (MATHS, Marker::Maths),
        (REASONING, Marker::Reasoning),
        (NEGATION, Marker::Negation),
    ];
    for (list, marker) in lists {
        for word in list {
            let hash = hash(word.as_bytes());
            let mut at = slot(hash);
            while slots.get(at).is_some_and(Option::is_some) {
                at = (at + 1) % 512;
            }
            if let Some(free) = slots.get_mut(at) {
                *free = Some((hash, marker));
            }
        }
    }
    slots
});

fn slot(hash: u64) -> usize {
    usize::try_from(hash % 512).unwrap_or_default()
}

fn marker(hash: u64) -> Option<Marker> {
    let mut at = slot(hash);
    while let Some(Some((found, marker))) = MARKERS.get(at) {
        if *found == hash {
            return Some(*marker);
        }
        at = (at + 1) % 512;
    }
    None
}

/// What is counted while the text is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HandCounts {
    kinds: [u32; KINDS],
    words: u32,
    numbers: u32,
    choices: u32,
    code: u32,
    maths: u32,
    reasoning: u32,
    negations: u32,
}

impl HandCounts {
    pub(super) fn byte(&mut self, kind: Kind) {
        if let Some(count) = self.kinds.get_mut(kind as usize) {
            *count += 1;
        }
    }

    pub(super) fn word(&mut self, word: &Word) {
        self.words += 1;
        self.numbers += u32::from(word.is_number);
        match marker(word.hash) {
            None => {}
            Some(Marker::Code) => self.code += 1,
            Some(Marker::Maths) => self.maths += 1,
            Some(Marker::Reasoning) => self.reasoning += 1,
            Some(Marker::Negation) => self.negations += 1,
        }
    }

    /// What follows a line's end: is it `A.` or `B)`?
    pub(super) fn line(&mut self, rest: &[u8]) {
        if let [b'A'..=b'J', b'.' | b')', ..] | [b'(', b'A'..=b'J', b')', ..] = rest {
            self.choices += 1;
        }
    }

    pub(super) fn features(&self) -> [f32; HAND] {
        let of = |kind: Kind| self.kinds.get(kind as usize).copied().unwrap_or_default();
        let bytes: u32 = self.kinds.iter().sum();
        let share = |count: u32| share(count, bytes);
        let many = |count: u32| (count as f32).ln_1p();
        let letters = of(Kind::Lower) + of(Kind::Upper) + of(Kind::Digit) + of(Kind::High);
        [
            many(bytes),
            many(self.words),
            share(of(Kind::Digit)),
            many(self.numbers),
            many(of(Kind::Newline)),
            many(of(Kind::Question)),
            many(of(Kind::Code)),
            many(of(Kind::Maths)),
            many(self.code),
            many(self.maths),
            many(self.reasoning),
            many(self.negations),
            many(self.choices),
            (letters as f32 / self.words.max(1) as f32).min(20.0),
            share(of(Kind::Upper)),
            share(of(Kind::High)),
        ]
    }
}

fn share(count: u32, of: u32) -> f32 {
    count as f32 / of.max(1) as f32
}
