//! Requests and tokens per minute and requests at once, counted together.

use std::time::Duration;

use crate::link::{Away, Cluster};
use crate::names;

/// What a key is told that wants to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may; so many requests are left in the minute.
    Admitted {
        /// 0 without a limit too.
        left: u64,
    },
    /// Its requests per minute are used up.
    Requests {
        /// When one more fits.
        retry_after: Duration,
    },
    /// Its requests at once are used up.
    Parallel,
}

/// What a key is told that wants to use tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// They fit.
    Fits {
        /// What is left in the minute.
        left: u64,
        /// The second of Redis' clock that they are counted in.
        second: u64,
    },
    /// They do not.
    Full {
        /// What is left in the minute.
        left: u64,
        /// When they fit.
        retry_after: Duration,
    },
}

impl Cluster {
    /// Counts a request against both limits of a key (0: none), or against none of them. With a `max_parallel` it runs
    /// from now on, until [`crate::Change::Parallel`] takes it back.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn admit(&self, epoch: u64, key: &str, rpm: u64, max_parallel: u32) -> Result<Admission, Away> {
        let mut call = self.0.scripts.admit.key(names::MEMBERS);
        call.key(names::BORN).key(names::requests(key)).key(names::parallel(key));
        call.arg(self.0.member(epoch)).arg(rpm).arg(max_parallel);
        let (refused, wait_ms, left): (i64, i64, u64) = self.0.ask(epoch, &call).await?;
        match refused {
            0 => Ok(Admission::Admitted { left }),
            1 => Ok(Admission::Requests { retry_after: wait(wait_ms) }),
            2 => Ok(Admission::Parallel),
            _ => Err(self.0.forgotten(epoch)),
        }
    }

    /// Counts tokens against a key's limit, if they fit.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn reserve(&self, epoch: u64, key: &str, tpm: u64, tokens: u64) -> Result<Reserved, Away> {
        let mut call = self.0.scripts.reserve.key(names::BORN);
        call.key(names::tokens(key)).arg(tpm).arg(tokens);
        let (refused, wait_ms, left, second): (i64, i64, u64, u64) = self.0.ask(epoch, &call).await?;
        match refused {
            0 => Ok(Reserved::Fits { left, second }),
            1 => Ok(Reserved::Full { left, retry_after: wait(wait_ms) }),
            _ => Err(self.0.forgotten(epoch)),
        }
    }
}

fn wait(ms: i64) -> Duration {
    Duration::from_millis(ms.try_into().unwrap_or(0))
}
