//! One configured provider, ready to be called.

use std::sync::Arc;

use domain::{ProviderName, Secret};
use http::{HeaderName, HeaderValue};
use providers::ProviderSpec;

use super::credential::{self, Credential, KnownCredential};
use super::{Origin, Resolver};
use crate::config::{HealthConfig, ProviderConfig};

/// A provider with its credentials and the headers that every request to it carries.
#[derive(Debug)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: ProviderName,
    /// What the catalogue knows.
    pub spec: ProviderSpec,
    /// Where it is.
    pub origin: Origin,
    /// Its current address.
    pub resolver: Resolver,
    /// Host and fixed headers; the credential's comes on top.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How it is checked beside the requests.
    pub health: Option<HealthConfig>,
    /// Those of the configuration, then those of the store. Requests use one each.
    pub credentials: Vec<Arc<Credential>>,
    /// It refuses requests without one.
    pub needs_credential: bool,
    /// Secrets among the headers, for finding them in what the provider echoes.
    secrets: Vec<Secret>,
}

impl Provider {
    /// Resolves a checked configuration entry; `stored` are the credentials that the store has for it.
    ///
    /// # Errors
    /// A sentence, when a secret has gone since the check.
    pub fn new(name: &str, config: &ProviderConfig, stored: &[KnownCredential]) -> Result<Arc<Self>, String> {
        let spec = providers::catalogue().provider(&config.kind).cloned();
        let mut spec = spec.ok_or_else(|| format!("unknown kind `{}`", config.kind))?;
        let url = config.base_url.as_ref().or(spec.base_url.as_ref()).ok_or("no base_url")?;
        let origin = Origin::parse(url)?;
        // Behind `kind: openai` with another address is mostly a server that knows chat completions only.
        let home = spec.base_url.as_deref().map(Origin::parse).transpose()?;
        spec.quirks.responses &= home.is_none_or(|home| domain_of(&home.host) == domain_of(&origin.host));
        let mut provider = Self {
            name: ProviderName::from(name),
            resolver: Resolver::new(&origin),
            headers: vec![(http::header::HOST, value(&origin.host_header())?)],
            health: config.health.clone(),
            credentials: Vec::new(),
            needs_credential: spec.credential_required && config.base_url.is_none(),
            secrets: Vec::new(),
            spec,
            origin,
        };
        provider.add_headers(config)?;
        for known in configured(name, config)? {
            let credential = provider.fit(known)?;
            provider.credentials.push(Arc::new(credential));
        }
        for known in stored {
            provider.add_stored(known.clone());
        }
        Ok(Arc::new(provider))
    }

    fn add_headers(&mut self, config: &ProviderConfig) -> Result<(), String> {
        for (name, text) in &self.spec.headers {
            replace(&mut self.headers, header_name(name)?, value(text)?);
        }
        for (name, source) in &config.headers {
            let secret = source.resolve()?;
            replace(&mut self.headers, header_name(name)?, value(secret.expose())?);
            if !source.is_inline() || header_name(name)? == http::header::AUTHORIZATION {
                self.secrets.push(secret);
            }
        }
        Ok(())
    }

    /// A credential of the store that is of no use must not keep the others from being used.
    fn add_stored(&mut self, known: KnownCredential) {
        let name = known.name.clone();
        let problem = match self.fit(known) {
            Ok(_) if self.credentials.iter().any(|other| other.name == name) => {
                "the configuration has one of that name".to_owned()
            }
            Ok(credential) => return self.credentials.push(Arc::new(credential)),
            Err(problem) => problem,
        };
        tracing::warn!(
            provider = self.name.as_str(),
            credential = &*name,
            problem,
            "a credential is not used"
        );
    }

    /// Fits a credential to this provider.
    ///
    /// # Errors
    /// A sentence without the credential, when the provider cannot take it.
    pub fn fit(&self, known: KnownCredential) -> Result<Credential, String> {
        let mut credential = Credential::new(known, &self.spec, &self.origin)?;
        // What the configuration says of a header stands.
        credential.header.take_if(|(name, _)| self.headers.iter().any(|(known, _)| known == name));
        Ok(credential)
    }

    /// The path of an operation at this provider.
    pub fn path(&self, operation_path: &str, query: Option<&str>) -> String {
        match query {
            Some(query) => format!("{}{operation_path}?{query}", self.origin.path),
            None => format!("{}{operation_path}", self.origin.path),
        }
    }

    /// True when the text contains one of its credentials.
    pub fn is_leaked_in(&self, text: &[u8]) -> bool {
        self.credentials.iter().any(|credential| credential.is_leaked_in(text))
            || self.secrets.iter().any(|secret| credential::contains(text, secret.expose()))
    }
}

/// The credentials of the configuration: `api_key`, which has the provider's name, and `api_keys`.
fn configured(provider: &str, config: &ProviderConfig) -> Result<Vec<KnownCredential>, String> {
    let mut known = Vec::with_capacity(config.api_keys.len() + 1);
    if let Some(source) = &config.api_key {
        known.push(KnownCredential {
            name: provider.into(),
            secret: source.resolve()?,
            weight: 1,
            priority: 0,
        });
    }
    for credential in &config.api_keys {
        known.push(KnownCredential {
            name: credential.name.as_str().into(),
            secret: credential.key.resolve()?,
            weight: credential.weight,
            priority: credential.priority,
        });
    }
    Ok(known)
}

fn replace(headers: &mut Vec<(HeaderName, HeaderValue)>, name: HeaderName, value: HeaderValue) {
    headers.retain(|(known, _)| *known != name);
    headers.push((name, value));
}

/// The last two labels of a host's name: `eu.api.openai.com` is OpenAI's as well.
fn domain_of(host: &str) -> Option<&str> {
    let before = host.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    host.get(before..)
}

pub(super) fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header name"))
}

pub(super) fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|_| "a header value has characters that HTTP forbids".to_owned())
}
