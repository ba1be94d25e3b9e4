//! One line of the log: eight hexadecimal digits of CRC-32, a space, a letter, a number in hexadecimal digits, a space, the
//! rest as a JSON array, a line feed. `s` is a subject with its number, `r` and `e` are the reservation and the end of the
//! attempt with this number, `o` is a reservation as older versions wrote it, with all of its subject. A line that was cut
//! off by a crash fails its check and is left out. An array, because names of fields would be half of the line.

use std::io::Write;
use std::sync::Arc;

use domain::{Micros, Usage};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use store::{Counted, Kind, LedgerEntry, State, Subject};

/// Who pays for what. The fields are [`Subject`]'s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub key_id: &'a str,
    pub key_name: &'a str,
    pub team_id: &'a str,
    pub user_id: &'a str,
    pub model: &'a str,
    pub deployment: &'a str,
    pub provider: &'a str,
    pub tags: &'a [String],
}

/// The same as it is read.
#[derive(Deserialize)]
struct NamedRead(String, String, String, String, String, String, String, Vec<String>);

/// A reservation, of a subject that an earlier line of the segment says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    pub at_ms: i64,
    pub reserved: Micros,
    pub request_id: &'a str,
    pub subject: u64,
}

/// The same as it is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Opened(i64, Micros, String, u64);

/// The same as older versions wrote it.
#[derive(Deserialize)]
struct OpenedWhole(i64, Micros, String, String, String, String, String, String, String, String, Vec<String>);

/// Its end. What the reservation says is not said again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ending<S> {
    pub at_ms: i64,
    pub state: State,
    pub outcome: S,
    pub counts_request: bool,
    pub usage: Usage,
    pub cost: Micros,
    pub kind: Kind,
    pub counted: Counted,
    pub saved: Micros,
}

/// The same as it is read; the five behind the cost are the usage. The last three are written only where they say
/// something, so the lines of older versions lack them too.
#[derive(Deserialize)]
struct Ended(
    i64,
    State,
    String,
    bool,
    Micros,
    u64,
    u64,
    u64,
    u64,
    u64,
    #[serde(default)] Kind,
    #[serde(default)] Counted,
    #[serde(default)] Micros,
);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { key_id, key_name, team_id, user_id, model, deployment, provider, tags } = self;
        (key_id, key_name, team_id, user_id, model, deployment, provider, tags).serialize(serializer)
    }
}

impl Serialize for Opening<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.at_ms, self.reserved, self.request_id, self.subject).serialize(serializer)
    }
}

impl Serialize for Ending<&str> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Usage { prompt, completion, cached, cache_write, reasoning } = self.usage;
        let Self { at_ms, state, outcome, counts_request, cost, kind, counted, saved, .. } = self;
        let is_usual = (*kind, *counted, *saved) == Default::default();
        let length = if is_usual { USUAL } else { USUAL + 3 };
        let mut line = serializer.serialize_seq(Some(length))?;
        line.serialize_element(at_ms)?;
        line.serialize_element(state)?;
        line.serialize_element(outcome)?;
        line.serialize_element(counts_request)?;
        line.serialize_element(cost)?;
        for tokens in [prompt, completion, cached, cache_write, reasoning] {
            line.serialize_element(&tokens)?;
        }
        if !is_usual {
            line.serialize_element(kind)?;
            line.serialize_element(counted)?;
            line.serialize_element(saved)?;
        }
        line.end()
    }
}

impl From<NamedRead> for Subject {
    fn from(read: NamedRead) -> Self {
        let NamedRead(key_id, key_name, team_id, user_id, model, deployment, provider, tags) = read;
        Self { key_id, key_name, team_id, user_id, model, deployment, provider, tags }
    }
}

impl Opened {
    /// The number of its subject.
    pub(super) fn subject(&self) -> u64 {
        self.3
    }

    /// Of this subject.
    pub(super) fn entry(self, subject: Arc<Subject>) -> LedgerEntry {
        let Self(at_ms, reserved, request_id, _) = self;
        LedgerEntry { at_ms, reserved, request_id, subject, ..LedgerEntry::default() }
    }
}

impl From<OpenedWhole> for LedgerEntry {
    fn from(read: OpenedWhole) -> Self {
        let OpenedWhole(at_ms, reserved, request_id, key_id, key_name, team_id, user_id, model, ..) = read;
        let (deployment, provider, tags) = (read.8, read.9, read.10);
        let subject = Subject { key_id, key_name, team_id, user_id, model, deployment, provider, tags };
        Self { request_id, at_ms, subject: Arc::new(subject), reserved, ..Self::default() }
    }
}

impl From<Ended> for Ending<String> {
    fn from(read: Ended) -> Self {
        let Ended(
            at_ms,
            state,
            outcome,
            counts_request,
            cost,
            prompt,
            completion,
            cached,
            cache_write,
            reasoning,
            kind,
            counted,
            saved,
        ) = read;
        let usage = Usage { prompt, completion, cached, cache_write, reasoning };
        Self { at_ms, state, outcome, counts_request, usage, cost, kind, counted, saved }
    }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// The subject with this number.
    Subject(u64, Subject),
    /// The reservation of the attempt with this number.
    Opened(u64, Opened),
    /// The same with its subject.
    OpenedWhole(u64, Box<LedgerEntry>),
    /// The end of the attempt with this number.
    Ended(u64, Ending<String>),
}

const CHECK: usize = 8;
/// Elements of the usual end.
const USUAL: usize = 10;

/// Writes a subject behind what `out` holds.
pub(super) fn encode_subject(out: &mut Vec<u8>, number: u64, subject: &Named<'_>) {
    encode(out, 's', number, subject);
}

/// Writes the reservation of an attempt behind what `out` holds.
pub(super) fn encode_opening(out: &mut Vec<u8>, attempt: u64, opening: &Opening<'_>) {
    encode(out, 'r', attempt, opening);
}

/// Writes the end of an attempt behind what `out` holds.
pub(super) fn encode_ending(out: &mut Vec<u8>, attempt: u64, ending: &Ending<&str>) {
    encode(out, 'e', attempt, ending);
}

fn encode(out: &mut Vec<u8>, kind: char, number: u64, rest: &impl Serialize) {
    let begin = out.len();
    out.extend_from_slice(&[b' '; CHECK + 1]);
    // A vector takes everything, and strings and numbers always serialise.
    let _ = write!(out, "{kind}{number:x} ");
    let _ = serde_json::to_writer(&mut *out, rest);
    let check = crc32fast::hash(out.get(begin + CHECK + 1..).unwrap_or_default());
    if let Some(mut head) = out.get_mut(begin..begin + CHECK) {
        let _ = write!(head, "{check:08x}");
    }
    out.push(b'\n');
}

/// What a line without its line feed says; None when it is damaged.
pub(super) fn decode(line: &[u8]) -> Option<Line> {
    let (check, rest) = line.split_at_checked(CHECK)?;
    let check = u32::from_str_radix(std::str::from_utf8(check).ok()?, 16).ok()?;
    let rest = rest.strip_prefix(b" ")?;
    if crc32fast::hash(rest) != check {
        return None;
    }
    let (kind, rest) = rest.split_first()?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    let (number, json) = rest.split_at_checked(end)?;
    let number = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    let json = json.get(1..)?;
    match kind {
        b's' => read::<NamedRead>(json).map(|read| Line::Subject(number, read.into())),
        b'r' => read(json).map(|read| Line::Opened(number, read)),
        b'o' => read::<OpenedWhole>(json).map(|read| Line::OpenedWhole(number, Box::new(read.into()))),
        b'e' => read::<Ended>(json).map(|read| Line::Ended(number, read.into())),
        _ => None,
    }
}

fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: Opening<'_> =
        Opening { at_ms: 1_795_498_200_000, reserved: Micros(40), request_id: "req_1", subject: 3 };

    fn named(tags: &[String]) -> Named<'_> {
        Named {
            key_id: "k",
            key_name: "key \"one\"",
            team_id: "",
            user_id: "",
            model: "small",
            deployment: "openai/gpt-4o-mini",
            provider: "openai",
            tags,
        }
    }

    const ENDING: Ending<&str> = Ending {
        at_ms: 1_795_498_201_000,
        state: State::Settled,
        outcome: "ok",
        counts_request: true,
        usage: Usage { prompt: 10, completion: 20, cached: 0, cache_write: 0, reasoning: 0 },
        cost: Micros(12),
        kind: Kind::Attempt,
        counted: Counted::Provider,
        saved: Micros(0),
    };

    #[test]
    fn a_line_reads_back_as_what_it_was() {
        let tags = ["blue".to_owned()];
        let mut out = Vec::new();
        encode_subject(&mut out, 3, &named(&tags));
        encode_opening(&mut out, 26, &OPENING);
        encode_ending(&mut out, 26, &ENDING);
        let lines: Vec<_> = out.split_inclusive(|byte| *byte == b'\n').collect();
        let mut lines = lines.into_iter().map(|line| decode(line.strip_suffix(b"\n").unwrap()).unwrap());
        let Some(Line::Subject(3, subject)) = lines.next() else { panic!() };
        assert_eq!((subject.key_name.as_str(), &subject.tags[..]), ("key \"one\"", &tags[..]));
        let Some(Line::Opened(26, opened)) = lines.next() else { panic!() };
        assert_eq!(opened.subject(), 3);
        let entry = opened.entry(Arc::new(subject));
        assert_eq!(
            (entry.request_id.as_str(), entry.reserved, entry.state),
            ("req_1", Micros(40), State::Reserved)
        );
        assert_eq!(entry.subject.deployment, "openai/gpt-4o-mini");
        let Some(Line::Ended(26, ending)) = lines.next() else { panic!() };
        assert_eq!((ending.outcome.as_str(), ending.usage, ending.cost), ("ok", ENDING.usage, Micros(12)));
    }

    #[test]
    fn a_reservation_of_an_older_version_reads_with_its_subject() {
        let mut out = Vec::new();
        let whole = (5, 40, "req_1", "k", "key", "t", "u", "small", "openai/gpt-4o-mini", "openai", ["blue"]);
        encode(&mut out, 'o', 26, &whole);
        let Some(Line::OpenedWhole(26, entry)) = decode(out.strip_suffix(b"\n").unwrap()) else { panic!() };
        assert_eq!((entry.at_ms, entry.reserved, entry.request_id.as_str()), (5, Micros(40), "req_1"));
        assert_eq!((entry.subject.team_id.as_str(), entry.subject.provider.as_str()), ("t", "openai"));
    }

    #[test]
    fn what_is_unusual_of_an_end_reads_back_and_the_lines_of_older_versions_still_do() {
        let coalesced = Ending { kind: Kind::Coalesced, saved: Micros(12), cost: Micros(0), ..ENDING };
        let estimated = Ending { counted: Counted::Estimate, ..ENDING };
        for ending in [ENDING, coalesced, estimated] {
            let mut out = Vec::new();
            encode_ending(&mut out, 3, &ending);
            let Some(Line::Ended(3, read)) = decode(out.strip_suffix(b"\n").unwrap()) else { panic!() };
            assert_eq!((read.kind, read.counted, read.saved), (ending.kind, ending.counted, ending.saved));
        }
        // As it was written before the last three elements were there.
        let mut out = Vec::new();
        encode_ending(&mut out, 3, &ENDING);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("\"ok\",true,12,10,20,0,0,0]\n"), "{text}");
    }

    #[test]
    fn a_line_that_was_cut_or_changed_is_none() {
        let mut out = Vec::new();
        encode_ending(&mut out, 7, &ENDING);
        let whole = out.strip_suffix(b"\n").unwrap();
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_none(), "{length}");
        }
        let mut changed = whole.to_vec();
        changed[60] ^= 1;
        assert!(decode(&changed).is_none());
    }
}
