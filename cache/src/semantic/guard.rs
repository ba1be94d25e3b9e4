//! Compares what two texts say, word by word, after a vector has found them alike: a changed number, name, negation,
//! opposite or direction makes another question of it, however close the vectors are. Decides nothing on scores.

use super::lexicon::LEXICON;
use super::signature::{Signature, Token};
use super::stem::mix;

/// Why a kept answer cannot serve a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Objection {
    /// Other numbers, units, or their order.
    Numbers,
    /// One of them negates.
    Negation,
    /// A name, code or abbreviation of one is not in the other.
    Entity,
    /// A word of one is the opposite of a word of the other.
    Opposite,
    /// Different things of one kind: two months, two languages.
    Kind,
    /// The same things in other roles: from A to B, from B to A.
    Direction,
}

impl Objection {
    /// Its name in explanations and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Numbers => "numbers",
            Self::Negation => "negation",
            Self::Entity => "entity",
            Self::Opposite => "opposite",
            Self::Kind => "kind",
            Self::Direction => "direction",
        }
    }
}

/// What two texts do not share, when no rule objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Meaningful words of the new text alone, sorted.
    pub(super) asked: Vec<u64>,
    /// Meaningful words of the kept text alone, sorted.
    pub(super) kept: Vec<u64>,
    /// Shared words stand in another order.
    pub(super) is_inverted: bool,
    /// Where they stand.
    pub(super) zones: Zones,
}

/// Which text has words of its own before, among and behind the shared ones: bit 0 the new one, bit 1 the kept one. A
/// courtesy that only one has stands before or behind, as a rule, and a thing that was exchanged among or behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Zones {
    pub(super) before: u8,
    pub(super) among: u8,
    pub(super) behind: u8,
}

impl Zones {
    /// Of the places of words that only one text has, given the first and last shared place in it.
    fn note(&mut self, places: &[u16], shared: Option<(u16, u16)>, side: u8) {
        let Some((first, last)) = shared else { return };
        for place in places {
            let zone = match place {
                place if *place < first => &mut self.before,
                place if *place > last => &mut self.behind,
                _ => &mut self.among,
            };
            *zone |= side;
        }
    }
}

impl Difference {
    /// Nothing but grammar and chat differs.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.kept.is_empty() && !self.is_inverted
    }

    /// The same for every pair of texts that exchange the same words, in either direction.
    pub(super) fn key(&self) -> u64 {
        let side =
            |words: &[u64]| words.iter().fold(0x51_u64, |state, word| mix(state.rotate_left(5) ^ word));
        let (one, other) = (side(&self.asked), side(&self.kept));
        mix(one.min(other).rotate_left(1) ^ one.max(other) ^ u64::from(self.is_inverted))
    }
}

/// Which rules hold.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The lexicon of opposites is used. Without it the threshold alone must find opposites out.
    pub opposites: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { opposites: true }
    }
}

/// A shared word: its places in the new and in the kept text, and whether it is a name without a role.
type Shared = (u16, u16, bool);

/// Compares a new text with a kept one.
pub(super) fn compare(asked: &Signature, kept: &Signature, rules: Rules) -> Result<Difference, Objection> {
    if asked.numbers != kept.numbers {
        return Err(Objection::Numbers);
    }
    if asked.is_negative != kept.is_negative {
        return Err(Objection::Negation);
    }
    if asked.verbatim == kept.verbatim && asked.tokens == kept.tokens {
        return Ok(Difference::default());
    }
    let mut difference = Difference::default();
    let mut shared: Vec<Shared> = Vec::with_capacity(asked.tokens.len());
    let mut moved_roles = 0;
    let (mut asked_alone, mut kept_alone): (Vec<u16>, Vec<u16>) = Default::default();
    for step in Merge::new(&asked.tokens, &kept.tokens) {
        match step {
            (Some(one), Some(other)) => {
                match (one.role, other.role) {
                    (one, other) if one == other => {}
                    (0, role) => difference.kept.push(role_mark(role, &mut moved_roles)),
                    (role, 0) => difference.asked.push(role_mark(role, &mut moved_roles)),
                    _ => return Err(Objection::Direction),
                }
                // Names whose role is told may stand in any order.
                let is_bare_name = one.is_entity && other.is_entity && one.role == 0;
                shared.push((one.place, other.place, is_bare_name));
            }
            (Some(one), None) if one.is_entity => return Err(Objection::Entity),
            (None, Some(other)) if other.is_entity => return Err(Objection::Entity),
            (Some(one), None) => {
                difference.asked.push(one.word);
                asked_alone.push(one.place);
            }
            (None, Some(other)) => {
                difference.kept.push(other.word);
                kept_alone.push(other.place);
            }
            (None, None) => {}
        }
    }
    shared.sort_unstable();
    difference.is_inverted = is_inverted(shared.iter());
    let names_are_inverted =
        difference.is_inverted && is_inverted(shared.iter().filter(|(_, _, is_name)| *is_name));
    if names_are_inverted || (difference.is_inverted && moved_roles > 1) {
        return Err(Objection::Direction);
    }
    let ends =
        |place: fn(&Shared) -> u16| Some((shared.iter().map(place).min()?, shared.iter().map(place).max()?));
    difference.zones.note(&asked_alone, ends(|(asked, ..)| *asked), 1);
    difference.zones.note(&kept_alone, ends(|(_, kept, _)| *kept), 2);
    difference.asked.sort_unstable();
    difference.kept.sort_unstable();
    objection(&difference, rules).map_or(Ok(difference), Err)
}

fn role_mark(role: u8, moved: &mut usize) -> u64 {
    *moved += 1;
    mix(0x_726f_6c65 ^ u64::from(role))
}

fn objection(difference: &Difference, rules: Rules) -> Option<Objection> {
    let pairs =
        || difference.asked.iter().flat_map(|one| difference.kept.iter().map(move |other| (*one, *other)));
    if rules.opposites && pairs().any(|(one, other)| LEXICON.are_opposites(one, other)) {
        return Some(Objection::Opposite);
    }
    pairs().any(|(one, other)| LEXICON.are_of_one_kind(one, other)).then_some(Objection::Kind)
}

/// Whether words that are sorted by one text stand in another order in the other.
fn is_inverted<'a>(shared: impl Iterator<Item = &'a Shared>) -> bool {
    let mut last = 0;
    for (_, place, _) in shared {
        if *place < last {
            return true;
        }
        last = *place;
    }
    false
}

/// Two sorted lists of tokens, walked together.
struct Merge<'a> {
    one: &'a [Token],
    other: &'a [Token],
}

impl<'a> Merge<'a> {
    fn new(one: &'a [Token], other: &'a [Token]) -> Self {
        Self { one, other }
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = (Option<&'a Token>, Option<&'a Token>);

    fn next(&mut self) -> Option<Self::Item> {
        let (one, other) = (self.one.split_first(), self.other.split_first());
        let order = match (one, other) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.word.cmp(&other.word),
        };
        let mut step = (None, None);
        if let Some((first, rest)) = one.filter(|_| order.is_le()) {
            step.0 = Some(first);
            self.one = rest;
        }
        if let Some((first, rest)) = other.filter(|_| order.is_ge()) {
            step.1 = Some(first);
            self.other = rest;
        }
        Some(step)
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
