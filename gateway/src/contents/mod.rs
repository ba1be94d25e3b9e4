//! What was said in requests, of keys with `store_prompts` alone: captured on its way, sealed, stored, and opened again for
//! whoever may read it. A request never waits for the store, and never fails with it; one of any other key never comes
//! here. No more memory is taken than `log.contents.memory`, whatever happens.

mod capture;
mod erasure_watch;
mod queue;
mod said;
mod sealed;
mod writer;

pub use capture::Capture;
pub use erasure_watch::ErasureWatch;
pub use queue::ContentsLog;
pub use said::{Part, Said};
pub use sealed::{open, rotate};
pub use writer::Writer;

/// Why a key cannot have its prompts kept.
pub const NO_ENCRYPTION_KEY: &str = "needs an encryption key, as prompts and answers are only kept encrypted: set `encryption.key` \
     (32 random bytes, as of `openssl rand -hex 32`)";

/// Who a request without a key stands for.
#[cfg(test)]
fn anonymous() -> std::sync::Arc<crate::keys::Principal> {
    let (limits, budgets) = (crate::limits::LimitBook::new(None), crate::budgets::BudgetBook::new(None));
    let table = crate::keys::KeyTable::new(&crate::config::Config::default(), &limits, &budgets).unwrap();
    table.open().unwrap().clone()
}
