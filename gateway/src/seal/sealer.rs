//! Seals and opens. A ciphertext is bound to the record that it belongs to, and names the key that opens it.

use std::sync::Arc;

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Payload};
use thiserror::Error;

use super::EncryptionKey;

/// Of XChaCha20.
const NONCE_BYTES: usize = 24;

/// What is stored in place of a plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Which key opens it.
    pub key_id: String,
    /// Random, different each time.
    pub nonce: Vec<u8>,
    /// The text with its authentication tag.
    pub ciphertext: Vec<u8>,
}

/// Seals with one key, opens with that and with older ones. Clones share them.
#[derive(Clone, Debug)]
pub struct Sealer {
    key: Arc<EncryptionKey>,
    old_keys: Arc<[EncryptionKey]>,
}

/// Why something cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// It was sealed with a key that is not configured.
    #[error(
        "is encrypted with the key {key_id}, which is neither `encryption.key` nor among `encryption.old_keys`: add it there"
    )]
    UnknownKey {
        /// The key's id.
        key_id: String,
    },
    /// Somebody changed it, or moved it to another record.
    #[error("is damaged, or was moved from another record: write it anew")]
    Damaged,
    /// The operating system has no randomness.
    #[error("cannot be encrypted: the operating system has no randomness")]
    NoRandomness,
}

impl Sealer {
    /// Seals with `key`; what `old_keys` sealed is still opened.
    pub fn new(key: EncryptionKey, old_keys: Vec<EncryptionKey>) -> Self {
        Self { key: Arc::new(key), old_keys: old_keys.into() }
    }

    /// The key that seals.
    pub fn key_id(&self) -> &str {
        self.key.id()
    }

    /// Would [`Self::open`] have the key with this id?
    pub fn knows(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    /// Encrypts `plain` for one record: `context` names it, as in `credentials/ID`, and only with the same context is
    /// it opened again.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        // Fails for texts of hundreds of gigabytes only.
        let ciphertext = self.key.cipher().encrypt(&XNonce::from(nonce), payload);
        let ciphertext = ciphertext.map_err(|_| SealError::Damaged)?;
        Ok(Sealed { key_id: self.key.id().to_owned(), nonce: nonce.to_vec(), ciphertext })
    }

    /// Decrypts what was sealed with the same context.
    ///
    /// # Errors
    /// When its key is not known, or it is not what was sealed.
    pub fn open(&self, context: &str, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let unknown = || SealError::UnknownKey { key_id: sealed.key_id.clone() };
        let key = self.find(&sealed.key_id).ok_or_else(unknown)?;
        let nonce = XNonce::try_from(sealed.nonce.as_slice()).map_err(|_| SealError::Damaged)?;
        let payload = Payload { msg: &sealed.ciphertext, aad: context.as_bytes() };
        key.cipher().decrypt(&nonce, payload).map_err(|_| SealError::Damaged)
    }

    fn find(&self, key_id: &str) -> Option<&EncryptionKey> {
        std::iter::once(&*self.key).chain(self.old_keys.iter()).find(|key| key.id() == key_id)
    }
}

#[cfg(test)]
mod tests {
    use domain::Secret;

    use super::*;

    fn key(digit: char) -> EncryptionKey {
        EncryptionKey::parse(&Secret::new(digit.to_string().repeat(64))).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_in_its_own_record_only() {
        let sealer = Sealer::new(key('1'), vec![]);
        let sealed = sealer.seal("credentials/a", b"sk-live-1").unwrap();
        assert_eq!(sealer.open("credentials/a", &sealed).unwrap(), b"sk-live-1");
        assert_eq!(sealer.open("credentials/b", &sealed), Err(SealError::Damaged));
        assert!(!sealed.ciphertext.windows(7).any(|part| part == b"sk-live"));
    }

    #[test]
    fn the_same_text_is_never_sealed_the_same_way() {
        let sealer = Sealer::new(key('1'), vec![]);
        let (one, two) = (sealer.seal("c", b"text").unwrap(), sealer.seal("c", b"text").unwrap());
        assert!(one.nonce != two.nonce && one.ciphertext != two.ciphertext);
    }

    #[test]
    fn a_changed_bit_anywhere_is_found() {
        let sealer = Sealer::new(key('1'), vec![]);
        let sealed = sealer.seal("c", b"text").unwrap();
        for at in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert_eq!(sealer.open("c", &changed), Err(SealError::Damaged), "byte {at}");
        }
        let short = Sealed { nonce: vec![0; 12], ..sealed };
        assert_eq!(sealer.open("c", &short), Err(SealError::Damaged));
    }

    #[test]
    fn an_old_key_opens_and_a_forgotten_one_is_named() {
        let old = Sealer::new(key('1'), vec![]);
        let sealed = old.seal("c", b"text").unwrap();
        let new = Sealer::new(key('2'), vec![key('3'), key('1')]);
        assert_eq!(new.open("c", &sealed).unwrap(), b"text");
        assert_eq!(new.seal("c", b"text").unwrap().key_id, key('2').id());
        let forgetful = Sealer::new(key('2'), vec![]);
        let error = forgetful.open("c", &sealed).unwrap_err();
        assert!(error.to_string().contains(key('1').id()) && error.to_string().contains("old_keys"));
    }
}
