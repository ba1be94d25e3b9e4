//! Against guessing keys and tokens: failed authentications per address, counted in a sketch whose size does not
//! grow with the number of addresses.

use std::net::IpAddr;
use std::time::Duration;

use pingora_limits::rate::Rate;

/// Counts failed authentications.
pub struct GuessLimiter(Rate);

impl Default for GuessLimiter {
    fn default() -> Self {
        Self(Rate::new(Self::WINDOW))
    }
}

impl GuessLimiter {
    /// The sketch's window. Below a second the crate panics.
    pub const WINDOW: Duration = Duration::from_secs(10);

    /// Counts one; true when the address has had more than `limit` in the window.
    pub fn failed(&self, address: Option<IpAddr>, limit: u32) -> bool {
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        address.is_some_and(|address| self.0.observe(&address, 1) > limit)
    }
}
