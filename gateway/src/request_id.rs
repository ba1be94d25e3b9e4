//! Ids of requests: the client's own, or one of ours, which begins with its time so that the request log finds it quickly.

use crate::ledger::now_ms;

const LONGEST: usize = 128;
const PREFIX: &str = "req_";
/// Hexadecimal digits of the time in unix milliseconds.
const TIME_DIGITS: usize = 12;

/// The client's own id when it is harmless, else a new one.
pub fn choose(given: Option<&str>) -> String {
    let harmless =
        |id: &&str| !id.is_empty() && id.len() <= LONGEST && id.bytes().all(|b| b.is_ascii_graphic());
    match given.filter(harmless) {
        Some(id) => id.to_owned(),
        None => format!("{PREFIX}{:012x}{:012x}", now_ms(), fastrand::u64(..1 << 48)),
    }
}

/// When one of ours was made, in unix milliseconds; of a client's that looks the same, whatever it says.
pub fn time_ms(id: &str) -> Option<i64> {
    i64::from_str_radix(id.strip_prefix(PREFIX)?.get(..TIME_DIGITS)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_ours_tells_when_it_was_made() {
        let before = now_ms();
        let id = choose(None);
        assert!((before..=now_ms()).contains(&time_ms(&id).unwrap()), "{id}");
        assert_eq!(id.len(), PREFIX.len() + 24);
        assert_eq!(time_ms(&format!("{id}-audit")), time_ms(&id));
        assert_ne!(choose(None), id);
    }

    #[test]
    fn a_harmless_id_of_the_client_is_kept_and_tells_nothing() {
        assert_eq!(choose(Some("my-own")), "my-own");
        for id in ["my-own", "req_", "req_123", "req_zzzzzzzzzzzz", "req_äöüäöüäöü"] {
            assert_eq!(time_ms(id), None, "{id}");
        }
        for bad in ["", "with space", "line\nbreak", &"x".repeat(129)] {
            assert!(choose(Some(bad)).starts_with(PREFIX), "{bad:?}");
        }
    }
}
