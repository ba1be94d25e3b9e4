//! A client that believes nothing: an answer is whole only when it says so itself in every way its format has.

use reqwest::Response;
use serde_json::Value;

/// Which client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) anthropic: bool,
    pub(crate) stream: bool,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self { anthropic: false, stream: false },
        Self { anthropic: false, stream: true },
        Self { anthropic: true, stream: false },
        Self { anthropic: true, stream: true },
    ];

    pub(crate) fn path(self) -> &'static str {
        if self.anthropic { "/v1/messages" } else { "/v1/chat/completions" }
    }

    pub(crate) fn name(self) -> &'static str {
        match (self.anthropic, self.stream) {
            (false, false) => "chat",
            (false, true) => "chat-stream",
            (true, false) => "messages",
            (true, true) => "messages-stream",
        }
    }
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Answered {
        text: String,
        attempts: u32,
    },
    Refused {
        status: u16,
    },
    InStream,
    /// It looked like success and was none.
    Truncated(String),
    Hang,
}

impl Ended {
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Answered { .. } => "whole".to_owned(),
            Self::Refused { status } => status.to_string(),
            Self::InStream => "in-stream error".to_owned(),
            Self::Truncated(what) => format!("TRUNCATED: {what}"),
            Self::Hang => "HANG".to_owned(),
        }
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(answer: Response, kind: Kind) -> Ended {
    let status = answer.status().as_u16();
    let attempts = answer.headers().get("x-signalbox-attempts");
    let attempts = attempts.map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let Ok(text) = answer.text().await else {
        return Ended::Truncated(format!("{status}, and the connection broke"));
    };
    let verdict = if status != 200 {
        return match is_envelope(&text, kind) {
            true => Ended::Refused { status },
            false => Ended::Truncated(format!("{status} without the client's envelope: {text}")),
        };
    } else if kind.stream {
        stream(&text, kind)
    } else {
        whole(&text, kind)
    };
    match verdict {
        Some(Verdict::Whole(text)) => Ended::Answered { text, attempts },
        Some(Verdict::Error) => Ended::InStream,
        None => Ended::Truncated(text),
    }
}

enum Verdict {
    Whole(String),
    Error,
}

fn is_envelope(text: &str, kind: Kind) -> bool {
    let Ok(error) = serde_json::from_str::<Value>(text) else { return false };
    let has_message = error["error"]["message"].as_str().is_some_and(|message| !message.is_empty());
    let leaks = text.contains("upstream-credential");
    has_message && !leaks && (!kind.anthropic || error["type"] == "error")
}

fn whole(text: &str, kind: Kind) -> Option<Verdict> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let (text, reason, tokens) = if kind.anthropic {
        (&answer["content"][0]["text"], &answer["stop_reason"], &answer["usage"]["output_tokens"])
    } else {
        let choice = &answer["choices"][0];
        (&choice["message"]["content"], &choice["finish_reason"], &answer["usage"]["completion_tokens"])
    };
    reason.as_str()?;
    tokens.as_u64()?;
    Some(Verdict::Whole(text.as_str()?.to_owned()))
}

fn stream(text: &str, kind: Kind) -> Option<Verdict> {
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect();
    let events = data.iter().filter(|data| **data != "[DONE]").map(|data| serde_json::from_str(data));
    let events: Vec<Value> = events.collect::<Result<_, _>>().ok()?;
    let has_error = events.iter().any(|event| event.get("error").is_some_and(|error| !error.is_null()));
    let is_done = if kind.anthropic {
        events.last()?["type"] == "message_stop"
    } else {
        data.last() == Some(&"[DONE]")
    };
    if has_error {
        // An error before an end marker would be taken for the end of an answer.
        return (!is_done && text.ends_with("\n\n")).then_some(Verdict::Error);
    }
    let mut said = String::new();
    let mut has_reason = false;
    for event in &events {
        let (piece, reason) = if kind.anthropic {
            (&event["delta"]["text"], &event["delta"]["stop_reason"])
        } else {
            (&event["choices"][0]["delta"]["content"], &event["choices"][0]["finish_reason"])
        };
        said.push_str(piece.as_str().unwrap_or_default());
        has_reason |= reason.is_string();
    }
    (is_done && has_reason).then_some(Verdict::Whole(said))
}
