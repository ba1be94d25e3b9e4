//! Whether two answers say the same, so that a fresh answer can tell whether a kept one would have been right. Rather says
//! no than yes: a wrong no costs a hit, a wrong yes a false one.
//!
//! Rules, in order:
//! 1. The same words but for case, punctuation, grammar and courtesy: yes.
//! 2. One says yes and the other no, or one negates and the other does not (in short answers): no.
//! 3. Short answers (the shorter has at most 12 meaningful words): the same numbers in the same units, every name of the
//!    shorter in the longer, no opposites or two things of one kind, and all but a sixth of the shorter one's words in
//!    the longer, which is no more than 8 times as long, or 3 times where the shorter has no number or name of its own.
//! 4. Otherwise: where either has numbers or names, at least 0.8 of them shared (by Jaccard; of short answers all), or all
//!    that one has in the other, which has at most half as many more, and two at least; and at least half of the words
//!    (by Dice), or a third where three numbers or names are shared. So one may leave a fact out, but none may differ.
//!
//! A first sentence that is mere courtesy ("Sure!") is passed over.

use std::collections::HashSet;

use super::lexicon::{LEXICON, Part};
use super::words::{Word, split};

/// More of an answer is not compared.
const MAX_WORDS: usize = 3000;
/// Fewer meaningful words than this make an answer short.
const SHORT: usize = 12;

/// Whether two answers say the same.
pub fn agree(kept: &str, fresh: &str) -> bool {
    let (Some(kept), Some(fresh)) = (Gist::of(kept), Gist::of(fresh)) else { return kept == fresh };
    if kept.verbatim == fresh.verbatim {
        return true;
    }
    if kept.verdict.is_some() && fresh.verdict.is_some() && kept.verdict != fresh.verdict {
        return false;
    }
    let (shorter, longer) =
        if kept.words.len() <= fresh.words.len() { (&kept, &fresh) } else { (&fresh, &kept) };
    if shorter.words.len() <= SHORT && agree_short(shorter, longer) {
        return true;
    }
    let clash = shorter.words.len() <= SHORT && clash(shorter, longer);
    shorter.words.len() >= 3 && !clash && agree_by_facts(shorter, longer)
}

/// Whether an answer is so short that it can be told for sure whether another short one says the same.
pub fn is_short(answer: &str) -> bool {
    Gist::of(answer).is_some_and(|gist| gist.words.len() <= SHORT)
}

fn agree_short(shorter: &Gist, longer: &Gist) -> bool {
    let facts = shorter.numbers.len() + shorter.names.len();
    let reach = if facts > 0 { 8 } else { 3 };
    if shorter.words.is_empty() && facts == 0 || longer.words.len() > shorter.words.len().max(2) * reach {
        return false;
    }
    let numbers_agree = if longer.words.len() <= SHORT {
        shorter.numbers == longer.numbers
    } else {
        shorter.numbers.is_subset(&longer.numbers)
    };
    let missing = shorter.words.difference(&longer.words).count();
    // Of six words one may be missing from the longer one, and of fewer none.
    let is_contained = missing * 6 <= shorter.words.len();
    numbers_agree && !clash(shorter, longer) && shorter.names.is_subset(&longer.words) && is_contained
}

/// Whether something in one contradicts the other.
fn clash(shorter: &Gist, longer: &Gist) -> bool {
    let missing: Vec<u64> = shorter.words.difference(&longer.words).copied().collect();
    let more: Vec<u64> = longer.words.difference(&shorter.words).copied().collect();
    let clashes =
        |one: u64, other: u64| LEXICON.are_opposites(one, other) || LEXICON.are_of_one_kind(one, other);
    (longer.words.len() <= SHORT && shorter.is_negative != longer.is_negative)
        || missing.iter().any(|one| more.iter().any(|other| clashes(*one, *other)))
}

fn agree_by_facts(one: &Gist, other: &Gist) -> bool {
    let (facts, other_facts) = (one.facts(), other.facts());
    let shared = facts.intersection(&other_facts).count();
    let all = facts.len() + other_facts.len() - shared;
    let is_short = one.words.len().max(other.words.len()) <= SHORT;
    let leaves_out =
        shared == facts.len().min(other_facts.len()) && shared >= 2 && (all - shared) * 2 <= shared;
    let facts_agree = leaves_out || if is_short { shared == all } else { shared * 10 >= all * 8 };
    let common = one.words.intersection(&other.words).count() * 2;
    let both = one.words.len() + other.words.len();
    facts_agree && (common * 2 >= both || (shared >= 3 && common * 3 >= both))
}

/// What an answer says.
#[derive(Debug, Default)]
struct Gist {
    words: HashSet<u64>,
    names: HashSet<u64>,
    numbers: HashSet<u64>,
    is_negative: bool,
    /// Begins with yes or no.
    verdict: Option<bool>,
    verbatim: Vec<u64>,
}

impl Gist {
    fn of(answer: &str) -> Option<Self> {
        let words = split(answer, MAX_WORDS)?;
        let mut words = without_courtesy(&words).iter().peekable();
        let mut gist = Self::default();
        while let Some(word) = words.next() {
            let canonical = LEXICON.canonical(word.stem);
            if gist.verbatim.is_empty() && gist.verdict.is_none() {
                gist.verdict = verdict(word);
                if gist.verdict.is_some() {
                    gist.verbatim.push(word.surface);
                    continue;
                }
            }
            if let Some(value) = word.number.or_else(|| LEXICON.number(word.surface)) {
                let unit = words.next_if(|next| LEXICON.is_unit(LEXICON.canonical(next.stem)));
                let unit = unit.map_or(0, |unit| LEXICON.canonical(unit.stem));
                let number = super::stem::mix(value.to_bits() ^ unit);
                gist.numbers.insert(number);
                gist.verbatim.push(number);
                continue;
            }
            match LEXICON.part(word.surface) {
                Some(Part::Function | Part::Noise) if !word.shape.odd => continue,
                Some(Part::Negation) => gist.is_negative = !gist.is_negative,
                _ => {
                    gist.words.insert(canonical);
                    if word.shape.odd || (word.shape.capital && !word.initial) {
                        gist.names.insert(canonical);
                    }
                }
            }
            gist.verbatim.push(canonical);
        }
        Some(gist)
    }

    fn facts(&self) -> HashSet<u64> {
        self.numbers.union(&self.names).copied().collect()
    }
}

/// The words without a first sentence that only says that an answer follows.
fn without_courtesy(words: &[Word]) -> &[Word] {
    const COURTESY: &[&str] = &[
        "sure",
        "certainly",
        "course",
        "absolutely",
        "definitely",
        "gladly",
        "great",
        "good",
        "excellent",
        "question",
        "go",
        "happy",
        "glad",
        "help",
        "answer",
        "found",
    ];
    let is_courtesy = |word: &Word| {
        matches!(LEXICON.part(word.surface), Some(Part::Function | Part::Noise | Part::Direction(_)))
            || COURTESY.iter().any(|one| super::stem::hash_bytes(one.as_bytes()) == word.surface)
    };
    let second = words.iter().skip(1).position(|word| word.initial).map_or(0, |at| at + 1);
    match words.split_at_checked(second) {
        Some((first, rest)) if first.len() <= 8 && first.iter().all(is_courtesy) => rest,
        _ => words,
    }
}

fn verdict(word: &Word) -> Option<bool> {
    const YES: &[&[u8]] = &[b"yes", b"yep", b"yeah", b"true", b"correct"];
    const NO: &[&[u8]] = &[b"no", b"nope", b"false", b"incorrect"];
    let is_one_of = |words: &[&[u8]]| words.iter().any(|one| super::stem::hash_bytes(one) == word.surface);
    if is_one_of(YES) { Some(true) } else { is_one_of(NO).then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(kept: &str, fresh: &str) {
        assert!(agree(kept, fresh) && agree(fresh, kept), "{kept} / {fresh}");
    }

    #[track_caller]
    fn different(kept: &str, fresh: &str) {
        assert!(!agree(kept, fresh) && !agree(fresh, kept), "{kept} / {fresh}");
    }

    #[test]
    fn short_answers_agree_by_what_they_name() {
        same("Oslo", "oslo.");
        same("Oslo", "The capital of Norway is Oslo.");
        same("42", "The answer is 42.");
        same("1,500 metres", "1500 meters");
        same("It is twelve kilometres.", "12 km");
        same("Sure! Use the blue lever.", "Use the blue lever.");
        different("Oslo", "Bergen");
        different("The capital of Norway is Oslo.", "The capital of Norway is Bergen.");
        different("42", "43");
        different("12 km", "12 miles");
        different("Yes, it can.", "No, it can't.");
        different("It is safe.", "It is not safe.");
        different("Turn the lever left.", "Turn the lever right.");
        different("a25", "a268");
        same("a25", "a25");
        different("", "Oslo");
        // One leaves a fact out; where a fact differs, leaving out another does not help.
        let whole = "The depot at Corfe holds 212 crates and was built in 1874.";
        same(whole, "The depot at Corfe holds 212 crates and was built long ago.");
        different(whole, "The depot at Corfe holds 213 crates and was built long ago.");
        different(whole, "The depot at Fowey holds 212 crates and was built long ago.");
        different("The depot at Corfe was built in 1874.", "The depot at Corfe was built.");
        same("", "");
    }

    #[test]
    fn long_answers_agree_when_facts_and_most_words_do() {
        let kept = "The bridge was opened in 1932 and is 503 metres long. Its steel arch, built by Dorman Long, carries eight \
                    lanes of traffic and two railway tracks across the harbour to the northern suburbs of Sydney.";
        let reworded = "Opened in 1932, the bridge has a length of 503 metres. Dorman Long built its steel arch, which carries \
                        two railway tracks and eight lanes of road traffic across the harbour of Sydney.";
        same(kept, reworded);
        different(
            kept,
            &reworded.replace("1932", "1954").replace("503", "1149").replace("Sydney", "Brisbane"),
        );
        different(
            kept,
            "Peel the onions, slice them thinly and fry them slowly in plenty of butter until they are soft and brown, \
             which takes about half an hour; then add flour, stock and wine and simmer.",
        );
    }
}
