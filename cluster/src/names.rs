//! The names of everything that is kept in Redis.

/// When each member was last heard of.
pub(crate) const MEMBERS: &str = "signalbox:members";
/// The state of the shelf of shared answers.
pub(crate) const SHELF: &str = "signalbox:cache";

/// An answer on the shelf that was born then.
pub(crate) fn entry(born: &str, key: u128) -> String {
    format!("signalbox:cache:{born}:{key:032x}")
}

/// When this Redis had none of this last; it is gone when everything is.
pub(crate) const BORN: &str = "signalbox:born";

pub(crate) fn requests(key: &str) -> String {
    format!("signalbox:rpm:{key}")
}

pub(crate) fn tokens(key: &str) -> String {
    format!("signalbox:tpm:{key}")
}

pub(crate) fn parallel(key: &str) -> String {
    format!("signalbox:parallel:{key}")
}

/// The account of an owner of this kind.
pub fn account(kind: &str, id: &str) -> String {
    format!("signalbox:budget:{kind}:{id}")
}

/// A budget's window: its length and its beginning in milliseconds.
pub fn window(period_ms: u64, start_ms: i64) -> String {
    format!("{period_ms}:{start_ms}")
}
