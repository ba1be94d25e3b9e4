//! Tokens of accounts, for programs.

use domain::Secret;

use crate::keys::random_text;

/// Begins every token of an account.
pub const ADMIN_TOKEN: &str = "sb-admin-";
/// 192 random bits.
const RANDOM_BYTES: usize = 24;

/// A token that nobody has seen yet.
///
/// # Errors
/// When the operating system has no randomness.
pub fn fresh_token() -> Result<Secret, getrandom::Error> {
    random_text(ADMIN_TOKEN, RANDOM_BYTES)
}
