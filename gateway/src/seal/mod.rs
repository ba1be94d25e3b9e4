//! Authenticated encryption of what the store keeps and nobody else may read: XChaCha20-Poly1305, whose nonces are long
//! enough to be random. Owns the cipher, its keys and where they come from; knows no table.

mod configured;
mod key;
mod sealer;

pub use configured::sealer;
pub(crate) use configured::{key as encryption_key, key_bytes};
pub use key::EncryptionKey;
pub use sealer::{SealError, Sealed, Sealer};
