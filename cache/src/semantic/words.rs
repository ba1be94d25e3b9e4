//! Cuts a text into words: letters, digits, signs that mean something. Owns no meaning; that is the lexicon's.

use super::stem::{hash_bytes, stem_hash};

/// How a word is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Begins with a capital letter.
    pub(super) capital: bool,
    /// Letters are all capitals (two at least), or capitals stand inside, or digits and letters are mixed, or it ends in
    /// a sign as `c++` does: hardly an ordinary word in any place of a sentence.
    pub(super) odd: bool,
    /// Nothing but capitals.
    pub(super) capitals: bool,
}

/// One word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// Hash of the word in lower case.
    pub(super) surface: u64,
    /// Hash of its stem.
    pub(super) stem: u64,
    /// Its value, when it is a number in digits.
    pub(super) number: Option<f64>,
    pub(super) shape: Shape,
    /// First in its sentence.
    pub(super) initial: bool,
    /// First in its clause: after a sign, or in a sentence.
    pub(super) opens: bool,
}

/// Signs that only divide a text.
const PUNCTUATION: &str = ".,;:!?'\"()[]{}…-–—‘’“”«»`*_¿¡|\\";
/// Signs after which a sentence begins.
const SENTENCE_ENDS: &str = ".!?:…\n";

/// The words of a text, at most `limit` of them; `None` when there are more.
pub(super) fn split(text: &str, limit: usize) -> Option<Vec<Word>> {
    let mut cutter = Cutter {
        words: Vec::with_capacity(24),
        lower: String::with_capacity(32),
        initial: true,
        opens: true,
    };
    let mut rest = text;
    let mut before = ' ';
    while let Some(letter) = rest.chars().next() {
        let taken = if letter.is_alphanumeric() {
            let length = run_length(rest);
            let (run, _) = rest.split_at(length);
            cutter.run(run, before == '-');
            length
        } else {
            let length = letter.len_utf8();
            cutter.sign(letter, before, rest.get(length..).unwrap_or(""));
            length
        };
        if cutter.words.len() > limit {
            return None;
        }
        before = rest.get(..taken).and_then(|run| run.chars().next_back()).unwrap_or(' ');
        if before == '-' && !starts_negative(rest, text) {
            before = '_';
        }
        rest = rest.get(taken..).unwrap_or("");
    }
    Some(cutter.words)
}

/// Whether the minus sign at the beginning of `rest` belongs to the number after it.
fn starts_negative(rest: &str, text: &str) -> bool {
    let at = text.len() - rest.len();
    let after_space =
        text.get(..at).and_then(|before| before.chars().next_back()).is_none_or(char::is_whitespace);
    after_space && rest.chars().nth(1).is_some_and(|next| next.is_ascii_digit())
}

/// How long the word at the beginning of `rest` is, in bytes.
fn run_length(rest: &str) -> usize {
    let mut letters = rest.char_indices().peekable();
    let mut digits_only = true;
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        let inner = match letter {
            _ if letter.is_alphanumeric() => {
                digits_only &= letter.is_ascii_digit();
                true
            }
            '_' => true,
            '.' | ',' | ':' if digits_only => next.is_some_and(|next| next.is_ascii_digit()),
            '.' => next.is_some_and(|next| next.is_ascii_lowercase()),
            '\'' | '’' => next.is_some_and(char::is_alphabetic),
            '+' | '#' => !next.is_some_and(char::is_alphanumeric) && !digits_only,
            _ => false,
        };
        if !inner {
            return at;
        }
    }
    rest.len()
}

struct Cutter {
    words: Vec<Word>,
    lower: String,
    initial: bool,
    opens: bool,
}

impl Cutter {
    fn run(&mut self, run: &str, negative: bool) {
        let (body, tail) = apostrophe(run);
        if let Some((value, suffix)) = number(body) {
            let value = if negative { -value } else { value };
            match suffix {
                "" | "st" | "nd" | "rd" | "th" => self.push_number(value),
                _ if is_measure(suffix) => {
                    self.push_number(value);
                    self.push(suffix, Shape::default());
                }
                _ => self.push(body, shape(body)),
            }
        } else {
            self.push(body, shape(body));
        }
        if let Some(tail) = tail {
            self.push(tail, Shape::default());
        }
    }

    fn sign(&mut self, sign: char, before: char, after: &str) {
        let next = after.chars().next();
        let ends = SENTENCE_ENDS.contains(sign) && (sign == '\n' || next.is_none_or(char::is_whitespace));
        if ends {
            self.initial = true;
        }
        self.opens |= !sign.is_whitespace() && next.is_none_or(|next| !next.is_alphanumeric());
        let says_not = sign == '!' && next == Some('=');
        let is_minus = sign == '-' && before.is_whitespace() && next.is_some_and(char::is_whitespace);
        if sign.is_whitespace() || sign.is_control() || (PUNCTUATION.contains(sign) && !says_not && !is_minus)
        {
            return;
        }
        let mut buffer = [0_u8; 4];
        let (initial, opens) = (self.initial, self.opens);
        self.push(sign.encode_utf8(&mut buffer), Shape::default());
        (self.initial, self.opens) = (initial, opens);
    }

    fn push_number(&mut self, value: f64) {
        let hash = hash_bytes(&value.to_bits().to_le_bytes());
        let word = Word {
            surface: hash,
            stem: hash,
            number: Some(value),
            shape: Shape::default(),
            initial: self.initial,
            opens: self.opens,
        };
        self.words.push(word);
        (self.initial, self.opens) = (false, false);
    }

    fn push(&mut self, word: &str, shape: Shape) {
        self.lower.clear();
        if word.is_ascii() {
            self.lower.push_str(word);
            self.lower.make_ascii_lowercase();
        } else {
            self.lower.extend(word.chars().flat_map(char::to_lowercase));
        }
        let word = Word {
            surface: hash_bytes(self.lower.as_bytes()),
            stem: stem_hash(&self.lower),
            number: None,
            shape,
            initial: self.initial,
            opens: self.opens,
        };
        self.words.push(word);
        (self.initial, self.opens) = (false, false);
    }
}

/// A word without its apostrophe and what follows; of that, only a negation is kept.
fn apostrophe(run: &str) -> (&str, Option<&'static str>) {
    let Some((body, tail)) = run.split_once(['\'', '’']) else { return (run, None) };
    match (tail, body.strip_suffix(['n', 'N'])) {
        ("t" | "T", Some("ca" | "Ca")) => ("can", Some("n't")),
        ("t" | "T", Some("wo" | "Wo")) => ("will", Some("n't")),
        ("t" | "T", Some(verb)) if !verb.is_empty() => (verb, Some("n't")),
        ("s" | "S" | "m" | "re" | "ve" | "d" | "ll", _) => (body, None),
        _ => (run, None),
    }
}

/// A number at the beginning of a run, and the letters after it.
fn number(run: &str) -> Option<(f64, &str)> {
    let end = run
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ',')
        .unwrap_or(run.len());
    let (digits, suffix) = run.split_at(end);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) || digits.matches('.').count() > 1 {
        return None;
    }
    let suffix_is_word = suffix.chars().all(|letter| letter.is_ascii_alphabetic());
    let plain: String = digits.chars().filter(|letter| *letter != ',').collect();
    if !suffix_is_word { None } else { plain.parse().ok().map(|value| (value, suffix)) }
}

/// Letters that stand right after a number without making it a name.
fn is_measure(suffix: &str) -> bool {
    const MEASURES: &[&str] = &[
        "k", "m", "bn", "b", "km", "cm", "mm", "kg", "g", "mg", "ml", "l", "s", "ms", "h", "hr", "hrs",
        "min", "mins", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "px", "em", "rem", "pt", "c", "f", "w",
        "kw", "kwh", "v", "hz", "khz", "mhz", "ghz", "mph", "kph", "lb", "lbs", "oz", "ft", "in", "am", "pm",
        "usd", "eur", "gbp", "x",
    ];
    MEASURES.iter().any(|measure| measure.eq_ignore_ascii_case(suffix))
}

fn shape(word: &str) -> Shape {
    let mut letters = word.chars();
    let capital = letters.next().is_some_and(char::is_uppercase);
    let inner_capital = letters.clone().any(char::is_uppercase);
    let has_lower = word.chars().any(char::is_lowercase);
    let has_digit = word.chars().any(|letter| letter.is_ascii_digit());
    let has_letter = word.chars().any(char::is_alphabetic);
    let mixed = has_digit || word.contains(['+', '#', '_', '.']);
    Shape {
        capital,
        odd: inner_capital || (mixed && has_letter) || (has_digit && !has_letter),
        capitals: capital && !has_lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surfaces(text: &str) -> Vec<u64> {
        split(text, 100).unwrap().iter().map(|word| word.surface).collect()
    }

    fn hashes(words: &[&str]) -> Vec<u64> {
        words.iter().map(|word| hash_bytes(word.as_bytes())).collect()
    }

    #[test]
    fn cuts_words_signs_and_contractions() {
        assert_eq!(surfaces("What's C++'s two-factor"), hashes(&["what", "c++", "two", "factor"]));
        assert_eq!(
            surfaces("I don't, can't, won't"),
            hashes(&["i", "do", "n't", "can", "n't", "will", "n't"])
        );
        assert_eq!(surfaces("a < b != c"), hashes(&["a", "<", "b", "!", "=", "c"]));
        assert_eq!(surfaces("node.js is here. end"), hashes(&["node.js", "is", "here", "end"]));
    }

    #[test]
    fn reads_numbers_with_separators_signs_and_units() {
        let numbers = |text: &str| -> Vec<f64> {
            split(text, 100).unwrap().iter().filter_map(|word| word.number).collect()
        };
        assert_eq!(numbers("1,000 and 2.5 and -3 and 10km, 4th"), [1000.0, 2.5, -3.0, 10.0, 4.0]);
        assert!(numbers("version 3.11.2 of 2fa at h264").is_empty());
    }

    #[test]
    fn a_text_with_too_many_words_is_not_cut() {
        assert!(split(&"word ".repeat(101), 100).is_none());
        assert!(split(&"word ".repeat(100), 100).is_some());
    }
}
