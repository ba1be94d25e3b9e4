//! One key of 256 bits, and the short name by which a ciphertext says that it belongs to it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use domain::Secret;
use sha2::{Digest, Sha256};

const BYTES: usize = 32;
const WRONG: &str = "is not 32 bytes in hexadecimal or base64: make one with `openssl rand -hex 32`";
/// So that the id is no hash that anything else makes of the same secret.
const ID_PREFIX: &[u8] = b"signalbox encryption key id\0";
/// Of the hash, for the id: enough to tell the keys of one installation apart.
const ID_BYTES: usize = 8;

/// A key of the cipher.
#[derive(Clone)]
pub struct EncryptionKey {
    id: Box<str>,
    cipher: XChaCha20Poly1305,
}

impl EncryptionKey {
    /// From 32 bytes in hexadecimal or base64.
    ///
    /// # Errors
    /// What is wrong with the text, without the text.
    pub fn parse(text: &Secret) -> Result<Self, &'static str> {
        let bytes = key_bytes(text)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| WRONG)?;
        let hash = Sha256::new().chain_update(ID_PREFIX).chain_update(&bytes).finalize();
        let id = hash.iter().take(ID_BYTES).fold(String::new(), |id, byte| id + &format!("{byte:02x}"));
        Ok(Self { id: id.into(), cipher })
    }

    /// Its name, which tells nothing about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn cipher(&self) -> &XChaCha20Poly1305 {
        &self.cipher
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({})", self.id)
    }
}

/// The 32 bytes of a key in hexadecimal or base64.
///
/// # Errors
/// What is wrong with the text, without the text.
pub(super) fn key_bytes(text: &Secret) -> Result<Vec<u8>, &'static str> {
    let text = text.expose().trim();
    let is_key = |bytes: &Vec<u8>| bytes.len() == BYTES;
    from_hex(text).filter(is_key).or_else(|| from_base64(text).filter(is_key)).ok_or(WRONG)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    [STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EncryptionKey, &'static str> {
        EncryptionKey::parse(&Secret::new(text))
    }

    #[test]
    fn the_same_key_is_read_in_all_forms() {
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=";
        let id = parse(hex).unwrap().id().to_owned();
        for text in [base64, base64.trim_end_matches('='), &base64.replace('/', "_"), &hex.to_uppercase()] {
            assert_eq!(parse(text).unwrap().id(), id, "{text}");
        }
        assert_eq!(id.len(), 16);
        assert_ne!(parse(&hex.replace("ff", "fe")).unwrap().id(), id);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in ["", "secret", &"0".repeat(63), &"0".repeat(66), "AAECAwQFBgcICQoLDA0ODw=="] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains("openssl rand -hex 32") && !problem.contains("secret"), "{text}");
        }
        assert!(!format!("{:?}", parse(&"07".repeat(32)).unwrap()).contains("0707"));
    }
}
