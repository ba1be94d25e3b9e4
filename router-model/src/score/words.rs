//! Where the words of a text are, and their hashes without regard to ASCII case and to which digits a number has. A
//! symbol is a word of its own. One pass over the bytes.

use super::hand::HandCounts;

/// A run of letters, digits, underscores and bytes beyond ASCII, or one symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// FNV-1a of its bytes in lower case.
    pub(super) hash: u64,
    /// Where it begins.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// Begins with a digit.
    pub(super) is_number: bool,
}

/// What a byte is for the words and for the features made by hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Kind {
    Other,
    Lower,
    Upper,
    Digit,
    High,
    Newline,
    Question,
    Maths,
    Code,
    Symbol,
}

/// How many kinds there are, as a power of two.
pub(super) const KINDS: usize = 16;

const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

const fn kind(byte: u8) -> Kind {
    match byte {
        b'a'..=b'z' | b'_' => Kind::Lower,
        b'A'..=b'Z' => Kind::Upper,
        b'0'..=b'9' => Kind::Digit,
        0x80.. => Kind::High,
        b'\n' => Kind::Newline,
        b'?' => Kind::Question,
        b'+' | b'*' | b'/' | b'=' | b'^' | b'<' | b'>' | b'$' | b'%' | b'\\' => Kind::Maths,
        b'{' | b'}' | b'[' | b']' | b';' | b'`' | b'#' | b'@' | b'|' | b'&' => Kind::Code,
        b'!'..=b'~' if !matches!(byte, b'.' | b',' | b'\'') => Kind::Symbol,
        _ => Kind::Other,
    }
}

/// The hash of a word in lower case, for the lists of marker words.
pub(super) const fn hash(word: &[u8]) -> u64 {
    let mut hash = FNV_OFFSET;
    let mut rest = word;
    while let [byte, others @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(FNV_PRIME);
        rest = others;
    }
    hash
}

/// Tells `see` each word in turn, and `counts` each byte.
pub(super) fn walk(text: &[u8], counts: &mut HandCounts, mut see: impl FnMut(Word, &mut HandCounts)) {
    let mut word: Option<Word> = None;
    for (at, byte) in text.iter().enumerate() {
        let kind = kind(*byte);
        counts.byte(kind);
        if matches!(kind, Kind::Lower | Kind::Upper | Kind::Digit | Kind::High) {
            let open = word.get_or_insert(Word {
                hash: FNV_OFFSET,
                start: at,
                end: at,
                is_number: kind == Kind::Digit,
            });
            let same = match kind {
                Kind::Upper => byte | 0x20,
                Kind::Digit => b'0',
                _ => *byte,
            };
            open.hash = (open.hash ^ u64::from(same)).wrapping_mul(FNV_PRIME);
            continue;
        }
        if let Some(done) = word.take() {
            see(Word { end: at, ..done }, counts);
        }
        match kind {
            Kind::Newline => counts.line(text.get(at + 1..).unwrap_or_default()),
            Kind::Other => {}
            _ => see(Word { hash: hash(&[*byte]), start: at, end: at + 1, is_number: false }, counts),
        }
    }
    if let Some(done) = word {
        see(Word { end: text.len(), ..done }, counts);
    }
}
