//! One of a provider's credentials, fitted to how that provider wants it: a header, or a signature of each request.
//! The only place that reads one.

use std::fmt;
use std::sync::Arc;

use domain::Secret;
use http::{HeaderName, HeaderValue};
use providers::ProviderSpec;
use twox_hash::XxHash3_64;

use super::provider::{header_name, value};
use super::{Origin, Signer};

/// A shorter text is too likely to stand in an answer by chance.
const SHORTEST_LEAK: usize = 8;

/// A credential before it is fitted to its provider.
#[derive(Clone, Debug)]
pub struct KnownCredential {
    /// What it is called; no other has the name.
    pub name: Arc<str>,
    /// The credential itself.
    pub secret: Secret,
    /// Its share among those of its priority; 0 drains it.
    pub weight: u32,
    /// Those with the lowest number go first, the others while none of them can be asked.
    pub priority: u32,
}

/// A credential, ready to be sent.
pub struct Credential {
    /// What it is called.
    pub name: Arc<str>,
    /// Its share among those of its priority.
    pub weight: u32,
    /// The lowest number goes first.
    pub priority: u32,
    /// What carries it; None when requests are signed with it, or the provider's own headers take its place.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// Signs each request, when the credential is for that and is not sent itself.
    pub signer: Option<Signer>,
    /// For finding it in what the provider echoes.
    secret: Secret,
}

impl Credential {
    /// Fits one to a provider.
    ///
    /// # Errors
    /// A sentence without the credential, when the provider cannot take it.
    pub(super) fn new(known: KnownCredential, spec: &ProviderSpec, origin: &Origin) -> Result<Self, String> {
        let KnownCredential { name, secret, weight, priority } = known;
        let signer = if spec.auth.sigv4 { Signer::new(&secret, &origin.host)? } else { None };
        let header = match signer {
            Some(_) => None,
            None => {
                let mut text = value(&format!("{}{}", spec.auth.prefix, secret.expose()))?;
                text.set_sensitive(true);
                Some((header_name(&spec.auth.name)?, text))
            }
        };
        Ok(Self { name, weight, priority, header, signer, secret })
    }

    /// Tells this secret from the one before it under the same name, which may have been refused.
    pub(super) fn fingerprint(&self) -> u64 {
        XxHash3_64::oneshot(self.secret.expose().as_bytes())
    }

    /// True when the text contains it.
    pub(super) fn is_leaked_in(&self, text: &[u8]) -> bool {
        let secret = self.secret.expose();
        // The id before the first colon is no secret, and Amazon repeats it in its errors.
        contains(text, secret)
            || self.signer.is_some() && secret.splitn(3, ':').skip(1).any(|part| contains(text, part))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.name)
    }
}

/// Does the text contain this secret?
pub(super) fn contains(text: &[u8], secret: &str) -> bool {
    // A scheme before it is no part of what leaks.
    let needle = secret.trim_start_matches("Bearer ").as_bytes();
    needle.len() >= SHORTEST_LEAK && text.windows(needle.len()).any(|window| window == needle)
}
