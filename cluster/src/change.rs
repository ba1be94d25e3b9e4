//! What members tell each other without waiting for an answer.

use redis::{Cmd, Pipeline, Script};

use crate::names;
use crate::scripts::Scripts;

/// One thing to tell. Told under the name of an epoch and dropped when that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// So many requests of a key more run here, or fewer.
    Parallel {
        /// The key.
        key: String,
        /// How many.
        change: i64,
    },
    /// Tokens that were reserved in this second of Redis turned out to be others.
    Tokens {
        /// The key.
        key: String,
        /// The second, as [`crate::Reserved`] told it.
        second: u64,
        /// What was reserved.
        reserved: u64,
        /// What was used.
        used: u64,
    },
    /// Requests or tokens that were counted here only: how many seconds ago, and how many.
    Counted {
        /// The key.
        key: String,
        /// Tokens, not requests.
        is_tokens: bool,
        /// The seconds.
        seconds: Vec<(u64, u64)>,
    },
    /// So much more is held here on an account, or less.
    Held {
        /// Its name: [`crate::account`].
        account: String,
        /// In micro-dollars.
        change: i64,
    },
    /// So much was spent here in a window.
    Settled {
        /// The account's name.
        account: String,
        /// The window's name: [`crate::window`].
        window: String,
        /// In micro-dollars.
        cost: u64,
    },
    /// What the store says is spent in a window.
    Spent {
        /// The account's name.
        account: String,
        /// The window's name.
        window: String,
        /// In micro-dollars.
        spent: u64,
        /// What of it was told as [`Change::Settled`].
        confirmed: u64,
        /// What dead members held and nobody has settled.
        unsettled: u64,
    },
}

/// An account that nobody asks for is forgotten after a day; the store has it.
const DAY_S: i64 = 86_400;

impl Change {
    pub(crate) fn write(&self, pipeline: &mut Pipeline, scripts: &Scripts, member: &str) {
        match self {
            Self::Parallel { key, change } => {
                let name = names::parallel(key);
                pipeline.hincr(&name, member, *change).ignore().expire(&name, DAY_S).ignore();
            }
            Self::Tokens { key, second, reserved, used } => {
                let mut call = call(&scripts.correct, &names::tokens(key));
                call.arg(*second).arg(*reserved).arg(*used);
                pipeline.add_command(call).ignore();
            }
            Self::Counted { key, is_tokens, seconds } => {
                let name = if *is_tokens { names::tokens(key) } else { names::requests(key) };
                let mut call = call(&scripts.merge, &name);
                for (age, amount) in seconds {
                    call.arg(*age).arg(*amount);
                }
                pipeline.add_command(call).ignore();
            }
            Self::Held { account, change } => {
                let field = format!("h:{member}");
                pipeline.hincr(account, field, *change).ignore().expire(account, DAY_S).ignore();
            }
            Self::Settled { account, window, cost } => {
                pipeline.hincr(account, format!("p:{window}:{member}"), *cost).ignore();
            }
            Self::Spent { account, window, spent, confirmed, unsettled } => {
                let mut call = call(&scripts.spent, account);
                call.arg(window).arg(*spent).arg(member).arg(*confirmed).arg(*unsettled);
                pipeline.add_command(call).ignore();
            }
        }
    }
}

/// A call of a script that Redis knows.
fn call(script: &Script, key: &str) -> Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(script.get_hash()).arg(1).arg(key);
    call
}
