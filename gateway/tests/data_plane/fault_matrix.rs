//! Every fault of a provider, asked of by both clients, whole and streamed, with and without a fallback of
//! either format. Writes docs/faults.md; `FAULTS=write cargo test -p gateway --test data_plane fault_matrix`
//! writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::strict_client::{Ended, Kind, read};

/// Longer than the time-outs of any scenario together.
const HANG: Duration = Duration::from_secs(40);
const TIMEOUTS: &str = "timeouts: {connect: 1s, first_token: 3s, answer: 3s, idle: 3s}";
const PROMPT: &str = "one two three four five six seven eight nine ten";

/// One way to misbehave.
struct Scenario {
    name: &'static str,
    /// The deployment's provider; `mock` stands for both formats.
    provider: &'static str,
    /// What the mock is told.
    model: &'static str,
    /// More of the model's configuration.
    settings: &'static str,
    /// Another deployment would not answer otherwise either: the client is told at once.
    is_final: bool,
}

const fn fault(name: &'static str, model: &'static str) -> Scenario {
    Scenario { name, provider: "mock", model, settings: TIMEOUTS, is_final: false }
}

const fn refusal(name: &'static str, model: &'static str) -> Scenario {
    Scenario { is_final: true, ..fault(name, model) }
}

const SCENARIOS: &[Scenario] = &[
    fault("no fault", "m"),
    Scenario { provider: "dead", ..fault("connection refused", "x") },
    Scenario { provider: "no-tls", ..fault("TLS fails", "x") },
    fault("connection reset", "m;fault=reset"),
    fault("connection closed", "m;fault=close"),
    fault("silence", "m;fault=hang"),
    fault("408", "m;status=408"),
    fault("409", "m;status=409"),
    fault("425", "m;status=425"),
    fault("429", "m;status=429"),
    fault("429, `retry-after: 60`", "m;status=429;retry_after=60"),
    fault("429, `retry-after` as a date", "m;status=429;retry_after_date=60"),
    fault("429 once, `retry-after-ms: 100`", "m;status=429;retry_after_ms=100;first=1"),
    fault("429 once, `retry-after: 1`", "m;status=429;retry_after=1;first=1"),
    fault("500", "m;status=500"),
    fault("500 once", "m;status=500;first=1"),
    fault("502", "m;status=502"),
    fault("503", "m;status=503"),
    fault("504", "m;status=504"),
    fault("529", "m;status=529"),
    fault("HTML instead of an error", "m;status=502;html=1"),
    fault("HTML instead of an answer", "m;status=200;html=1"),
    fault("a body short of its length", "m;truncate=1"),
    fault("no HTTP", "m;garbage=1"),
    fault("a header of 128 KiB", "m;big_header=1"),
    fault("401", "m;status=401"),
    fault("403", "m;status=403"),
    fault("404", "m;status=404"),
    refusal("400", "m;status=400"),
    refusal("400, content filter", "m;status=400;code=content_filter"),
    refusal("400, context length", "m;status=400;code=context_length_exceeded"),
    fault("the first event is an error", "m;fault=error_event;after=0"),
    fault("the first event is malformed", "m;fault=malformed;after=0"),
    fault("reset after 3 tokens", "m;fault=reset;after=3"),
    fault("closed after 3 tokens", "m;fault=close;after=3"),
    fault("stalls after 3 tokens", "m;fault=hang;after=3"),
    fault("malformed after 3 tokens", "m;fault=malformed;after=3"),
    fault("an error after 3 tokens", "m;fault=error_event;after=3"),
    fault("ends after 3 tokens, no end marker", "m;fault=no_done;after=3"),
    fault("all tokens, no end marker", "m;fault=no_done"),
    Scenario {
        settings: "min_chars_per_second: 1000, timeouts: {idle: 5s}",
        ..fault("slower than `min_chars_per_second`", "m;gap=700ms")
    },
    Scenario { settings: "timeouts: {first_token: 10s}", ..fault("one byte at a time", "m;drip=1") },
    fault("cut at every third byte", "m;split=3"),
    fault("CR LF", "m;crlf=1"),
    fault("gzip unasked for", "m;gzip=1"),
];

/// Who is there besides the deployment at fault.
const SETUPS: [(&str, &str); 3] =
    [("alone", ""), ("same", ", fallbacks: [spare-chat]"), ("other", ", fallbacks: [spare-messages]")];

fn models() -> String {
    let mut models = String::from(
        "
  spare-chat: {deployments: [{provider: mock, model: spare}]}
  spare-messages: {deployments: [{provider: claude, model: spare}]}
",
    );
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        for format in ["mock", "claude"] {
            let provider = if scenario.provider == "mock" { format } else { scenario.provider };
            for (setup, fallbacks) in SETUPS {
                for kind in Kind::ALL {
                    // Each request has its own model, and its own count of `first`.
                    let name = name(number, format, setup, kind);
                    let settings = scenario.settings;
                    let id =
                        if scenario.model.contains("first=") { format!(";id={name}") } else { String::new() };
                    let _ = writeln!(
                        models,
                        "  {name}: {{deployments: [{{provider: {provider}, model: '{}{id}'}}], \
                         retries: {{attempts: 2, backoff: {{initial: 1ms}}}}, cooldown: {{failures: 0}}\
                         , {settings}{fallbacks}}}",
                        scenario.model
                    );
                }
            }
        }
    }
    models
}

fn name(number: usize, format: &str, setup: &str, kind: Kind) -> String {
    format!("s{number}-{format}-{setup}-{}", kind.name())
}

/// One request and what came of it.
struct Seen {
    scenario: usize,
    setup: &'static str,
    kind: Kind,
    what: String,
    ended: Ended,
}

async fn ask(gateway: &Gateway, model: &str, kind: Kind) -> Ended {
    let body: Value = json!({
        "model": model, "stream": kind.stream, "max_tokens": 100,
        "messages": [{"role": "user", "content": PROMPT}],
    });
    let asked = gateway.post(kind.path(), body.to_string());
    let answered = async { read(asked.await, kind).await };
    tokio::time::timeout(HANG, answered).await.unwrap_or(Ended::Hang)
}

#[tokio::test]
async fn no_fault_reaches_a_user_who_has_a_fallback_and_none_looks_like_success() {
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let providers = format!(
        "  no-tls: {{kind: openai, base_url: 'https://{}/v1', api_key: x}}",
        plain.local_addr().unwrap()
    );
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = plain.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad\r\n\r\n").await;
        }
    });
    // A busy machine must not make the gateway refuse what the matrix asks.
    let limits = "limits: {retry_budget: 10, shed_lag: 0ms}";
    let gateway = Gateway::start_with_providers(&providers, &models(), limits).await;
    let mut canonical = Vec::new();
    for kind in Kind::ALL {
        let Ended::Answered { text, .. } = ask(&gateway, "spare-chat", kind).await else {
            panic!("{kind:?}")
        };
        canonical.push((kind, text));
    }
    let requests = SCENARIOS.iter().enumerate().flat_map(|(scenario, _)| {
        let formats = ["mock", "claude"].into_iter();
        formats.flat_map(move |format| {
            SETUPS.into_iter().flat_map(move |(setup, _)| {
                Kind::ALL.into_iter().map(move |kind| (scenario, format, setup, kind))
            })
        })
    });
    let seen: Vec<Seen> = futures_util::stream::iter(requests)
        .map(|(scenario, format, setup, kind)| {
            let gateway = &gateway;
            async move {
                let ended = ask(gateway, &name(scenario, format, setup, kind), kind).await;
                let what = format!("{}, {format}, {setup}, {kind:?}", SCENARIOS[scenario].name);
                Seen { scenario, setup, kind, what, ended }
            }
        })
        .buffer_unordered(32)
        .collect()
        .await;

    let mut wrong = Vec::new();
    for Seen { scenario, setup, kind, what, ended } in &seen {
        let scenario = &SCENARIOS[*scenario];
        let expected = &canonical.iter().find(|(of, _)| of == kind).unwrap().1;
        let good = match ended {
            Ended::Answered { text, attempts } => text == expected && *attempts <= 4,
            Ended::Refused { .. } => *setup == "alone" || scenario.is_final,
            Ended::InStream => *setup == "alone",
            Ended::Truncated(_) | Ended::Hang => false,
        };
        if !good {
            wrong.push(format!("{what}: {ended:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} went wrong:\n{}", wrong.len(), seen.len(), wrong.join("\n"));
    assert!(!gateway.metrics().await.contains("upstream-credential"));
    compare(&page(&seen));
}

fn page(seen: &[Seen]) -> String {
    let mut page = String::from(
        "# What a client sees of a provider's faults\n\nWritten by `FAULTS=write cargo test -p gateway --test \
         data_plane fault_matrix`, which asks for each cell with an OpenAI and an Anthropic client, of a provider of \
         either format, with a fallback of either format, and reads every answer to its end. **whole**: the complete \
         answer, end marker and usage included. A status: an error in the client's envelope. **in-stream error**: what \
         was sent is followed by an error event and no end marker. A cut answer that looks whole, and a hang, fail the \
         test. Here each deployment is called twice at most.\n\n\
         | the provider's fault | alone, unstreamed | alone, streamed | with a fallback, unstreamed | with a fallback, streamed |\n\
         |---|---|---|---|---|\n",
    );
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let cell = |alone: bool, stream: bool| {
            let matching = seen.iter().filter(|one| {
                one.scenario == number && (one.setup == "alone") == alone && one.kind.stream == stream
            });
            matching
                .map(|one| one.ended.word())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(" or ")
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            scenario.name,
            cell(true, false),
            cell(true, true),
            cell(false, false),
            cell(false, true)
        );
    }
    page
}

fn compare(page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
    #[expect(clippy::disallowed_methods, reason = "not the program's environment")]
    let write = std::env::var("FAULTS");
    if write.is_ok_and(|value| value == "write") {
        std::fs::write(&path, page).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(published, page, "docs/faults.md is not what was seen: FAULTS=write writes it anew");
}
