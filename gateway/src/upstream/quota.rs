//! What a provider says is left of its own rate limits, read from the headers of every answer. Owns
//! their names and forms.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use providers::WireFormat;

const UNKNOWN: u64 = u64::MAX;
/// When a provider says that nothing is left, but not until when.
const USUAL_RESET: Duration = Duration::from_secs(10);
/// A clock that is wrong must not keep a deployment out for ever.
const LONGEST_RESET: Duration = Duration::from_secs(3_600);

/// What is left of requests and tokens.
#[derive(Debug)]
pub struct Quota {
    origin: Instant,
    requests: Meter,
    tokens: Meter,
}

#[derive(Debug)]
struct Meter {
    remaining: AtomicU64,
    /// Milliseconds after the quota's origin.
    reset: AtomicU64,
}

/// `remaining` and `reset` of requests, then of tokens.
type Names = [[&'static str; 2]; 2];

const OPENAI: Names = [
    ["x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ["x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
];
const ANTHROPIC: Names = [
    ["anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"],
    ["anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"],
];

impl Default for Quota {
    fn default() -> Self {
        let meter = || Meter { remaining: AtomicU64::new(UNKNOWN), reset: AtomicU64::new(0) };
        Self { origin: Instant::now(), requests: meter(), tokens: meter() }
    }
}

impl Quota {
    /// Takes over what an answer says; what it leaves out stays as it was.
    pub fn read(&self, format: WireFormat, headers: &HeaderMap, now: Instant, clock: SystemTime) {
        let names = if format == WireFormat::Anthropic { &ANTHROPIC } else { &OPENAI };
        // One pass: most answers have fewer headers than a look-up by each name would cost.
        let mut said: [[Option<&str>; 2]; 2] = Default::default();
        for (name, value) in headers {
            let is_it = |known: &&str| *known == name.as_str();
            let place = names.as_flattened().iter().position(is_it);
            if let Some(said) = place.and_then(|place| said.as_flattened_mut().get_mut(place)) {
                *said = said.or_else(|| value.to_str().ok().map(str::trim));
            }
        }
        for ([remaining, reset], meter) in said.into_iter().zip([&self.requests, &self.tokens]) {
            let Some(remaining) = remaining.and_then(|text| text.parse().ok()) else { continue };
            let wait = reset.and_then(|text| until_reset(text, clock)).unwrap_or(USUAL_RESET);
            meter.reset.store(self.millis(now + wait.min(LONGEST_RESET)), Ordering::Relaxed);
            meter.remaining.store(remaining, Ordering::Relaxed);
        }
    }

    /// Counts a request that is about to be sent, so that a burst does not all go by the same answer.
    pub fn spend(&self, tokens: u64) {
        self.requests.spend(1);
        self.tokens.spend(tokens);
    }

    /// How long until one more request of so many tokens fits; None when it fits now, or nothing is known.
    pub fn wait(&self, tokens: u64, now: Instant) -> Option<Duration> {
        let now = self.millis(now);
        let waits = [self.requests.wait(1, now), self.tokens.wait(tokens, now)];
        waits.into_iter().flatten().max().map(Duration::from_millis)
    }

    /// Requests and tokens left, while it is known.
    pub fn remaining(&self, now: Instant) -> (Option<u64>, Option<u64>) {
        let now = self.millis(now);
        (self.requests.known(now), self.tokens.known(now))
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Meter {
    /// What is left, until it is reset.
    fn known(&self, now: u64) -> Option<u64> {
        let remaining = self.remaining.load(Ordering::Relaxed);
        (remaining != UNKNOWN && now < self.reset.load(Ordering::Relaxed)).then_some(remaining)
    }

    fn wait(&self, amount: u64, now: u64) -> Option<u64> {
        self.known(now).filter(|remaining| *remaining < amount)?;
        Some(self.reset.load(Ordering::Relaxed).saturating_sub(now))
    }

    fn spend(&self, amount: u64) {
        if self.remaining.load(Ordering::Relaxed) == UNKNOWN {
            return;
        }
        // Lost to an answer that says something newer.
        let _ = self.remaining.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |remaining| {
            (remaining != UNKNOWN).then(|| remaining.saturating_sub(amount))
        });
    }
}

/// `6m0s` and `20ms` as OpenAI writes them, seconds as some of its copies do, or Anthropic's RFC 3339.
fn until_reset(text: &str, clock: SystemTime) -> Option<Duration> {
    if let Ok(moment) = humantime::parse_rfc3339_weak(text) {
        return Some(moment.duration_since(clock).unwrap_or_default());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = behind;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok())?
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(quota: &Quota, format: WireFormat, headers: &[(&'static str, &'static str)]) {
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600); // 2026-01-01T00:00:00Z
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        quota.read(format, &headers.collect(), quota.origin, clock);
    }

    #[test]
    fn resets_are_read_in_all_forms() {
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        for (text, millis) in [
            ("6m0s", Some(360_000)),
            ("1m2.5s", Some(62_500)),
            ("20ms", Some(20)),
            ("1h0m3s", Some(3_603_000)),
            ("8.64s", Some(8_640)),
            ("12", Some(12_000)),
            ("2026-01-01T00:00:30Z", Some(30_000)),
            ("2025-01-01T00:00:30Z", Some(0)),
            ("soon", None),
            ("5x", None),
            ("5", Some(5_000)),
            ("", None),
            ("-3", None),
        ] {
            assert_eq!(until_reset(text, clock), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn nothing_left_of_either_means_waiting_for_its_reset() {
        for (requests, tokens, wait) in [("0", "500", Some(360)), ("5", "99", Some(60)), ("5", "500", None)] {
            let quota = Quota::default();
            let headers = [
                ("x-ratelimit-remaining-requests", requests),
                ("x-ratelimit-reset-requests", "6m0s"),
                ("x-ratelimit-remaining-tokens", tokens),
                ("x-ratelimit-reset-tokens", "1m0s"),
            ];
            read(&quota, WireFormat::OpenAi, &headers);
            assert_eq!(quota.wait(100, quota.origin), wait.map(Duration::from_secs));
            assert_eq!(quota.wait(100, quota.origin + Duration::from_secs(360)), None);
        }
    }

    #[test]
    fn anthropics_names_and_a_far_reset() {
        let quota = Quota::default();
        let headers = [
            ("anthropic-ratelimit-requests-remaining", "1"),
            ("anthropic-ratelimit-requests-reset", "2030-01-01T00:00:00Z"),
        ];
        read(&quota, WireFormat::Anthropic, &headers);
        assert_eq!(quota.wait(1, quota.origin), None);
        quota.spend(1);
        assert_eq!(quota.wait(1, quota.origin), Some(LONGEST_RESET), "spent before the next answer says so");
        assert_eq!(quota.remaining(quota.origin), (Some(0), None));
    }

    #[test]
    fn no_headers_no_limit() {
        let quota = Quota::default();
        read(&quota, WireFormat::OpenAi, &[("x-ratelimit-remaining-requests", "many")]);
        quota.spend(1);
        assert_eq!(quota.wait(1_000, quota.origin), None);
        assert_eq!(quota.remaining(quota.origin), (None, None));
    }
}
