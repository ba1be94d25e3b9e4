//! The grammar that chooses how an answer misbehaves: `name;key=value;key=value`.
//!
//! Owns the one list of keys, which parses, documents and refuses. It must not send anything.

use std::fmt::Write;
use std::time::Duration;

/// Why a behaviour string was refused; the text names the key and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BehaviourError {
    /// The key is not in the list.
    #[error("unknown mock behaviour key `{key}`; known keys: {known}")]
    UnknownKey {
        /// The key as sent.
        key: String,
        /// All known keys, separated by commas.
        known: String,
    },
    /// The key is known, its value is not of the right shape.
    #[error("mock behaviour key `{key}` cannot be `{value}`: it is {meaning}")]
    BadValue {
        /// The key as sent.
        key: String,
        /// The value as sent.
        value: String,
        /// What the key means, with its unit.
        meaning: &'static str,
    },
}

/// What goes wrong, at the start of the answer or (with `after`) inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Hang,
    Reset,
    Close,
    Malformed,
    NoDone,
    ErrorEvent,
}

/// One request's wishes. The default is a provider in good health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behaviour {
    pub(crate) ttft: Option<Duration>,
    pub(crate) gap: Option<Duration>,
    pub(crate) chunks: Option<usize>,
    pub(crate) size: Option<usize>,
    pub(crate) status: Option<u16>,
    pub(crate) html: bool,
    pub(crate) truncate: bool,
    pub(crate) code: Option<String>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) retry_after_date: Option<u64>,
    pub(crate) remaining: Option<u64>,
    pub(crate) fault: Option<Fault>,
    pub(crate) after: Option<usize>,
    pub(crate) drip: bool,
    pub(crate) split: Option<usize>,
    pub(crate) garbage: bool,
    pub(crate) big_header: bool,
    pub(crate) gzip: bool,
    pub(crate) crlf: bool,
    pub(crate) first: Option<u64>,
    pub(crate) every: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) credential: Option<String>,
    pub(crate) only: Option<String>,
    pub(crate) calls: Option<usize>,
    pub(crate) reasoning: bool,
    pub(crate) say: Option<String>,
    pub(crate) no_usage: bool,
    pub(crate) cached: Option<u64>,
}

type Set = fn(&mut Behaviour, &str) -> Option<()>;

struct Key {
    name: &'static str,
    meaning: &'static str,
    set: Set,
}

const fn key(name: &'static str, meaning: &'static str, set: Set) -> Key {
    Key { name, meaning, set }
}

/// Bounds on what one request may ask for, so that a typing error cannot eat the machine.
const MAX_CHUNKS: usize = 100_000;
const MAX_SIZE_BYTES: usize = 64 << 20;
const MAX_PAUSE: Duration = Duration::from_secs(600);

const KEYS: &[Key] = &[
    key("ttft", "the delay before the first byte of the answer, e.g. 200ms", |b, v| {
        b.ttft = Some(parse_duration(v)?);
        Some(())
    }),
    key("gap", "the pause between stream chunks, e.g. 10ms", |b, v| {
        b.gap = Some(parse_duration(v)?);
        Some(())
    }),
    key("chunks", "the number of content chunks (words), 1 to 100000", |b, v| {
        b.chunks = Some(number(v).filter(|n| (1..=MAX_CHUNKS).contains(n))?);
        Some(())
    }),
    key("size", "the bytes of content, 1 to 67108864", |b, v| {
        b.size = Some(number(v).filter(|n| (1..=MAX_SIZE_BYTES).contains(n))?);
        Some(())
    }),
    key("status", "the HTTP status, 200 to 599, with the format's error envelope from 400 on", |b, v| {
        b.status = Some(number(v).filter(|n| (200..=599).contains(n))?);
        Some(())
    }),
    key("html", "1: an HTML page instead of the envelope", |b, v| set_flag(&mut b.html, v)),
    key("truncate", "1: the body ends short of its Content-Length", |b, v| set_flag(&mut b.truncate, v)),
    key("code", "the error code in the envelope, e.g. context_length_exceeded", |b, v| {
        b.code = Some(word(v)?);
        Some(())
    }),
    key("retry_after", "the Retry-After header in seconds", |b, v| {
        b.retry_after = Some(number(v)?);
        Some(())
    }),
    key("retry_after_ms", "the retry-after-ms header in milliseconds", |b, v| {
        b.retry_after_ms = Some(number(v)?);
        Some(())
    }),
    key("retry_after_date", "the Retry-After header as an HTTP date that many seconds ahead", |b, v| {
        b.retry_after_date = Some(number(v)?);
        Some(())
    }),
    key("remaining", "the requests and tokens left in the rate-limit headers", |b, v| {
        b.remaining = Some(number(v)?);
        Some(())
    }),
    key("fault", "one of hang, reset, close, malformed, no_done, error_event", |b, v| {
        b.fault = Some(fault(v)?);
        Some(())
    }),
    key("after", "the content chunks sent before the fault", |b, v| {
        b.after = Some(number(v)?);
        Some(())
    }),
    key("drip", "1: one byte per gap", |b, v| set_flag(&mut b.drip, v)),
    key("split", "the most bytes of one write, from 1", |b, v| {
        b.split = Some(number(v).filter(|n| *n >= 1)?);
        Some(())
    }),
    key("garbage", "1: bytes that are not HTTP", |b, v| set_flag(&mut b.garbage, v)),
    key("big_header", "1: a response header of 128 KiB", |b, v| set_flag(&mut b.big_header, v)),
    key("gzip", "1: content-encoding gzip although not asked for", |b, v| set_flag(&mut b.gzip, v)),
    key("crlf", "1: events end their lines with CR LF", |b, v| set_flag(&mut b.crlf, v)),
    key("first", "the number of requests, per id or exact model string, that misbehave", |b, v| {
        b.first = Some(number(v)?);
        Some(())
    }),
    key("every", "only each such request, per id or exact model string, misbehaves", |b, v| {
        b.every = Some(number(v).filter(|n| *n >= 1)?);
        Some(())
    }),
    key("id", "the name under which `first` and `every` count", |b, v| {
        b.id = Some(word(v)?);
        Some(())
    }),
    key("credential", "the credential that must be presented", |b, v| {
        b.credential = Some(word(v)?);
        Some(())
    }),
    key("only", "only requests with this credential misbehave", |b, v| {
        b.only = Some(word(v)?);
        Some(())
    }),
    key("calls", "the number of parallel tool calls, 1 to 16", |b, v| {
        b.calls = Some(number(v).filter(|n| (1..=16).contains(n))?);
        Some(())
    }),
    key("say", "the text of the answer, in place of the words of the request", |b, v| {
        b.say = Some(v.to_owned()).filter(|text| !text.is_empty());
        b.say.is_some().then_some(())
    }),
    key("reasoning", "1: reasoning before the answer", |b, v| set_flag(&mut b.reasoning, v)),
    key("no_usage", "1: no usage anywhere", |b, v| set_flag(&mut b.no_usage, v)),
    key("cached", "the prompt tokens read from the provider's cache", |b, v| {
        b.cached = Some(number(v)?);
        Some(())
    }),
];

impl Behaviour {
    /// Adds what `text` asks for. The first segment is a name unless it holds `=`.
    pub(crate) fn apply(&mut self, text: &str) -> Result<(), BehaviourError> {
        for (position, segment) in text.split(';').enumerate() {
            let segment = segment.trim();
            let Some((name, value)) = segment.split_once('=') else {
                if position == 0 || segment.is_empty() {
                    continue;
                }
                return Err(unknown(segment));
            };
            let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| unknown(name))?;
            (key.set)(self, value).ok_or_else(|| BehaviourError::BadValue {
                key: name.to_owned(),
                value: value.to_owned(),
                meaning: key.meaning,
            })?;
        }
        Ok(())
    }
}

/// Every key with its meaning, one per line, for the command line's help.
pub fn grammar() -> String {
    let mut text = String::from(
        "Behaviour: the model name or the header x-mock is `name;key=value;key=value`, with these keys:\n",
    );
    for key in KEYS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<17} {}", key.name, key.meaning);
    }
    text
}

fn unknown(key: &str) -> BehaviourError {
    let known = KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
    BehaviourError::UnknownKey { key: key.to_owned(), known }
}

/// `250us`, `10ms` or `2s`, at most ten minutes; `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit): (&str, fn(u64) -> Duration) = if let Some(digits) = text.strip_suffix("ms") {
        (digits, Duration::from_millis)
    } else if let Some(digits) = text.strip_suffix("us") {
        (digits, Duration::from_micros)
    } else {
        (text.strip_suffix('s')?, Duration::from_secs)
    };
    digits.parse().ok().map(unit).filter(|duration| *duration <= MAX_PAUSE)
}

fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.parse().ok()
}

fn word(text: &str) -> Option<String> {
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn set_flag(flag: &mut bool, text: &str) -> Option<()> {
    *flag = match text {
        "1" | "true" => true,
        "0" | "false" => false,
        _ => return None,
    };
    Some(())
}

fn fault(text: &str) -> Option<Fault> {
    Some(match text {
        "hang" => Fault::Hang,
        "reset" => Fault::Reset,
        "close" => Fault::Close,
        "malformed" => Fault::Malformed,
        "no_done" => Fault::NoDone,
        "error_event" => Fault::ErrorEvent,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Behaviour, BehaviourError> {
        let mut behaviour = Behaviour::default();
        behaviour.apply(text).map(|()| behaviour)
    }

    #[test]
    fn a_bare_name_asks_for_nothing() {
        assert_eq!(parse("gpt-4o-mini"), Ok(Behaviour::default()));
    }

    #[test]
    fn keys_follow_the_name_and_a_header_may_leave_the_name_out() {
        let wanted =
            Behaviour { ttft: Some(Duration::from_millis(200)), chunks: Some(3), ..Behaviour::default() };
        assert_eq!(parse("m;ttft=200ms;chunks=3"), Ok(wanted.clone()));
        assert_eq!(parse("ttft=200ms;chunks=3;"), Ok(wanted));
    }

    #[test]
    fn an_unknown_key_is_named_together_with_the_known_ones() {
        let text = parse("m;tfft=1s").unwrap_err().to_string();
        assert!(text.contains("`tfft`") && text.contains("ttft, gap, chunks"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_refused_with_its_meaning() {
        for bad in ["m;ttft=5", "m;ttft=2000s", "m;chunks=0", "m;status=99", "m;fault=x", "m;gzip=yes"] {
            assert!(matches!(parse(bad), Err(BehaviourError::BadValue { .. })), "{bad}");
        }
    }
}
