//! What bounds signing in: how often an address and a name may try, and how many passwords are checked at once.

use std::sync::Arc;
use std::time::Duration;

use pingora_limits::rate::Rate;
use tokio::sync::Semaphore;

use super::fault::Fault;

/// The window of the sketches, whose size does not grow with the number of addresses and names.
const WINDOW: Duration = Duration::from_secs(60);
/// Tries of a window: of one address, and for one name.
const PER_ADDRESS: isize = 30;
const PER_NAME: isize = 10;
/// Passwords that are checked at once, at 19 MiB each, and those that may wait for it.
const AT_ONCE: usize = 1;
const WAITING: usize = 8;

/// Bounds on signing in, for one process.
pub(super) struct LoginGate {
    addresses: Rate,
    names: Rate,
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for LoginGate {
    fn default() -> Self {
        Self {
            addresses: Rate::new(WINDOW),
            names: Rate::new(WINDOW),
            working: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
        }
    }
}

impl LoginGate {
    /// Counts a try.
    pub(super) fn admit(&self, address: &str, name: &str) -> Result<(), Fault> {
        // Both are counted, whatever the first one says.
        let (by_address, by_name) = (self.addresses.observe(&address, 1), self.names.observe(&name, 1));
        if by_address > PER_ADDRESS || by_name > PER_NAME {
            return Err(Fault::too_many("There were too many tries to sign in: wait a minute.", WINDOW));
        }
        Ok(())
    }

    /// Hashes or checks a password, away from the threads that serve.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let busy =
            || Fault::too_many("Too many passwords are checked now: try again.", Duration::from_secs(1));
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| busy())?;
        let turn = self.working.clone().acquire_owned().await.map_err(|_| busy())?;
        // The work goes on when the caller leaves, and its places are taken for so long.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        done.await.map_err(|_| Fault::internal("The gateway failed: see its log."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_try_for_a_name_and_the_thirty_first_of_an_address_are_refused() {
        let gate = LoginGate::default();
        for number in 0..10 {
            assert!(gate.admit(&format!("192.0.2.{number}"), "ada").is_ok(), "{number}");
        }
        let refused = gate.admit("192.0.2.99", "ada").unwrap_err();
        assert_eq!(refused.status, http::StatusCode::TOO_MANY_REQUESTS);
        for number in 0..30 {
            assert!(gate.admit("198.51.100.1", &format!("name {number}")).is_ok(), "{number}");
        }
        assert!(gate.admit("198.51.100.1", "bob").is_err());
    }
}
