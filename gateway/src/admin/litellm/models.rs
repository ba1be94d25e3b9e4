//! `GET /model/info`: the models and what is behind them, in LiteLLM's words. No address and no credential.

use domain::Price;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::call::Call;
use super::super::caller::Caller;
use super::super::fault::Fault;
use super::super::reply::Reply;
use super::super::route::{Kind, Parameter};
use crate::upstream::Deployment;

/// What [`model_info`] takes.
pub(in crate::admin) const MODEL_INFO: &[Parameter] =
    &[Parameter { name: "litellm_model_id", kind: Kind::Text, about: "Only the deployment with this id." }];

/// All of them. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct ModelInfoList {
    data: Vec<ModelEntry>,
}

/// One deployment of one model.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelEntry {
    /// What a client asks for.
    model_name: String,
    litellm_params: ModelParams,
    model_info: ModelInfo,
}

/// What is called.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelParams {
    /// `provider/model`.
    model: String,
    weight: u32,
}

/// What is known of it. Prices are US dollars for one token; null where nobody knows.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelInfo {
    id: String,
    /// Always false: models come from the configuration.
    db_model: bool,
    litellm_provider: String,
    mode: &'static str,
    max_tokens: Option<u32>,
    max_input_tokens: Option<u32>,
    max_output_tokens: Option<u32>,
    input_cost_per_token: Option<f64>,
    output_cost_per_token: Option<f64>,
    cache_read_input_token_cost: Option<f64>,
    cache_creation_input_token_cost: Option<f64>,
}

/// Sorted by name. A virtual key sees the models that it may ask for.
pub(in crate::admin) async fn model_info(call: Call) -> Result<Reply, Fault> {
    let wanted = call.parameter("litellm_model_id");
    let mut models: Vec<_> = match &call.caller {
        Caller::Key { principal, .. } => call.snapshot.visible_models(principal),
        _ => call.snapshot.models.values().collect(),
    };
    models.sort_by(|one, two| one.name.as_str().cmp(two.name.as_str()));
    let entries = models
        .into_iter()
        .flat_map(|model| model.deployments.iter().map(|deployment| entry(model.name.as_str(), deployment)));
    let data: Vec<ModelEntry> =
        entries.filter(|entry| wanted.as_ref().is_none_or(|id| *id == entry.model_info.id)).collect();
    match wanted {
        Some(id) if data.is_empty() => Err(Fault::not_found(format!(
            "There is no deployment {id}: leave litellm_model_id out to see them."
        ))),
        _ => Ok(Reply::ok(&ModelInfoList { data })),
    }
}

fn entry(name: &str, deployment: &Deployment) -> ModelEntry {
    let provider = deployment.provider.name.as_str().to_owned();
    let spec = deployment.spec;
    let price = deployment.price.or_else(|| spec.and_then(|spec| spec.price));
    let cost = |rate: fn(&Price) -> Option<u64>| price.as_ref().and_then(rate).map(per_token);
    ModelEntry {
        model_name: name.to_owned(),
        litellm_params: ModelParams {
            model: format!("{provider}/{}", deployment.upstream_model),
            weight: deployment.weight,
        },
        model_info: ModelInfo {
            id: deployment.id.as_str().to_owned(),
            db_model: false,
            litellm_provider: provider,
            mode: "chat",
            max_tokens: spec.and_then(|spec| spec.max_output_tokens),
            max_input_tokens: spec.and_then(|spec| spec.context_tokens),
            max_output_tokens: spec.and_then(|spec| spec.max_output_tokens),
            input_cost_per_token: cost(|price| Some(price.input)),
            output_cost_per_token: cost(|price| Some(price.output)),
            cache_read_input_token_cost: cost(|price| price.cached_input),
            cache_creation_input_token_cost: cost(|price| price.cache_write),
        },
    }
}

/// From micro-dollars for a million tokens.
#[expect(clippy::cast_precision_loss, reason = "no price comes near 2^53")]
fn per_token(rate: u64) -> f64 {
    rate as f64 / 1e12
}
