//! Blocks: ended attempts, packed. Those of older versions have an object for each attempt and no first line that says who
//! pays for what; they are still read.

use std::borrow::Cow;
use std::sync::Arc;

use domain::{Micros, Usage};
use serde::{Deserialize, Serialize};

use super::{Counted, Kind, LedgerEntry, State, Subject};
use crate::database::{Row, Transaction};
use crate::error::Result;
use crate::packed::{self, Pack};

const TABLE: &str = "ledger";

/// An attempt; the first element is its subject's place in the first line.
#[derive(Serialize, Deserialize)]
struct Line<'a>(
    usize,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    i64,
    State,
    Kind,
    #[serde(borrow)] Cow<'a, str>,
    bool,
    Counted,
    [Micros; 3],
    [u64; 5],
);

/// An attempt of an older block.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Whole {
    attempt_id: String,
    request_id: String,
    at_ms: i64,
    state: State,
    kind: Kind,
    #[serde(flatten)]
    subject: Subject,
    outcome: String,
    counts_request: bool,
    usage: Usage,
    counted: Counted,
    cost: Micros,
    reserved: Micros,
    saved: Micros,
}

impl<'a> Line<'a> {
    fn of(entry: &'a LedgerEntry, subject: usize) -> Self {
        let Usage { prompt, completion, cached, cache_write, reasoning } = entry.usage;
        Self(
            subject,
            Cow::Borrowed(&entry.attempt_id),
            Cow::Borrowed(&entry.request_id),
            entry.at_ms,
            entry.state,
            entry.kind,
            Cow::Borrowed(&entry.outcome),
            entry.counts_request,
            entry.counted,
            [entry.cost, entry.reserved, entry.saved],
            [prompt, completion, cached, cache_write, reasoning],
        )
    }

    /// None when the first line has no such subject.
    fn entry(self, subjects: &[Arc<Subject>]) -> Option<LedgerEntry> {
        let Self(
            subject,
            attempt_id,
            request_id,
            at_ms,
            state,
            kind,
            outcome,
            counts_request,
            counted,
            money,
            tokens,
        ) = self;
        let ([cost, reserved, saved], [prompt, completion, cached, cache_write, reasoning]) = (money, tokens);
        Some(LedgerEntry {
            attempt_id: attempt_id.into_owned(),
            request_id: request_id.into_owned(),
            at_ms,
            state,
            kind,
            subject: subjects.get(subject)?.clone(),
            outcome: outcome.into_owned(),
            counts_request,
            usage: Usage { prompt, completion, cached, cache_write, reasoning },
            counted,
            cost,
            reserved,
            saved,
        })
    }
}

impl From<Whole> for LedgerEntry {
    fn from(whole: Whole) -> Self {
        Self {
            attempt_id: whole.attempt_id,
            request_id: whole.request_id,
            at_ms: whole.at_ms,
            state: whole.state,
            kind: whole.kind,
            subject: Arc::new(whole.subject),
            outcome: whole.outcome,
            counts_request: whole.counts_request,
            usage: whole.usage,
            counted: whole.counted,
            cost: whole.cost,
            reserved: whole.reserved,
            saved: whole.saved,
        }
    }
}

/// The entries' block; None without entries.
pub(super) fn encode(entries: &[LedgerEntry]) -> Result<Option<Vec<u8>>> {
    if entries.is_empty() {
        return Ok(None);
    }
    let mut pack = Pack::new(TABLE, entries.len());
    for entry in entries {
        let place = pack.place(&entry.subject);
        pack.line(&Line::of(entry, place))?;
    }
    pack.finish().map(Some)
}

/// The entries of a row, in the order of time.
pub(super) fn decode(row: &Row) -> Result<Vec<LedgerEntry>> {
    let lines = packed::unpack(row, TABLE)?;
    let mut entries = entries(&lines).map_err(|error| packed::damaged(TABLE, error))?;
    entries.sort_by(|one, other| (one.at_ms, &one.attempt_id).cmp(&(other.at_ms, &other.attempt_id)));
    Ok(entries)
}

fn entries(lines: &[u8]) -> serde_json::Result<Vec<LedgerEntry>> {
    if !lines.starts_with(packed::HEAD) {
        let whole = serde_json::Deserializer::from_slice(lines).into_iter::<Whole>();
        return whole.map(|read| read.map(LedgerEntry::from)).collect();
    }
    packed::read(lines, Line::entry)
}

/// Writes the entries' block.
pub(super) async fn insert(
    transaction: &mut Transaction,
    entries: &[LedgerEntry],
    packed: &[u8],
) -> Result<()> {
    let times = || entries.iter().map(|entry| entry.at_ms);
    let sql = "INSERT INTO ledger_blocks (id, first_at, last_at, entries, data) VALUES ($1, $2, $3, $4, $5)";
    let values = vec![
        crate::new_id().into(),
        times().min().unwrap_or_default().into(),
        times().max().unwrap_or_default().into(),
        (entries.len() as u64).into(),
        packed.into(),
    ];
    transaction.execute(sql, values).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_an_older_version_reads_as_before() {
        // As version 0.1 wrote it: what was empty or zero was left out.
        let lines = concat!(
            r#"{"attempt_id":"log-1","request_id":"r","at_ms":5,"state":"settled","key_id":"k1","key_name":"dev","#,
            r#""model":"small","deployment":"openai/gpt-4o-mini","provider":"openai","outcome":"ok","#,
            r#""counts_request":true,"usage":{"prompt":10,"completion":2,"cached":0,"cache_write":0,"reasoning":0},"#,
            r#""cost":150,"tags":["blue"]}"#,
            "\n",
            r#"{"attempt_id":"log-2","at_ms":6,"state":"aborted","kind":"cache_hit","counts_request":false}"#,
            "\n",
        );
        let [first, second] = &entries(lines.as_bytes()).unwrap()[..] else { panic!() };
        assert_eq!((first.subject.key_id.as_str(), first.usage.prompt, first.cost), ("k1", 10, Micros(150)));
        assert_eq!((first.subject.tags.join(","), first.state), ("blue".to_owned(), State::Settled));
        assert_eq!(
            (second.kind, second.state, &*second.subject),
            (Kind::CacheHit, State::Aborted, &Subject::default())
        );
    }

    #[test]
    fn an_attempt_of_a_subject_that_is_not_there_is_damage() {
        let lines = b"{\"subjects\":[]}\n[0,\"a\",\"\",1,\"settled\",\"attempt\",\"\",true,\"provider\",[0,0,0],[0,0,0,0,0]]\n";
        assert!(entries(lines).unwrap_err().to_string().contains("no subject"));
    }
}
