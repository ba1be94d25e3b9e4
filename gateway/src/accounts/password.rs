//! Passwords: Argon2id with the parameters of OWASP (19 MiB, two passes, one lane). Slow on purpose: never on a thread that
//! serves others.

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use domain::Secret;

use crate::keys::{Edit, random_text};

/// In characters.
const SHORTEST: usize = 12;
/// In bytes.
const LONGEST: usize = 256;
/// Of a password made for an account.
const RANDOM_BYTES: usize = 16;
/// What is checked for a name that nobody has, so that it takes as long as for one that somebody has.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2lnbmFsYm94c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hash to keep.
///
/// # Errors
/// When the password is too short or too long.
pub fn hash(password: &Secret) -> Result<String, Edit> {
    let fault = |message: &str| Edit { param: Some("password"), message: message.to_owned() };
    let text = password.expose();
    if text.chars().count() < SHORTEST || text.len() > LONGEST {
        return Err(fault("`password` has 12 letters at least and 256 bytes at most."));
    }
    let hashed = Argon2::default().hash_password(text.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|_| fault("`password` could not be hashed: try again."))
}

/// Is it the password of this hash? Without a hash it is not, after the same work.
pub fn verify(password: &Secret, hash: Option<&str>) -> bool {
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else { return false };
    // Longer than any password that was taken.
    let given = password.expose().as_bytes();
    let given = given.get(..LONGEST + 1).unwrap_or(given);
    Argon2::default().verify_password(given, &parsed).is_ok() && hash.is_some()
}

/// A password for somebody who will be told.
///
/// # Errors
/// When the operating system has no randomness.
pub fn random() -> Result<Secret, getrandom::Error> {
    random_text("", RANDOM_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_password_is_known_by_its_hash_which_has_the_parameters_of_owasp() {
        let kept = hash(&secret("correct horse battery")).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify(&secret("correct horse battery"), Some(&kept)));
        assert!(!verify(&secret("correct horse batterx"), Some(&kept)));
        assert_ne!(hash(&secret("correct horse battery")).unwrap(), kept, "each has a salt of its own");
    }

    #[test]
    fn a_name_that_nobody_has_costs_the_same_work() {
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!verify(&secret("correct horse battery"), None));
    }

    #[test]
    fn a_short_password_is_refused_and_a_random_one_is_not() {
        assert!(hash(&secret("elevenchars")).is_err());
        assert!(hash(&random().unwrap()).is_ok());
    }
}
