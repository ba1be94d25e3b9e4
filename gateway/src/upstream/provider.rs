//! One configured provider, ready to be called.

use std::sync::Arc;

use domain::{ProviderName, Secret};
use http::{HeaderName, HeaderValue};
use providers::ProviderSpec;

use super::{Origin, Resolver, Signer};
use crate::config::{HealthConfig, ProviderConfig};

/// A provider with its credential and the headers that every request to it carries.
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
    /// For finding credentials in what the provider echoes.
    secrets: Vec<Secret>,
    /// Host, credential, fixed headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How it is checked beside the requests.
    pub health: Option<HealthConfig>,
    /// Signs each request, when the credential is for that and is not sent itself.
    pub signer: Option<Signer>,
}

impl Provider {
    /// Resolves a checked configuration entry.
    ///
    /// # Errors
    /// A sentence, when a secret has gone since the check.
    pub fn new(name: &str, config: &ProviderConfig) -> Result<Arc<Self>, String> {
        let spec = providers::catalogue().provider(&config.kind).cloned();
        let mut spec = spec.ok_or_else(|| format!("unknown kind `{}`", config.kind))?;
        let url = config.base_url.as_ref().or(spec.base_url.as_ref()).ok_or("no base_url")?;
        let origin = Origin::parse(url)?;
        // Behind `kind: openai` with another address is mostly a server that knows chat completions only.
        let home = spec.base_url.as_deref().map(Origin::parse).transpose()?;
        spec.quirks.responses &= home.is_none_or(|home| domain_of(&home.host) == domain_of(&origin.host));
        let credential = config.api_key.as_ref().map(|source| source.resolve()).transpose()?;
        let mut headers = vec![(http::header::HOST, value(&origin.host_header())?)];
        let signer = match &credential {
            Some(credential) if spec.auth.sigv4 => Signer::new(credential, &origin.host)?,
            _ => None,
        };
        if let Some(credential) = credential.as_ref().filter(|_| signer.is_none()) {
            let mut text = value(&format!("{}{}", spec.auth.prefix, credential.expose()))?;
            text.set_sensitive(true);
            headers.push((header_name(&spec.auth.name)?, text));
        }
        for (name, text) in &spec.headers {
            replace(&mut headers, header_name(name)?, value(text)?);
        }
        let mut secrets: Vec<Secret> = credential.iter().cloned().collect();
        for (name, source) in &config.headers {
            let secret = source.resolve()?;
            replace(&mut headers, header_name(name)?, value(secret.expose())?);
            if !source.is_inline() || header_name(name)? == http::header::AUTHORIZATION {
                secrets.push(secret);
            }
        }
        let resolver = Resolver::new(&origin);
        let name = ProviderName::from(name);
        Ok(Arc::new(Self {
            name,
            spec,
            origin,
            resolver,
            secrets,
            headers,
            health: config.health.clone(),
            signer,
        }))
    }

    /// The path of an operation at this provider.
    pub fn path(&self, operation_path: &str, query: Option<&str>) -> String {
        match query {
            Some(query) => format!("{}{operation_path}?{query}", self.origin.path),
            None => format!("{}{operation_path}", self.origin.path),
        }
    }

    /// True when the text contains a credential.
    pub fn is_leaked_in(&self, text: &[u8]) -> bool {
        let is_in = |needle: &str| {
            let needle = needle.as_bytes();
            needle.len() >= 8 && text.windows(needle.len()).any(|window| window == needle)
        };
        self.secrets.iter().any(|secret| {
            // A scheme before it is no part of what leaks.
            let text = secret.expose().trim_start_matches("Bearer ");
            // The id before the first colon is no secret, and Amazon repeats it in its errors.
            is_in(text) || self.signer.is_some() && text.splitn(3, ':').skip(1).any(is_in)
        })
    }
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

fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header name"))
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|_| "a header value has characters that HTTP forbids".to_owned())
}
