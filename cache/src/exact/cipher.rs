//! Encryption of what lies on disk: AES-256-GCM, a random nonce for each entry. What was sealed with another key, or
//! changed since, does not open.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// A nonce's bytes.
pub(super) const NONCE_BYTES: usize = NONCE_LEN;

/// Seals and opens with one key.
pub struct Cipher(LessSafeKey);

/// A key has 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of AES-256 has 32 bytes, this one has {0}")]
pub struct WrongKeyLength(pub usize);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cipher")
    }
}

impl Cipher {
    /// With this key.
    ///
    /// # Errors
    /// When it has not 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, WrongKeyLength> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| WrongKeyLength(key.len()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `content` in place, its tag behind it, and binds it to `aad`; None when the system has no random bytes.
    pub(crate) fn seal(&self, aad: &[u8], content: &mut Vec<u8>) -> Option<[u8; NONCE_BYTES]> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), content).ok()?;
        Some(nonce)
    }

    /// What was sealed; None when it was sealed with another key, for another entry, or was changed.
    pub(crate) fn open(&self, aad: &[u8], nonce: [u8; NONCE_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut content = sealed.to_vec();
        let length = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut content)
            .ok()?
            .len();
        content.truncate(length);
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_and_only_for_the_same_entry() {
        let cipher = Cipher::new(&[1; 32]).unwrap();
        let mut sealed = b"an answer".to_vec();
        let nonce = cipher.seal(b"entry 1", &mut sealed).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"answer"));
        assert_eq!(cipher.open(b"entry 1", nonce, &sealed).unwrap(), b"an answer");
        assert_eq!(cipher.open(b"entry 2", nonce, &sealed), None);
        assert_eq!(Cipher::new(&[2; 32]).unwrap().open(b"entry 1", nonce, &sealed), None);
        sealed[0] ^= 1;
        assert_eq!(cipher.open(b"entry 1", nonce, &sealed), None);
        assert_eq!(Cipher::new(&[1; 31]).unwrap_err(), WrongKeyLength(31));
    }
}
