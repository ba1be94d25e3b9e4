//! The one place that decides what a failure allows: retry here, go elsewhere, or give it to the
//! client. Pure; the table is in the tests.

use std::time::{Duration, SystemTime};

use domain::{Failure, FailureKind, FailureSource, Retry};
use providers::ProviderError;

/// A provider that asks for a longer pause is left at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Exponential backoff with full jitter.
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>)
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub initial: Duration,
    /// The ceiling of every wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait after the given number of failed attempts; `random` lies in 0..1.
    pub fn wait(&self, failed_attempts: u32, random: f64) -> Duration {
        let doublings = failed_attempts.saturating_sub(1).min(16);
        let ceiling = self.initial.saturating_mul(1 << doublings).min(self.max);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// What a provider's non-2xx answer means.
pub fn classify(status: u16, error: &ProviderError, retry_after: Option<Duration>) -> Failure {
    let (kind, retry) = match status {
        429 => (FailureKind::RateLimited, pause(retry_after)),
        408 | 409 | 425 => (FailureKind::Provider, Retry::Here),
        503 | 529 if retry_after.is_some() => (FailureKind::Provider, pause(retry_after)),
        500.. => (FailureKind::Provider, Retry::Here),
        401 | 403 => (FailureKind::Credential, Retry::Elsewhere),
        404 => (FailureKind::NotFound, Retry::Elsewhere),
        300..=399 => (FailureKind::Malformed, Retry::Elsewhere),
        _ if error.context_length => (FailureKind::ContextLength, Retry::Never),
        _ => (FailureKind::Rejected, Retry::Never),
    };
    let source_of_failure = match kind {
        FailureKind::Rejected | FailureKind::ContextLength => FailureSource::Downstream,
        FailureKind::Credential => FailureSource::Gateway,
        _ => FailureSource::Upstream,
    };
    Failure { kind, source_of_failure, retry, status: Some(status), reason: error.message.clone() }
}

/// A failure before or while the answer arrived, without a status to go by.
pub fn connect_failure(kind: FailureKind, reason: impl Into<String>) -> Failure {
    let retry = match kind {
        FailureKind::Connect | FailureKind::Reset | FailureKind::Malformed => Retry::Here,
        FailureKind::Untranslatable => Retry::Never,
        // Silence is likely to repeat itself; another deployment is the better bet.
        _ => Retry::Elsewhere,
    };
    Failure { kind, source_of_failure: FailureSource::Upstream, retry, status: None, reason: reason.into() }
}

fn pause(retry_after: Option<Duration>) -> Retry {
    match retry_after {
        Some(wait) if wait <= LONGEST_PAUSE => Retry::After(wait),
        Some(_) => Retry::Elsewhere,
        None => Retry::Here,
    }
}

/// `retry-after-ms`, or `retry-after` in seconds or as an HTTP date (RFC 9110, 10.2.3).
pub fn retry_after(header: Option<&[u8]>, header_ms: Option<&[u8]>, now: SystemTime) -> Option<Duration> {
    if let Some(millis) = header_ms.and_then(number) {
        return Some(Duration::from_secs_f64(millis / 1_000.0));
    }
    let header = header?;
    if let Some(seconds) = number(header) {
        return Some(Duration::from_secs_f64(seconds));
    }
    let date = httpdate::parse_http_date(std::str::from_utf8(header).ok()?.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn number(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    (number.is_finite() && (0.0..=1e9).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(context_length: bool) -> ProviderError {
        ProviderError { message: "why".into(), context_length, ..ProviderError::default() }
    }

    #[test]
    fn each_status_allows_what_the_policy_says() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (status, after, kind, retry) in [
            (500, None, FailureKind::Provider, Retry::Here),
            (503, None, FailureKind::Provider, Retry::Here),
            (408, None, FailureKind::Provider, Retry::Here),
            (429, None, FailureKind::RateLimited, Retry::Here),
            (429, seconds(2), FailureKind::RateLimited, Retry::After(Duration::from_secs(2))),
            (429, seconds(60), FailureKind::RateLimited, Retry::Elsewhere),
            (401, None, FailureKind::Credential, Retry::Elsewhere),
            (404, None, FailureKind::NotFound, Retry::Elsewhere),
            (400, None, FailureKind::Rejected, Retry::Never),
            (422, None, FailureKind::Rejected, Retry::Never),
        ] {
            let failure = classify(status, &error(false), after);
            assert_eq!((failure.kind, failure.retry), (kind, retry), "{status}");
        }
        assert_eq!(classify(400, &error(true), None).kind, FailureKind::ContextLength);
    }

    #[test]
    fn retry_after_is_read_in_all_three_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |header: &str| retry_after(Some(header.as_bytes()), None, now);
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(Some(b"9"), Some(b"300"), now), Some(Duration::from_millis(300)));
    }

    #[test]
    fn backoff_doubles_up_to_its_ceiling() {
        let backoff = Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(1) };
        let waits: Vec<u128> = (1..=4).map(|n| backoff.wait(n, 1.0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1_000]);
        assert_eq!(backoff.wait(3, 0.0), Duration::ZERO);
    }
}
