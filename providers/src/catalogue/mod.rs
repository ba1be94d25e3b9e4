//! The known providers and models: data files under `catalogue/`, embedded and parsed once. Owns where
//! a provider is, how it takes its credential and what it cannot do; the operator's own settings win.

mod parse;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use domain::Price;

use crate::{Operation, WireFormat};

const PROVIDERS: &str = include_str!("../../catalogue/providers.toml");
const MODELS: &str = include_str!("../../catalogue/models.toml");

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSpec {
    /// The `kind` in the configuration.
    pub kind: String,
    /// The format of its bodies.
    pub format: WireFormat,
    /// Where it is; None when the operator has to say.
    pub base_url: Option<String>,
    /// How it takes its credential.
    pub auth: AuthHeader,
    /// Headers that every request to it carries.
    pub headers: Vec<(String, String)>,
    /// It refuses requests without a credential.
    pub credential_required: bool,
    /// Where it differs from others of its format.
    pub quirks: Quirks,
    /// Parts of the names of models that go on with an answer the request has begun; `*` is every model.
    pub prefill: Vec<String>,
    /// The provider's own documentation.
    pub docs: String,
    /// The table of `models.toml` that lists its models.
    models: Option<String>,
}

impl ProviderSpec {
    /// Whether the model goes on with an answer that the request has begun (prefill).
    pub fn prefills(&self, upstream_model: &str) -> bool {
        self.prefill.iter().any(|part| part == "*" || upstream_model.contains(part.as_str()))
    }

    /// The format of its bodies for what a client asks for.
    pub fn format_for(&self, operation: Operation) -> WireFormat {
        if operation == Operation::Responses && self.quirks.responses {
            return WireFormat::Responses;
        }
        self.format
    }
}

/// The header that carries a credential: `name: prefix credential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthHeader {
    /// The header's name.
    pub name: String,
    /// What stands before the credential, with its space.
    pub prefix: String,
    /// A credential of the form `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, a session token perhaps behind it, is not
    /// sent: it signs each request with Amazon's Signature Version 4. One without a colon is sent.
    pub sigv4: bool,
}

/// Where a provider differs from others of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// It takes `stream_options.include_usage`.
    pub stream_options: bool,
    /// It wants the output limit as `max_completion_tokens` instead of `max_tokens`.
    pub max_completion_tokens: bool,
    /// It has `/completions`.
    pub completions: bool,
    /// It has `/embeddings`.
    pub embeddings: bool,
    /// It has `/rerank`.
    pub rerank: bool,
    /// It has `/moderations`.
    pub moderations: bool,
    /// It has `/images/generations`.
    pub images: bool,
    /// It has `/audio/speech`.
    pub speech: bool,
    /// It has `/audio/transcriptions`, and `/audio/translations` if its models translate.
    pub transcriptions: bool,
    /// Where it takes back what its model thought.
    pub reasoning: ReasoningField,
    /// It has `/responses` beside the paths of its own format.
    pub responses: bool,
}

/// Where a chat message takes a model's earlier reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningField {
    /// Nowhere; OpenAI refuses fields it does not know.
    #[default]
    None,
    /// In `reasoning_content`; DeepSeek wants it while tools are called.
    Content,
    /// In OpenRouter's `reasoning_details`.
    Details,
    /// In Google's `extra_content` of a tool call.
    CallSignature,
}

/// One model of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// What it charges.
    pub price: Option<Price>,
    /// The longest prompt it takes, in tokens.
    pub context_tokens: Option<u32>,
    /// The longest answer it gives, in tokens.
    pub max_output_tokens: Option<u32>,
    /// What it is known not to take.
    pub lacks: Lacks,
}

/// What a model does not take, so that a route leaves it out. What is not known is not lacking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Tools to call.
    pub tools: bool,
    /// Pictures.
    pub vision: bool,
    /// A form for the answer: JSON, with or without a schema.
    pub json: bool,
}

/// All known providers and models.
#[derive(Debug, Default)]
pub struct Catalogue {
    providers: BTreeMap<String, ProviderSpec>,
    models: BTreeMap<String, BTreeMap<String, ModelSpec>>,
}

/// The catalogue this build carries.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    // A test keeps the embedded files well formed, so that the fallback is never taken.
    CATALOGUE.get_or_init(|| parse::catalogue(PROVIDERS, MODELS).unwrap_or_default())
}

impl Catalogue {
    /// The provider of this kind.
    pub fn provider(&self, kind: &str) -> Option<&ProviderSpec> {
        self.providers.get(kind)
    }

    /// Every kind, sorted.
    pub fn provider_kinds(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// What is known of a provider's model. A dated snapshot without an entry of its own is found
    /// under its undated name.
    pub fn model(&self, kind: &str, model: &str) -> Option<&ModelSpec> {
        let table = self.models.get(self.providers.get(kind)?.models.as_deref()?)?;
        table.get(model).or_else(|| table.get(undated(model)?)).or_else(|| profile(table, model))
    }
}

/// By the id in the name of one of Bedrock's inference profiles: `us.ID`, or `arn:…/us.ID`.
fn profile<'a>(table: &'a BTreeMap<String, ModelSpec>, model: &str) -> Option<&'a ModelSpec> {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    if name.len() < model.len()
        && let Some(listed) = table.get(name)
    {
        return Some(listed);
    }
    let (region, id) = name.split_once('.')?;
    let regional = (region != "global").then(|| table.get(&format!("regional.{id}"))).flatten();
    regional.or_else(|| table.get(id))
}

/// `name` of `name-20251001`, `name-2024-08-06`, `name-2512` or `name-latest`.
fn undated(model: &str) -> Option<&str> {
    let (name, last) = model.rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match last.len() {
        8 | 4 if digits(last) => Some(name),
        2 if digits(last) => {
            let (name, month) = name.rsplit_once('-')?;
            let (name, year) = name.rsplit_once('-')?;
            (digits(month) && digits(year) && year.len() == 4).then_some(name)
        }
        _ => (last == "latest").then_some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [&str; 27] = [
        "anthropic",
        "openai",
        "openai-responses",
        "azure-responses",
        "azure-openai",
        "groq",
        "mistral",
        "deepseek",
        "xai",
        "together",
        "fireworks",
        "openrouter",
        "perplexity",
        "cerebras",
        "deepinfra",
        "nvidia",
        "huggingface",
        "ollama",
        "vllm",
        "lmstudio",
        "llama.cpp",
        "litellm",
        "portkey",
        "optillm",
        "gemini",
        "gemini-openai",
        "vertex",
    ];

    #[test]
    fn the_embedded_files_are_well_formed_and_small() {
        let catalogue = parse::catalogue(PROVIDERS, MODELS).unwrap();
        assert!(catalogue.models.values().map(BTreeMap::len).sum::<usize>() > 300);
        assert!(MODELS.len() < 70_000 && PROVIDERS.len() < 60_000);
    }

    #[test]
    fn every_required_provider_is_present() {
        for kind in REQUIRED {
            assert!(catalogue().provider(kind).is_some(), "{kind}");
        }
    }

    #[test]
    fn every_provider_has_a_usable_url_header_and_documentation() {
        for kind in catalogue().provider_kinds() {
            let spec = catalogue().provider(kind).unwrap();
            assert_eq!(spec.kind, kind);
            assert!(spec.docs.starts_with("https://"), "{kind}");
            assert!(spec.auth.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{kind}");
            assert!(spec.auth.prefix.is_empty() || spec.auth.prefix.ends_with(' '), "{kind}");
            if let Some(url) = &spec.base_url {
                let local = url.starts_with("http://127.0.0.1:");
                assert!(url.starts_with("https://") || local, "{kind}: {url}");
                assert!(!url.ends_with('/') && !url.ends_with("/chat/completions"), "{kind}: {url}");
                assert_eq!(local, !spec.credential_required, "{kind}");
            }
            if let Some(models) = &spec.models {
                assert!(catalogue().models.contains_key(models), "{kind}");
            }
        }
    }

    #[test]
    fn every_table_of_models_belongs_to_a_provider() {
        for table in catalogue().models.keys() {
            assert!(
                catalogue().providers.values().any(|spec| spec.models.as_ref() == Some(table)),
                "{table}"
            );
        }
    }

    #[test]
    fn prices_are_micro_dollars_per_million_tokens() {
        let mini = catalogue().model("openai", "gpt-4o-mini").unwrap();
        let price = mini.price.unwrap();
        assert_eq!((price.input, price.output, price.cached_input), (150_000, 600_000, Some(75_000)));
        assert_eq!((mini.context_tokens, mini.max_output_tokens), (Some(128_000), Some(16_384)));
    }

    #[test]
    fn a_snapshot_is_found_under_its_undated_name() {
        let same = |kind, dated, plain| {
            let found = catalogue().model(kind, dated);
            assert!(found.is_some() && found == catalogue().model(kind, plain), "{dated}");
        };
        same("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5");
        same("openai", "gpt-4o-2024-08-06", "gpt-4o");
        same("azure-openai", "gpt-4o", "gpt-4o");
        assert_eq!(catalogue().model("openai", "gpt-4o-nonsense"), None);
        assert_eq!(catalogue().model("ollama", "llama3.2"), None);
        assert_eq!(undated("claude-opus-4-5"), None);
    }

    #[test]
    fn an_inference_profile_costs_what_its_region_does() {
        let input = |model: &str| catalogue().model("bedrock", model).unwrap().price.unwrap().input;
        let id = "anthropic.claude-haiku-4-5-20251001-v1:0";
        assert_eq!((input(id), input(&format!("global.{id}"))), (1_000_000, 1_000_000));
        assert_eq!(input(&format!("us.{id}")), 1_100_000);
        let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0";
        assert_eq!(input(arn), 1_100_000);
        assert_eq!(input("eu.amazon.nova-2-lite-v1:0"), 429_000);
        assert_eq!(catalogue().model("bedrock", "us.nonsense"), None);
    }

    #[test]
    fn anthropic_has_its_own_header_and_version() {
        let spec = catalogue().provider("anthropic").unwrap();
        assert_eq!((spec.auth.name.as_str(), spec.auth.prefix.as_str()), ("x-api-key", ""));
        assert_eq!(spec.headers, [("anthropic-version".to_owned(), "2023-06-01".to_owned())]);
        assert_eq!(spec.base_url.as_deref(), Some("https://api.anthropic.com"));
    }

    #[test]
    fn gemini_and_vertex_speak_googles_format_with_their_own_credentials() {
        let gemini = catalogue().provider("gemini").unwrap();
        assert_eq!((gemini.format, gemini.auth.name.as_str()), (WireFormat::Gemini, "x-goog-api-key"));
        let vertex = catalogue().provider("vertex").unwrap();
        assert_eq!((vertex.format, vertex.auth.prefix.as_str()), (WireFormat::Gemini, "Bearer "));
        assert_eq!(vertex.base_url, None);
        assert_eq!(catalogue().provider("gemini-openai").unwrap().format, WireFormat::OpenAi);
        for kind in ["gemini", "gemini-openai", "vertex"] {
            assert!(catalogue().model(kind, "gemini-2.5-flash").is_some(), "{kind}");
        }
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(parse::catalogue("[x]\ndocs = \"https://x\"\nbase_uri = \"https://x\"", "").is_err());
        assert!(parse::catalogue("", "[x]\n\"m\" = { input = 1, output = 2, contxt = 3 }").is_err());
    }
}
