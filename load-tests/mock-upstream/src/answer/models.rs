//! `GET …/models` and `GET …/models/{id}`.

use serde_json::{Value, json};

use crate::request::{Context, Format};
use crate::script::Whole;

/// The listed models; any other name is served as well.
const MODELS: [&str; 4] = ["gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "text-embedding-3-small"];

/// `Some(None)`: the path asks for the list; `Some(Some(id))`: for one model.
pub(super) fn asked(path: &str) -> Option<Option<&str>> {
    if path.ends_with("/models") {
        return Some(None);
    }
    let (_, id) = path.split_once("/models/")?;
    // Gemini's OpenAI-compatible paths end in a verb; those are no questions about a model.
    let verbs = ["/completions", "/embeddings", "/messages", "/count_tokens"];
    (!verbs.iter().any(|verb| id.ends_with(verb))).then_some(Some(id))
}

/// The list or one entry, in the format of the request.
pub(super) fn answer(context: &Context<'_>, asked: Option<&str>) -> Whole {
    let value = match (asked, context.format) {
        (Some(id), format) => entry(id, format),
        (None, format) => {
            let list: Vec<Value> = MODELS.iter().map(|id| entry(id, format)).collect();
            match format {
                Format::OpenAi => json!({"object": "list", "data": list}),
                Format::Anthropic => json!({
                    "data": list, "has_more": false, "first_id": MODELS.first(), "last_id": MODELS.last(),
                }),
            }
        }
    };
    Whole::json(context.behaviour.status.unwrap_or(200), value.to_string().into_bytes())
}

fn entry(id: &str, format: Format) -> Value {
    match format {
        Format::OpenAi => {
            json!({"id": id, "object": "model", "created": 1_735_689_600, "owned_by": "mock"})
        }
        Format::Anthropic => json!({
            "type": "model", "id": id, "display_name": id, "created_at": "2025-01-01T00:00:00Z",
        }),
    }
}
