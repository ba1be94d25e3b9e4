//! What each client format can ask of each provider format, found out by asking. The table is
//! docs/support-matrix.md; `SUPPORT_MATRIX=write cargo test -p providers --test support` writes it anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "clippy allows these inside test functions only, not in what they share"
)]

mod answers;
mod gemini;
mod requests;

use std::fmt::Write;
use std::path::PathBuf;

use providers::Operation;

/// The client formats: the name in the table, and how a request of it is asked.
const CLIENTS: [(&str, Operation); 4] = [
    ("chat", Operation::ChatCompletions),
    ("messages", Operation::Messages),
    ("responses", Operation::Responses),
    ("gemini", Operation::GenerateContent),
];

/// One provider kind for each wire format; those that clients speak too come first.
const KINDS: [&str; 6] = ["openai", "anthropic", "openai-responses", "gemini", "bedrock", "cohere"];

/// What came of one feature between one client and one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// It arrives.
    Yes,
    /// A 400 names the field; with `drop_params` it is left out where it is a parameter.
    Refused,
    /// It does not arrive and nobody is told: allowed for hints only.
    Left,
    /// The client's format cannot say it.
    Unsaid,
}

impl Cell {
    fn sign(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Refused => "400",
            Self::Left => "left out",
            Self::Unsaid => "",
        }
    }
}

/// One row: the feature, and a cell for each client and kind.
struct Row {
    feature: &'static str,
    cells: Vec<Cell>,
}

#[test]
fn the_page_says_what_was_found() {
    let (requests, answers) = (requests::rows(), answers::rows());
    let page = page(&requests, &answers);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/support-matrix.md");
    if std::env::var("SUPPORT_MATRIX").is_ok_and(|value| value == "write") {
        std::fs::write(&path, &page).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, published, "SUPPORT_MATRIX=write cargo test -p providers --test support writes it anew");
}

fn page(requests: &[Row], answers: &[Row]) -> String {
    let mut out = String::from(
        "# What each client can ask of each provider\n\n\
         Found by `cargo test -p providers --test support`, which sends each feature from each client format to each\n\
         provider format and looks for it in what arrives. Each client has a table; the columns are provider formats.\n\n\
         - **yes**: it arrives, in the provider's words.\n\
         - **400**: the provider's format has no word for it; the error names the field. `drop_params: true` on the\n  \
           model leaves out what is a parameter.\n\
         - **left out**: a hint that only another family of models can use; nothing is lost by leaving it out.\n\
         - empty: the client's format cannot say it.\n\n\
         The same format in and out is forwarded byte for byte, so everything arrives.\n\n## Requests\n\n",
    );
    tables(&mut out, requests, "asks");
    out.push_str("\n## Answers, whole and streamed\n\n");
    tables(&mut out, answers, "gets");
    out
}

/// One table for each client, since one for all would be too wide to read.
fn tables(out: &mut String, rows: &[Row], verb: &str) {
    for (place, (client, _)) in CLIENTS.iter().enumerate() {
        let blank = if place == 0 { "" } else { "\n" };
        writeln!(out, "{blank}### What a {client} client {verb}\n\n| | {} |", KINDS.join(" | ")).unwrap();
        writeln!(out, "|---{}|", "|---".repeat(KINDS.len())).unwrap();
        for row in rows {
            let cells = row.cells.iter().skip(place * KINDS.len()).take(KINDS.len());
            let cells: Vec<&str> = cells.map(|cell| cell.sign()).collect();
            writeln!(out, "| {} | {} |", row.feature, cells.join(" | ")).unwrap();
        }
    }
}
