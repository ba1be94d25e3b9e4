//! What a request says of its answer's being kept: in `Cache-Control` (RFC 9111), in `x-signalbox-cache`, and in the
//! member `cache` of its body, which is LiteLLM's.

use std::time::Duration;

use cache::exact::Entry;
use serde::Deserialize;
use serde_json::Value;

/// An answer is kept for no longer, whoever asks for it.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);
const LONGEST_NAMESPACE: usize = 128;

/// What a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// No kept answer, please.
    pub no_cache: bool,
    /// Keep nothing of this.
    pub no_store: bool,
    /// A kept answer or none.
    pub only_if_cached: bool,
    /// A kept answer may be this old.
    pub max_age: Option<Duration>,
    /// How long the answer is kept.
    pub ttl: Option<Duration>,
    /// The part of the cache that it belongs to.
    pub namespace: String,
    /// It asks for the cache in so many words: what the configuration leaves out for caution is looked up too.
    pub opted_in: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    ttl: Value,
    #[serde(rename = "s-maxage", alias = "s-max-age")]
    max_age: Value,
    #[serde(rename = "no-cache")]
    no_cache: Value,
    #[serde(rename = "no-store")]
    no_store: Value,
    namespace: Value,
    #[serde(rename = "use-cache")]
    use_cache: Value,
}

impl Controls {
    /// No answer of another request.
    pub fn wants_own_answer(&self) -> bool {
        self.no_cache || self.no_store
    }

    /// Is a kept answer young enough?
    pub fn takes(&self, entry: &Entry, now_ms: u64) -> bool {
        let age = u128::from(now_ms.saturating_sub(entry.created_ms));
        self.max_age.is_none_or(|most| age <= most.as_millis())
    }

    /// Reads the directives of a header. `is_ours`: of `x-signalbox-cache`, which knows more of them.
    pub fn read_header(&mut self, value: &[u8], is_ours: bool) {
        let Ok(text) = std::str::from_utf8(value) else { return };
        for directive in text.split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => self.no_cache = true,
                "no-store" => self.no_store = true,
                "only-if-cached" => self.only_if_cached = true,
                "max-age" | "s-maxage" => self.max_age = seconds(value).or(self.max_age),
                "ttl" if is_ours => {
                    self.ttl = seconds(value).or(self.ttl);
                    self.opted_in = true;
                }
                "namespace" if is_ours => self.name(value),
                "on" if is_ours => self.opted_in = true,
                "off" if is_ours => (self.no_cache, self.no_store) = (true, true),
                _ => {}
            }
        }
    }

    /// Reads the object of the body.
    pub fn read_body(&mut self, json: &str) {
        let Ok(body) = serde_json::from_str::<Body>(json) else { return };
        let is_true = |value: &Value| value.as_bool() == Some(true);
        let time = |value: &Value| match value {
            Value::Number(number) => number.as_f64().and_then(bounded),
            Value::String(text) => seconds(text),
            _ => None,
        };
        self.no_cache |= is_true(&body.no_cache);
        self.no_store |= is_true(&body.no_store);
        self.ttl = time(&body.ttl).or(self.ttl);
        self.max_age = time(&body.max_age).or(self.max_age);
        if let Some(namespace) = body.namespace.as_str() {
            self.name(namespace);
        }
        self.opted_in |= is_true(&body.use_cache) || !body.ttl.is_null();
    }

    fn name(&mut self, namespace: &str) {
        if namespace.len() <= LONGEST_NAMESPACE {
            namespace.clone_into(&mut self.namespace);
        } else {
            // Cut short it would be another client's.
            (self.no_cache, self.no_store) = (true, true);
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim_end_matches('s').parse().ok().and_then(bounded)
}

fn bounded(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_says_the_same() {
        let mut header = Controls::default();
        header.read_header(b"No-Cache, ttl=60, namespace=\"n\"", true);
        let mut body = Controls::default();
        body.read_body(r#"{"no-cache":true,"ttl":60,"namespace":"n"}"#);
        assert_eq!(header, body);
        assert_eq!((body.ttl, body.no_cache, body.no_store), (Some(Duration::from_secs(60)), true, false));
        let mut standard = Controls::default();
        standard.read_header(b"max-age=5, only-if-cached, ttl=9, private", false);
        let expected =
            Controls { max_age: Some(Duration::from_secs(5)), only_if_cached: true, ..Controls::default() };
        assert_eq!(standard, expected);
    }

    #[test]
    fn nonsense_changes_nothing_and_a_time_is_bounded() {
        let mut controls = Controls::default();
        controls.read_header(b"\xff", true);
        controls.read_header(b"ttl=x, max-age=-1", false);
        controls.read_body(r#"{"ttl":null,"no-cache":"yes","namespace":7}"#);
        assert_eq!(controls, Controls::default());
        controls.read_body(r#"{"ttl":1e300}"#);
        assert_eq!(controls.ttl, Some(LONGEST));
        controls.read_header(format!("namespace={}", "x".repeat(129)).as_bytes(), true);
        assert!(controls.no_cache && controls.no_store);
    }
}
