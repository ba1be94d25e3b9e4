//! Entries as rows for whoever takes them away: JSON, JSON lines and CSV, the same from the admin API and from the command
//! line.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Serialize;
use store::{LedgerEntry, State};

/// An entry. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EntryRow {
    /// When it ended, in UTC; of a reservation, when it was made.
    pub time: String,
    /// Unique.
    pub attempt_id: String,
    /// The request it belongs to.
    pub request_id: String,
    /// `attempt`, `pass_through`, `coalesced` or `cache_hit`.
    pub kind: &'static str,
    /// `settled`, `aborted` (it cost nothing) or `reserved` (it has not ended, or nobody knows how).
    pub state: &'static str,
    /// The key's id.
    pub key: String,
    /// Its name at that time.
    pub key_name: String,
    /// The team's id.
    pub team: String,
    /// The user's id.
    pub user: String,
    /// The model that was asked for.
    pub model: String,
    /// The deployment that was called.
    pub deployment: String,
    /// Its provider.
    pub provider: String,
    /// `ok`, or what went wrong.
    pub outcome: String,
    /// True for one entry of a request.
    pub counts_request: bool,
    /// Who counted the tokens: `provider`, `estimate` (the gateway) or `nobody`.
    pub counted: &'static str,
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
    /// Prompt tokens from the provider's cache.
    pub cached_tokens: u64,
    /// Prompt tokens written to it.
    pub cache_write_tokens: u64,
    /// Generated tokens that were reasoning.
    pub reasoning_tokens: u64,
    /// The cost in micro-dollars.
    pub micros: u64,
    /// The cost in US dollars.
    pub usd: f64,
    /// What was held back for it.
    pub reserved_micros: u64,
    /// What it would have cost without a cache or somebody to share with.
    pub saved_micros: u64,
    /// The key's tags.
    pub tags: Vec<String>,
}

/// The head of the CSV, in the order of [`EntryRow::record`].
const HEAD: [&str; 25] = [
    "time",
    "attempt_id",
    "request_id",
    "kind",
    "state",
    "key",
    "key_name",
    "team",
    "user",
    "model",
    "deployment",
    "provider",
    "outcome",
    "counts_request",
    "counted",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "micros",
    "usd",
    "reserved_micros",
    "saved_micros",
    "tags",
];

impl EntryRow {
    /// Of an entry.
    pub fn of(entry: LedgerEntry) -> Self {
        let subject = Arc::unwrap_or_clone(entry.subject);
        Self {
            time: time(entry.at_ms),
            kind: entry.kind.as_str(),
            state: match entry.state {
                State::Reserved => "reserved",
                State::Aborted => "aborted",
                State::Settled => "settled",
            },
            counted: entry.counted.as_str(),
            attempt_id: entry.attempt_id,
            request_id: entry.request_id,
            key: subject.key_id,
            key_name: subject.key_name,
            team: subject.team_id,
            user: subject.user_id,
            model: subject.model,
            deployment: subject.deployment,
            provider: subject.provider,
            outcome: entry.outcome,
            counts_request: entry.counts_request,
            input_tokens: entry.usage.prompt,
            output_tokens: entry.usage.completion,
            cached_tokens: entry.usage.cached,
            cache_write_tokens: entry.usage.cache_write,
            reasoning_tokens: entry.usage.reasoning,
            micros: entry.cost.0,
            usd: entry.cost.usd(),
            reserved_micros: entry.reserved.0,
            saved_micros: entry.saved.0,
            tags: subject.tags,
        }
    }

    fn record(&self) -> [String; HEAD.len()] {
        let texts = [
            &self.time,
            &self.attempt_id,
            &self.request_id,
            self.kind,
            self.state,
            &self.key,
            &self.key_name,
            &self.team,
            &self.user,
            &self.model,
            &self.deployment,
            &self.provider,
            &self.outcome,
        ];
        let figures = [
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
            self.micros,
        ];
        let mut record = texts.iter().map(|text| guarded(text)).collect::<Vec<_>>();
        record.extend([self.counts_request.to_string(), self.counted.to_owned()]);
        record.extend(figures.map(|figure| figure.to_string()));
        record.extend([
            self.usd.to_string(),
            self.reserved_micros.to_string(),
            self.saved_micros.to_string(),
        ]);
        record.push(guarded(&self.tags.join(" ")));
        let mut fields = record.into_iter();
        std::array::from_fn(|_| fields.next().unwrap_or_default())
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SheetFormat {
    /// One JSON array.
    Json,
    /// A JSON object a line.
    Jsonl,
    /// RFC 4180, with a head.
    Csv,
}

impl SheetFormat {
    /// The head of a sheet, with its line end.
    pub fn head(self) -> Vec<u8> {
        match self {
            Self::Json => b"[".to_vec(),
            Self::Jsonl => Vec::new(),
            Self::Csv => csv_lines([HEAD.map(str::to_owned)]),
        }
    }

    /// Rows behind the head; `is_first`: behind nothing else.
    pub fn rows(self, rows: &[EntryRow], is_first: bool) -> Vec<u8> {
        match self {
            Self::Csv => csv_lines(rows.iter().map(EntryRow::record)),
            Self::Json | Self::Jsonl => {
                let mut out = Vec::with_capacity(rows.len() * 512);
                for (index, row) in rows.iter().enumerate() {
                    if self == Self::Json && !(is_first && index == 0) {
                        out.push(b',');
                    }
                    // Strings and numbers always serialise, and memory takes them.
                    let _ = serde_json::to_writer(&mut out, row);
                    if self == Self::Jsonl {
                        out.push(b'\n');
                    }
                }
                out
            }
        }
    }

    /// What comes behind the last row.
    pub fn foot(self) -> &'static [u8] {
        match self {
            Self::Json => b"]\n",
            Self::Jsonl | Self::Csv => b"",
        }
    }
}

fn csv_lines<const N: usize>(records: impl IntoIterator<Item = [String; N]>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        // Into memory nothing fails.
        let _ = writer.write_record(&record);
    }
    writer.into_inner().unwrap_or_default()
}

/// Spreadsheets run what begins like a formula, and a tag is whatever a client sent (OWASP, CSV injection).
pub fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// A date or an RFC 3339 time in UTC, in unix milliseconds.
pub fn moment(text: &str) -> Option<i64> {
    let whole = if text.len() == "2026-11-24".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let at = humantime::parse_rfc3339(&whole).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(at.as_millis()).ok()
}

fn time(ms: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use domain::{Micros, Usage};
    use store::Subject;

    use super::*;

    fn row() -> EntryRow {
        EntryRow::of(LedgerEntry {
            attempt_id: "log-1".to_owned(),
            at_ms: 1_795_498_200_123,
            subject: Arc::new(Subject {
                key_name: "=evil, \"key\"".to_owned(),
                tags: vec!["blue".to_owned(), "batch".to_owned()],
                ..Subject::default()
            }),
            usage: Usage { prompt: 10, ..Usage::default() },
            cost: Micros(1_500),
            saved: Micros(7),
            ..LedgerEntry::default()
        })
    }

    #[test]
    fn a_row_of_csv_has_its_figures_below_their_names_and_runs_nothing() {
        let format = SheetFormat::Csv;
        let text = String::from_utf8([format.head(), format.rows(&[row()], true)].concat()).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let head = reader.headers().unwrap().clone();
        let record = reader.records().next().unwrap().unwrap();
        let field = |name: &str| &record[head.iter().position(|known| known == name).unwrap()];
        assert_eq!(
            (field("time"), field("micros"), field("usd")),
            ("2026-11-24T05:30:00.123Z", "1500", "0.0015")
        );
        assert_eq!((field("key_name"), field("tags")), ("'=evil, \"key\"", "blue batch"));
        assert_eq!((field("counted"), field("saved_micros"), field("input_tokens")), ("provider", "7", "10"));
    }

    #[test]
    fn the_head_of_csv_names_every_field_of_json() {
        let json = serde_json::to_value(row()).unwrap();
        let mut names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut head = HEAD.to_vec();
        names.sort_unstable();
        head.sort_unstable();
        assert_eq!(names, head);
    }

    #[test]
    fn pages_of_json_are_one_array() {
        let format = SheetFormat::Json;
        let pages = [format.head(), format.rows(&[row(), row()], true), format.rows(&[row()], false)];
        let text = [pages.concat(), format.foot().to_vec()].concat();
        assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&text).unwrap().len(), 3);
    }
}
