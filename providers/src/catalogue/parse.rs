//! The layout of the data files.

use std::collections::BTreeMap;

use domain::{Micros, Price};
use serde::Deserialize;

use super::{AuthHeader, Catalogue, Lacks, ModelSpec, ProviderSpec, Quirks, ReasoningField};
use crate::WireFormat;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct ProviderEntry {
    #[serde(default)]
    format: Format,
    base_url: Option<String>,
    #[serde(default = "authorization")]
    auth_header: String,
    #[serde(default = "bearer")]
    auth_prefix: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "yes")]
    credential_required: bool,
    #[serde(default = "yes")]
    stream_options: bool,
    #[serde(default)]
    max_completion_tokens: bool,
    #[serde(default = "yes")]
    completions: bool,
    #[serde(default = "yes")]
    embeddings: bool,
    #[serde(default)]
    rerank: bool,
    #[serde(default)]
    moderations: bool,
    #[serde(default)]
    images: bool,
    #[serde(default)]
    speech: bool,
    #[serde(default)]
    transcriptions: bool,
    #[serde(default)]
    sigv4: bool,
    #[serde(default)]
    reasoning: Reasoning,
    #[serde(default)]
    responses: bool,
    #[serde(default)]
    prefill: Vec<String>,
    models: Option<String>,
    docs: String,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    OpenAi,
    Anthropic,
    Responses,
    Bedrock,
    Cohere,
    Gemini,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reasoning {
    #[default]
    None,
    Content,
    Details,
    CallSignature,
}

/// US dollars per million tokens, and tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    input: f64,
    output: f64,
    cached_input: Option<f64>,
    cache_write: Option<f64>,
    reasoning: Option<f64>,
    context: Option<u32>,
    max_output: Option<u32>,
    #[serde(default)]
    lacks: Vec<Lacking>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lacking {
    Tools,
    Vision,
    Json,
}

fn authorization() -> String {
    "Authorization".to_owned()
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

fn yes() -> bool {
    true
}

pub(super) fn catalogue(providers: &str, models: &str) -> Result<Catalogue, toml::de::Error> {
    let providers: BTreeMap<String, ProviderEntry> = toml::from_str(providers)?;
    let models: BTreeMap<String, BTreeMap<String, ModelEntry>> = toml::from_str(models)?;
    Ok(Catalogue {
        providers: providers.into_iter().map(|(kind, entry)| (kind.clone(), provider(kind, entry))).collect(),
        models: models
            .into_iter()
            .map(|(table, entries)| {
                (table, entries.into_iter().map(|(name, entry)| (name, model(&entry))).collect())
            })
            .collect(),
    })
}

fn provider(kind: String, entry: ProviderEntry) -> ProviderSpec {
    ProviderSpec {
        kind,
        format: match entry.format {
            Format::OpenAi => WireFormat::OpenAi,
            Format::Anthropic => WireFormat::Anthropic,
            Format::Responses => WireFormat::Responses,
            Format::Bedrock => WireFormat::Bedrock,
            Format::Cohere => WireFormat::Cohere,
            Format::Gemini => WireFormat::Gemini,
        },
        base_url: entry.base_url,
        auth: AuthHeader { name: entry.auth_header, prefix: entry.auth_prefix, sigv4: entry.sigv4 },
        headers: entry.headers.into_iter().collect(),
        prefill: entry.prefill,
        credential_required: entry.credential_required,
        quirks: Quirks {
            stream_options: entry.stream_options,
            max_completion_tokens: entry.max_completion_tokens,
            completions: entry.completions,
            embeddings: entry.embeddings,
            rerank: entry.rerank,
            moderations: entry.moderations,
            images: entry.images,
            speech: entry.speech,
            transcriptions: entry.transcriptions,
            reasoning: match entry.reasoning {
                Reasoning::None => ReasoningField::None,
                Reasoning::Content => ReasoningField::Content,
                Reasoning::Details => ReasoningField::Details,
                Reasoning::CallSignature => ReasoningField::CallSignature,
            },
            responses: entry.responses,
        },
        docs: entry.docs,
        models: entry.models,
    }
}

fn model(entry: &ModelEntry) -> ModelSpec {
    let micros = |usd| Micros::from_usd(usd).0;
    ModelSpec {
        price: Some(Price {
            input: micros(entry.input),
            output: micros(entry.output),
            cached_input: entry.cached_input.map(micros),
            cache_write: entry.cache_write.map(micros),
            reasoning: entry.reasoning.map(micros),
        }),
        context_tokens: entry.context,
        max_output_tokens: entry.max_output,
        lacks: Lacks {
            tools: entry.lacks.contains(&Lacking::Tools),
            vision: entry.lacks.contains(&Lacking::Vision),
            json: entry.lacks.contains(&Lacking::Json),
        },
    }
}
