//! New virtual keys. The text is shown once; the store has its hash.

use domain::Secret;

/// Begins every key that the gateway makes.
const PREFIX: &str = "sk-sb-";
/// 192 random bits.
const RANDOM_BYTES: usize = 24;
/// Letters shown of its end.
const SUFFIX: usize = 4;

/// A key that nobody has seen yet.
#[derive(Debug)]
pub struct FreshKey {
    /// The key.
    pub secret: Secret,
    /// Its first letters, to recognise it by; no random one more than the last four are shown.
    pub display_prefix: String,
    /// Its last letters.
    pub display_suffix: String,
}

impl FreshKey {
    /// With 192 bits of the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has none.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self::of(random_text(PREFIX, RANDOM_BYTES)?))
    }

    /// Of a text that somebody else chose.
    pub fn of(secret: Secret) -> Self {
        let text = secret.expose();
        let prefix = if text.starts_with(PREFIX) { PREFIX } else { "" };
        let display_suffix: String =
            text.chars().rev().take(SUFFIX).collect::<Vec<_>>().into_iter().rev().collect();
        Self { display_prefix: prefix.to_owned(), display_suffix, secret }
    }
}

/// So many random bytes in hexadecimal behind a prefix.
///
/// # Errors
/// When the operating system has none.
pub fn random_text(prefix: &str, length: usize) -> Result<Secret, getrandom::Error> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)?;
    let text = bytes.iter().fold(prefix.to_owned(), |text, byte| text + &format!("{byte:02x}"));
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_differ_and_show_four_random_letters() {
        let (one, two) = (FreshKey::random().unwrap(), FreshKey::random().unwrap());
        assert!(one.secret != two.secret && one.secret.expose().len() == 6 + 48);
        assert!(one.secret.expose().ends_with(&one.display_suffix) && one.display_suffix.len() == 4);
    }
}
