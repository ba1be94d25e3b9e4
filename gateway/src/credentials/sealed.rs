//! Between a stored credential and the secret in it: sealing, opening, and sealing all of them anew.

use domain::Secret;
use store::{Change, Credential, Store};

use crate::keys::Edit;
use crate::seal::{SealError, Sealed, Sealer};
use crate::upstream::{KnownCredential, Provider};

/// Rows that are read at once.
const PAGE: u32 = 1_000;
/// The longest secret: a service account's whole file fits.
const LONGEST_SECRET: usize = 16 << 10;
/// Of a shorter secret four letters would be too much to show.
const SHORTEST_WITH_HINT: usize = 16;
const HINT: usize = 4;

/// What binds a ciphertext to its row.
fn context(id: &str) -> String {
    format!("credentials/{id}")
}

/// Puts a secret into the credential, when its provider can take it.
///
/// # Errors
/// Which setting is wrong, without the secret.
pub fn put_secret(
    credential: &mut Credential,
    secret: &Secret,
    provider: &Provider,
    sealer: &Sealer,
) -> Result<(), Edit> {
    let wrong = |problem: String| Edit { param: Some("secret"), message: format!("`secret`: {problem}.") };
    let text = secret.expose();
    if text.trim().is_empty() || text.len() > LONGEST_SECRET {
        return Err(wrong(format!(
            "is empty or longer than {LONGEST_SECRET} bytes: give the credential itself"
        )));
    }
    let known = KnownCredential {
        name: credential.name.as_str().into(),
        secret: secret.clone(),
        weight: credential.weight,
        priority: credential.priority,
    };
    provider.fit(known).map_err(wrong)?;
    let sealed = sealer.seal(&context(&credential.id), text.as_bytes());
    put(credential, sealed.map_err(|error| wrong(error.to_string()))?);
    Ok(())
}

fn put(credential: &mut Credential, sealed: Sealed) {
    credential.ciphertext = sealed.ciphertext;
    credential.nonce = sealed.nonce;
    credential.encryption_key_id = sealed.key_id;
}

/// The secret in a credential.
///
/// # Errors
/// When its key is not known, or it is damaged.
pub fn open(credential: &Credential, sealer: &Sealer) -> Result<Secret, SealError> {
    let sealed = Sealed {
        key_id: credential.encryption_key_id.clone(),
        nonce: credential.nonce.clone(),
        ciphertext: credential.ciphertext.clone(),
    };
    let plain = sealer.open(&context(&credential.id), &sealed)?;
    String::from_utf8(plain).map(Secret::new).map_err(|_| SealError::Damaged)
}

/// The last letters of a secret that is long enough to show them.
pub fn hint(secret: &Secret) -> Option<String> {
    let letters: Vec<char> = secret.expose().chars().collect();
    let first = letters.len().checked_sub(HINT).filter(|_| letters.len() >= SHORTEST_WITH_HINT)?;
    Some(letters.into_iter().skip(first).collect())
}

/// All credentials.
///
/// # Errors
/// Those of any read.
pub async fn all(store: &Store) -> Result<Vec<Credential>, store::StoreError> {
    let mut found: Vec<Credential> = Vec::new();
    loop {
        let after = found.last().map(|credential| credential.id.clone());
        let page = store.credentials().list(after.as_deref(), PAGE).await?;
        if page.is_empty() {
            return Ok(found);
        }
        found.extend(page);
    }
}

/// Seals with the present key what is sealed with an older one; how many that were.
///
/// # Errors
/// When the store fails, or a credential cannot be opened. Those before it are done.
pub async fn rotate(store: &Store, sealer: &Sealer, change: &Change) -> anyhow::Result<usize> {
    let old = |credential: &Credential| credential.encryption_key_id != sealer.key_id();
    let mut rotated = 0;
    for mut credential in all(store).await?.into_iter().filter(old) {
        let name = credential.name.clone();
        let fault = |error: SealError| anyhow::anyhow!("the credential `{name}` {error}");
        let secret = open(&credential, sealer).map_err(fault)?;
        let sealed = sealer.seal(&context(&credential.id), secret.expose().as_bytes()).map_err(fault)?;
        put(&mut credential, sealed);
        Box::pin(store.credentials().update(credential, change)).await?;
        rotated += 1;
    }
    Ok(rotated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_letters_are_shown_of_a_long_secret_and_none_of_a_short_one() {
        assert_eq!(hint(&Secret::new("sk-0123456789abcd")).as_deref(), Some("abcd"));
        assert_eq!(hint(&Secret::new("sk-0123456789äöüß")).as_deref(), Some("äöüß"));
        assert_eq!(hint(&Secret::new("short-secret")), None);
    }
}
