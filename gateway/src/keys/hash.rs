//! The hash that stands for a key wherever the key itself must not be.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A key's SHA-256, compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Of a key as the client sends it.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// As the store has it; None when it is no hash of ours.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For the store.
    pub fn to_stored(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// Hashes the keys of the store: HMAC-SHA-256 (RFC 2104) with a secret of the installation, so that a copy of the
/// database alone does not tell whether a guessed key is right.
#[derive(Clone)]
pub struct KeyHasher(Hmac<Sha256>);

impl KeyHasher {
    /// With this secret.
    ///
    /// # Errors
    /// When it has fewer than 16 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, &'static str> {
        if secret.len() < 16 {
            return Err("is shorter than 16 bytes: take 32 random ones, as of `openssl rand -hex 32`");
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| "is of no usable length")
    }

    /// Of a key as the client sends it.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.0.clone().chain_update(key).finalize().into_bytes().into())
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(..)")
    }
}

impl ConstantTimeEq for KeyHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        // In words of 64 bits, since each comparison is kept from the optimiser by itself.
        words(&self.0).ct_eq(&words(&other.0))
    }
}

fn words(hash: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(hash.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}
