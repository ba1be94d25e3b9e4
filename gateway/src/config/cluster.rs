//! The `cluster` section: a Redis that several gateways share, written out or only by its address.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{SecretSource, Span};

/// Limits and budgets that several gateways share.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterConfig {
    /// The Redis or Valkey: `redis://[USER:PASSWORD@]HOST:PORT[/DB]`, with TLS `rediss://…`.
    pub url: SecretSource,
    /// How long a request waits for it.
    pub deadline: Span,
    /// What happens to requests while it is away or slower than that.
    pub when_away: WhenAway,
}

/// What happens to requests while the cluster's Redis is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenAway {
    /// Each gateway counts for itself, up to its share: the limit divided by the gateways that were last seen alive.
    #[default]
    Local,
    /// Requests of keys with limits or budgets are refused with 503.
    Refuse,
}

/// The section when it is written out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The Redis or Valkey: `redis://[USER:PASSWORD@]HOST:PORT[/DB]`, with TLS `rediss://…`.
    url: SecretSource,
    /// How long a request waits for it, 1ms to 1s.
    #[serde(default = "deadline")]
    deadline: Span,
    /// What happens to requests while it is away or slower than that.
    #[serde(default)]
    when_away: WhenAway,
}

fn deadline() -> Span {
    Span::from_millis(25)
}

impl<'de> Deserialize<'de> for ClusterConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AddressOrMap)
    }
}

struct AddressOrMap;

impl<'de> Visitor<'de> for AddressOrMap {
    type Value = ClusterConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redis://HOST:PORT, env:NAME, file:PATH, or {url, deadline, when_away}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ClusterConfig, E> {
        let url = SecretSource::from(text.to_owned());
        Ok(ClusterConfig { url, deadline: deadline(), when_away: WhenAway::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClusterConfig, A::Error> {
        let Written { url, deadline, when_away } = Written::deserialize(MapAccessDeserializer::new(map))?;
        Ok(ClusterConfig { url, deadline, when_away })
    }
}

impl JsonSchema for ClusterConfig {
    fn schema_name() -> Cow<'static, str> {
        "ClusterConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // Not `anyOf`: the fields of the longer form keep faults of their own.
        let mut schema = Written::json_schema(generator);
        schema.insert("type".to_owned(), ["string", "object"].as_slice().into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_enough_and_misspelt_fields_are_named() {
        let short: ClusterConfig = serde_json::from_str("\"redis://h:1\"").unwrap();
        assert_eq!((short.deadline.0.as_millis(), short.when_away), (25, WhenAway::Local));
        let long = r#"{"url": "env:URL", "deadline": "5ms", "when_away": "refuse"}"#;
        let long: ClusterConfig = serde_json::from_str(long).unwrap();
        assert_eq!((long.deadline.0.as_millis(), long.when_away), (5, WhenAway::Refuse));
        let fault = serde_json::from_str::<ClusterConfig>(r#"{"url": "u", "deadlin": "5ms"}"#).unwrap_err();
        assert!(fault.to_string().contains("deadlin"), "{fault}");
    }
}
