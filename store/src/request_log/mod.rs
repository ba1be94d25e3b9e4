//! The request log: what happened to each request. What was said in it is in `contents`.
//!
//! `block` is many requests as one row, `sieve` tells what a block cannot hold, `list` reads, `erase` forgets, `upkeep` moves
//! rows of older versions into blocks and joins small blocks.

mod block;
mod erase;
mod list;
mod sieve;
mod upkeep;

use std::borrow::Cow;
use std::sync::Arc;

use domain::{Micros, Usage};

pub use block::RequestBlock;
pub use list::{RequestFilter, RequestPage};

use crate::Store;
use crate::database::Transaction;
use crate::erasure::{self, Noted, Owned};
use crate::error::Result;
use crate::ledger::Subject;

/// One request. Texts that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoggedRequest {
    /// Ours, or the client's, which may send one twice.
    pub request_id: String,
    /// When it arrived.
    pub at_ms: i64,
    /// Whose key asked for which model, who answered, and the key's tags.
    pub subject: Arc<Subject>,
    /// What was asked for: `chat`, `embeddings`, …
    pub operation: Cow<'static, str>,
    /// The status of our answer.
    pub status: u16,
    /// The kind of the error.
    pub error: Cow<'static, str>,
    /// `hit`, `semantic`, `miss`, `bypass`.
    pub cache: Cow<'static, str>,
    /// Attempts it took.
    pub attempts: u32,
    /// From the first byte in to the last byte out.
    pub duration_ms: u64,
    /// Until the first token went out.
    pub first_token_ms: Option<u64>,
    /// Tokens.
    pub usage: Usage,
    /// What all attempts cost.
    pub cost: Micros,
}

impl LoggedRequest {
    fn owned(&self) -> Owned<'_> {
        Owned {
            at_ms: self.at_ms,
            key_id: &self.subject.key_id,
            team_id: &self.subject.team_id,
            user_id: &self.subject.user_id,
            request_id: &self.request_id,
        }
    }
}

/// The request log. See [`Store::request_log`].
#[derive(Clone, Copy, Debug)]
pub struct RequestLog<'a>(pub(crate) &'a Store);

impl RequestLog<'_> {
    /// Appends blocks, all or none, but for requests that were erased meanwhile. A block that is there already is left as
    /// it is.
    ///
    /// # Errors
    /// Those of any write; then the same blocks may be appended again.
    pub async fn append(self, blocks: &[RequestBlock]) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        append(&mut transaction, blocks).await?;
        transaction.commit().await
    }
}

/// Appends what is not erased; answers how many requests are.
async fn append(transaction: &mut Transaction, blocks: &[RequestBlock]) -> Result<u64> {
    let Some(oldest_ms) = blocks.iter().map(RequestBlock::first_at).min() else { return Ok(0) };
    let mut left_out = 0;
    let mut erased: Vec<Noted> = erasure::reaching(transaction, oldest_ms).await?;
    erased.retain(|erasure| erasure.requests);
    for block in blocks {
        let is_erased = |request: &LoggedRequest| {
            let owned = request.owned();
            erased.iter().any(|erasure| erasure.concerns(&owned))
        };
        if !block.requests().iter().any(is_erased) {
            block.insert(transaction).await?;
            continue;
        }
        let left: Vec<_> = block.requests().iter().filter(|it| !is_erased(it)).cloned().collect();
        left_out += (block.requests().len() - left.len()) as u64;
        if !left.is_empty() {
            block.of_these(left)?.insert(transaction).await?;
        }
    }
    Ok(left_out)
}
