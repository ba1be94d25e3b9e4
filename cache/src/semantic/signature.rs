//! What the guard compares of a text: its numbers, its negations, and its meaningful words with their roles. Holds only
//! hashes, so that it may be stored beside an entry without giving the text away.

use super::lexicon::{LEXICON, Lexicon, Part, ROLE_TO, Row};
use super::stem::{hash_bytes, mix};
use super::words::{Word, split};

/// Longer texts are not compared: one changed word among many is too easily lost.
const MAX_WORDS: usize = 256;

/// One meaningful word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Hash of the word that stands for it and its synonyms.
    pub(super) word: u64,
    /// Where in the text.
    pub(super) place: u16,
    /// The direction before it (`from`, `before`, …), or 0.
    pub(super) role: u8,
    /// A name, code or abbreviation.
    pub(super) is_entity: bool,
}

/// What the guard knows of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Values with units, in their order.
    pub(super) numbers: Box<[u64]>,
    /// An odd number of negations.
    pub(super) is_negative: bool,
    /// Meaningful words, each once, sorted by their hash.
    pub(super) tokens: Box<[Token]>,
    /// All words but chat, in their order.
    pub(super) verbatim: u64,
}

impl Signature {
    /// Reads a text; `None` when it is too long or has no word that means anything.
    pub fn of(text: &str) -> Option<Self> {
        // A word has two bytes and a space at least; whatever is far longer need not be cut first.
        if text.len() > MAX_WORDS * 32 {
            return None;
        }
        let words = split(text, MAX_WORDS)?;
        let words = without_chat(&words, &LEXICON);
        let mut reader = Reader::new(words, &LEXICON);
        let mut at = 0;
        while at < words.len() {
            at += reader.read(words.get(at..).unwrap_or(&[])).max(1);
        }
        reader.finish()
    }
}

/// The words without greetings, thanks and phrases like `could you tell me` at both ends.
fn without_chat<'a>(words: &'a [Word], lexicon: &Lexicon) -> &'a [Word] {
    let mut kept = words;
    loop {
        let taken = chat_at_beginning(kept, lexicon);
        if taken == 0 {
            break;
        }
        kept = kept.get(taken..).unwrap_or(&[]);
    }
    loop {
        let taken = chat_at_end(kept, lexicon);
        if taken == 0 {
            break;
        }
        kept = kept.get(..kept.len() - taken).unwrap_or(&[]);
    }
    if kept.is_empty() { words } else { kept }
}

fn chat_at_beginning(words: &[Word], lexicon: &Lexicon) -> usize {
    let Some(first) = words.first() else { return 0 };
    let phrase = lexicon.phrases(first.surface).iter().find(|phrase| {
        phrase.row == Row::Chat && words.get(1..).is_some_and(|rest| begins_with(rest, &phrase.rest))
    });
    match phrase {
        Some(phrase) => phrase.rest.len() + 1,
        None => usize::from(lexicon.part(first.surface) == Some(Part::Noise)),
    }
}

fn chat_at_end(words: &[Word], lexicon: &Lexicon) -> usize {
    let Some(last) = words.last() else { return 0 };
    for length in (1..=6.min(words.len())).rev() {
        let Some((first, rest)) = words.get(words.len() - length..).and_then(<[Word]>::split_first) else {
            continue;
        };
        let is_chat = |phrase: &super::lexicon::Phrase| {
            phrase.row == Row::Chat && phrase.rest.len() == rest.len() && begins_with(rest, &phrase.rest)
        };
        // A question may end in `question` or `curious`; only longer phrases are chat there.
        if length > 1 && lexicon.phrases(first.surface).iter().any(is_chat) {
            return length;
        }
    }
    usize::from(lexicon.part(last.surface) == Some(Part::Noise))
}

fn begins_with(words: &[Word], phrase: &[u64]) -> bool {
    words.len() >= phrase.len() && words.iter().zip(phrase).all(|(word, hash)| word.surface == *hash)
}

struct Reader<'a> {
    lexicon: &'a Lexicon,
    numbers: Vec<u64>,
    negations: usize,
    tokens: Vec<Token>,
    verbatim: u64,
    role: u8,
    /// A currency sign before a number.
    unit: u64,
    says_from: bool,
    /// Capitals say nothing where nearly every word has one.
    ignores_capitals: bool,
    ignores_all_capitals: bool,
    is_first: bool,
    /// A word that requests begin with was read, or a number or name.
    has_opened: bool,
}

impl<'a> Reader<'a> {
    fn new(words: &[Word], lexicon: &'a Lexicon) -> Self {
        let count = |is: fn(&Word) -> bool| words.iter().filter(|word| is(word)).count();
        let capital = count(|word| word.shape.capital);
        let capitals = count(|word| word.shape.capitals);
        Self {
            lexicon,
            numbers: Vec::new(),
            negations: 0,
            tokens: Vec::with_capacity(words.len()),
            verbatim: 0,
            role: 0,
            unit: 0,
            says_from: words.iter().any(|word| lexicon.part(word.surface) == Some(Part::Direction(1))),
            ignores_capitals: words.len() > 3 && capital * 5 > words.len() * 4,
            ignores_all_capitals: words.len() > 2 && capitals * 5 > words.len() * 4,
            is_first: true,
            has_opened: false,
        }
    }

    /// Reads the first word or words; how many.
    fn read(&mut self, words: &[Word]) -> usize {
        let Some(word) = words.first() else { return 1 };
        let is_initial = self.is_first || word.initial;
        let rest = words.get(1..).unwrap_or(&[]);
        if let Some(value) = self.number(word, rest) {
            (self.is_first, self.has_opened) = (false, true);
            let used = self.read_number(value, word.number.is_none(), rest);
            return used + 1;
        }
        let part = self.lexicon.part(word.surface);
        // Behind a greeting the text still begins.
        self.is_first &= part == Some(Part::Noise);
        if part != Some(Part::Noise) {
            self.verbatim = mix(self.verbatim ^ word.stem);
        }
        for phrase in self.lexicon.phrases(word.surface) {
            if let Row::Word(canonical) = phrase.row
                && begins_with(rest, &phrase.rest)
            {
                self.push(canonical, false);
                return phrase.rest.len() + 1;
            }
        }
        match part {
            Some(Part::Negation) => self.negations += 1,
            Some(Part::Past) => self.push_mark("~past"),
            Some(Part::Future) => self.push_mark("~future"),
            Some(Part::Direction(ROLE_TO)) if !self.is_direction(rest) => {}
            Some(Part::Direction(role)) => self.role = role,
            Some(Part::Function) if !self.is_name(word, is_initial) => {}
            Some(Part::Noise) => {}
            _ => self.read_content(word, rest, is_initial),
        }
        self.has_opened |= self.lexicon.is_opener(word.surface);
        1
    }

    fn read_content(&mut self, word: &Word, rest: &[Word], is_initial: bool) {
        let canonical = self.lexicon.canonical(word.stem);
        let next_is_number = rest.first().is_some_and(|next| next.number.is_some());
        if next_is_number && self.lexicon.is_unit(canonical) && !word.shape.capital {
            self.unit = canonical;
        } else {
            let is_name = self.is_name(word, is_initial);
            self.has_opened |= is_name;
            self.push(canonical, is_name);
        }
    }

    /// A number in digits or words. `one` is mostly a pronoun or article: it counts where a measure follows.
    fn number(&self, word: &Word, rest: &[Word]) -> Option<f64> {
        if word.number.is_some() {
            return word.number;
        }
        let value = self.lexicon.number(word.surface)?;
        let measured = rest.first().is_some_and(|next| {
            self.lexicon.magnitude(next.surface).is_some()
                || self.lexicon.is_unit(self.lexicon.canonical(next.stem))
        });
        // Exactly the number word itself, which small integers are.
        (value != 1.0 || measured).then_some(value)
    }

    /// Reads what follows a number and belongs to it; how many words.
    fn read_number(&mut self, mut value: f64, in_words: bool, rest: &[Word]) -> usize {
        let mut used = 0;
        while let Some(next) = rest.get(used) {
            if let Some(times) = self.lexicon.magnitude(next.surface) {
                value *= times;
            } else if let Some(more) = self.lexicon.number(next.surface)
                && in_words
                && (more < 10.0 && value >= 20.0 || value >= 100.0)
            {
                value += more;
            } else if !(in_words && self.joins_numbers(next, rest.get(used + 1))) {
                break;
            }
            used += 1;
        }
        let mut unit = std::mem::take(&mut self.unit);
        if let Some(next) = rest.get(used) {
            let canonical = self.lexicon.canonical(next.stem);
            if self.lexicon.is_unit(canonical) {
                unit = canonical;
                used += 1;
            }
        }
        // `from 3 to 5` tells the order, which is compared anyway; `over 5` and `under 5` have only their role.
        let role = std::mem::take(&mut self.role);
        let role = if role > ROLE_TO { u64::from(role) } else { 0 };
        let hash = mix(hash_bytes(&value.to_bits().to_le_bytes()) ^ unit.rotate_left(17) ^ role);
        self.verbatim = mix(self.verbatim ^ hash);
        self.numbers.push(hash);
        used
    }

    /// The `and` of `two hundred and fifty`.
    fn joins_numbers(&self, word: &Word, next: Option<&Word>) -> bool {
        word.surface == *AND
            && next.is_some_and(|next| self.lexicon.number(next.surface).is_some_and(|value| value > 1.0))
    }

    /// Whether `to` points to something: `translate to German`, `from here to there`, but not `how to read`.
    fn is_direction(&self, rest: &[Word]) -> bool {
        self.says_from
            || rest.first().is_some_and(|next| {
                next.shape.capital
                    || next.number.is_some()
                    || self.lexicon.is_of_kind(self.lexicon.canonical(next.stem))
            })
    }

    fn is_name(&self, word: &Word, is_initial: bool) -> bool {
        let odd = word.shape.odd && !(self.ignores_all_capitals && word.shape.capitals);
        let capital =
            word.shape.capital && !is_initial && !self.ignores_capitals && !self.opens_a_request(word);
        (odd || capital) && word.surface != *LETTER_I
    }

    /// Unknown courtesies may stand before a request, or grammar begin what follows it: `dear team, Convert 3 inches`, `so
    /// Sort these Any help is welcome`.
    fn opens_a_request(&self, word: &Word) -> bool {
        match self.lexicon.part(word.surface) {
            Some(Part::Function | Part::Past) => !NAMES_TOO.contains(&word.surface),
            _ => self.lexicon.is_opener(word.surface) && (word.opens || !self.has_opened),
        }
    }

    fn push_mark(&mut self, mark: &str) {
        let word = hash_bytes(mark.as_bytes());
        let role = std::mem::take(&mut self.role);
        self.push(word, false);
        self.role = role;
    }

    fn push(&mut self, word: u64, is_entity: bool) {
        let place = u16::try_from(self.tokens.len()).unwrap_or(u16::MAX);
        self.tokens.push(Token { word, place, role: std::mem::take(&mut self.role), is_entity });
    }

    fn finish(mut self) -> Option<Signature> {
        if self.tokens.is_empty() && self.numbers.is_empty() {
            return None;
        }
        self.tokens.sort_by_key(|token| (token.word, token.place));
        self.tokens.dedup_by(|later, first| {
            let is_same = later.word == first.word;
            first.is_entity |= is_same && later.is_entity;
            is_same
        });
        Some(Signature {
            numbers: self.numbers.into(),
            is_negative: self.negations % 2 == 1,
            tokens: self.tokens.into(),
            verbatim: self.verbatim,
        })
    }
}

/// The pronoun, a capital that names nothing.
static LETTER_I: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| hash_bytes(b"i"));

/// Grammar that is a month, a pronoun of its own or a country with a capital.
static NAMES_TOO: std::sync::LazyLock<[u64; 4]> =
    std::sync::LazyLock::new(|| ["may", "it", "us", "am"].map(|word| hash_bytes(word.as_bytes())));

static AND: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| hash_bytes(b"and"));
