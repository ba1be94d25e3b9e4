//! How hard the model is to think, in the words of each maker: Converse has none of its own.

use serde_json::{Map, Value, json};

use super::family::Family;
use crate::Untranslatable;
use crate::canonical::{ChatRequest, Reasoning};
use crate::fields::unsupported;
use crate::formats::anthropic::plan_thinking;

/// What Claude can write at most when the catalogue does not say.
const USUAL_MOST: u64 = 64_000;

/// What a request becomes by what it says of thinking.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// For `additionalModelRequestFields`.
    pub(super) extra: Map<String, Value>,
    /// The model takes no temperature, `top_p` or `top_k` but the usual ones.
    pub(super) fixed_sampling: bool,
}

/// Spells it; `most` is what the model can write at all, in tokens.
///
/// # Errors
/// When the model cannot be asked to think and `drop_params` is off.
pub(super) fn encode_reasoning(
    request: &ChatRequest,
    model: &str,
    family: Family,
    most: Option<u64>,
    drop_params: bool,
) -> Result<Wanted, Untranslatable> {
    let asked = &request.reasoning;
    let extra = match family {
        Family::Claude | Family::Unknown => return claude(request, model, most, drop_params),
        Family::Nova { reasons: true } => level(asked)
            .map(|level| json!({ "type": "enabled", "maxReasoningEffort": level }))
            .or_else(|| is_off(asked).then(|| json!({ "type": "disabled" })))
            .map(|config| ("reasoningConfig", config)),
        Family::GptOss if is_off(asked) && !drop_params => return Err(unsupported(field(asked))),
        Family::GptOss => level(asked).map(|level| ("reasoning_effort", level.into())),
        Family::Nova { reasons: false } | Family::Other if level(asked).is_some() && !drop_params => {
            return Err(unsupported(field(asked)));
        }
        Family::Nova { reasons: false } | Family::Other => None,
    };
    let extra = extra.map(|(field, value)| (field.to_owned(), value)).into_iter().collect();
    Ok(Wanted { extra, fixed_sampling: false })
}

fn claude(
    request: &ChatRequest,
    model: &str,
    most: Option<u64>,
    drop_params: bool,
) -> Result<Wanted, Untranslatable> {
    // Without a limit of the client's, Bedrock gives the model all it can write.
    let usual = most.unwrap_or(USUAL_MOST);
    let plan = plan_thinking(request, model, usual, Some(usual), drop_params)?;
    let mut extra = Map::new();
    if let Some(thinking) = plan.field {
        extra.insert("thinking".to_owned(), thinking);
    }
    if let Some(effort) = plan.effort {
        extra.insert("output_config".to_owned(), json!({ "effort": effort }));
    }
    Ok(Wanted { extra, fixed_sampling: plan.fixed_sampling })
}

fn is_off(asked: &Reasoning) -> bool {
    asked.disabled || asked.effort.as_deref() == Some("none") || asked.budget == Some(0)
}

/// One of the three levels; None when nothing is asked, thinking is off, or the model may decide.
fn level(asked: &Reasoning) -> Option<&'static str> {
    if is_off(asked) {
        return None;
    }
    match (asked.effort.as_deref(), asked.budget) {
        (Some("minimal" | "low"), _) => Some("low"),
        (Some("medium"), _) => Some("medium"),
        (Some(_), _) => Some("high"),
        (None, Some(0..5_000)) => Some("low"),
        (None, Some(5_000..10_000)) => Some("medium"),
        (None, Some(_)) => Some("high"),
        (None, None) => asked.adaptive.then_some("medium"),
    }
}

/// The field that asked for it.
fn field(asked: &Reasoning) -> &'static str {
    if asked.effort.is_some() { "reasoning_effort" } else { "thinking" }
}
