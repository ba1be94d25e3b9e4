//! One line of the log: eight hexadecimal digits of CRC-32, a space, the entry as JSON, a line feed. A line that was cut
//! off by a crash fails its check and is left out.

use std::io::Write;

use domain::{Micros, Usage};
use serde::Serialize;
use store::{LedgerEntry, State};

/// An entry that borrows what it says. The fields are [`LedgerEntry`]'s.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Line<'a> {
    pub attempt_id: &'a str,
    pub request_id: &'a str,
    pub at_ms: i64,
    pub state: State,
    pub key_id: &'a str,
    pub key_name: &'a str,
    pub team_id: &'a str,
    pub user_id: &'a str,
    pub model: &'a str,
    pub deployment: &'a str,
    pub provider: &'a str,
    pub outcome: &'a str,
    pub counts_request: bool,
    pub usage: Usage,
    pub cost: Micros,
    pub reserved: Micros,
    pub saved: Micros,
    pub tags: &'a [String],
}

const CHECK: usize = 8;

impl Line<'_> {
    /// Writes it into `out`, which is emptied first.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&[b' '; CHECK + 1]);
        // Strings and numbers always serialise.
        let _ = serde_json::to_writer(&mut *out, self);
        let check = crc32fast::hash(out.get(CHECK + 1..).unwrap_or_default());
        if let Some(mut head) = out.get_mut(..CHECK) {
            let _ = write!(head, "{check:08x}");
        }
        out.push(b'\n');
    }
}

/// The entry of a line without its line feed; None when the line is damaged.
pub(super) fn decode(line: &[u8]) -> Option<LedgerEntry> {
    let (check, json) = line.split_at_checked(CHECK)?;
    let check = u32::from_str_radix(std::str::from_utf8(check).ok()?, 16).ok()?;
    let json = json.strip_prefix(b" ")?;
    (crc32fast::hash(json) == check).then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tags: &[String]) -> Line<'_> {
        Line {
            attempt_id: "a-1",
            request_id: "req_1",
            at_ms: 1_795_498_200_000,
            state: State::Settled,
            key_id: "k",
            key_name: "key \"one\"",
            team_id: "",
            user_id: "",
            model: "small",
            deployment: "openai/gpt-4o-mini",
            provider: "openai",
            outcome: "ok",
            counts_request: true,
            usage: Usage { prompt: 10, completion: 20, ..Usage::default() },
            cost: Micros(12),
            reserved: Micros(40),
            saved: Micros(0),
            tags,
        }
    }

    #[test]
    fn a_line_reads_back_as_the_entry_it_was() {
        let tags = ["blue".to_owned()];
        let mut out = b"rest of the line before".to_vec();
        line(&tags).encode(&mut out);
        let entry = decode(out.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!((entry.attempt_id.as_str(), entry.cost, entry.state), ("a-1", Micros(12), State::Settled));
        assert_eq!((entry.key_name.as_str(), entry.tags), ("key \"one\"", tags.to_vec()));
    }

    #[test]
    fn a_line_that_was_cut_or_changed_is_none() {
        let mut out = Vec::new();
        line(&[]).encode(&mut out);
        let whole = out.strip_suffix(b"\n").unwrap();
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_none(), "{length}");
        }
        let mut changed = whole.to_vec();
        changed[60] ^= 1;
        assert!(decode(&changed).is_none());
    }
}
