//! How hard a model is to think, in OpenAI's word and in the words of those who extended it.

use serde_json::{Map, Value};

use crate::Untranslatable;
use crate::canonical::Reasoning;
use crate::fields::{need_object, take, take_flag, take_number, take_text, unsupported};

/// Takes `reasoning_effort` out, and what LiteLLM's and OpenRouter's clients write in its place:
/// Anthropic's `thinking` and OpenRouter's `reasoning`.
pub(super) fn take_reasoning(map: &mut Map<String, Value>) -> Result<Reasoning, Untranslatable> {
    let mut wanted = Reasoning::default();
    if let Some(reasoning) = take(map, "reasoning") {
        let mut reasoning = need_object(reasoning, "reasoning")?;
        wanted.effort = take_text(&mut reasoning, "effort", "reasoning")?;
        wanted.budget = take_number(&mut reasoning, "max_tokens")?.and_then(|budget| budget.as_u64());
        wanted.shown = take_flag(&mut reasoning, "exclude")?.map(|excluded| !excluded);
        match take_flag(&mut reasoning, "enabled")? {
            Some(false) => wanted.disabled = true,
            Some(true) if wanted.effort.is_none() && wanted.budget.is_none() => wanted.adaptive = true,
            _ => {}
        }
    }
    if let Some(thinking) = take(map, "thinking") {
        let mut thinking = need_object(thinking, "thinking")?;
        match take_text(&mut thinking, "type", "thinking")?.as_deref() {
            Some("disabled") => wanted.disabled = true,
            Some("adaptive") => wanted.adaptive = true,
            _ => {
                wanted.budget =
                    take_number(&mut thinking, "budget_tokens")?.and_then(|budget| budget.as_u64());
            }
        }
    }
    wanted.effort = take_text(map, "reasoning_effort", "")?.or(wanted.effort);
    Ok(wanted)
}

/// The value of `reasoning_effort`, if the request says anything that it can say.
///
/// # Errors
/// When the model is one of OpenAI's that do not think, and `drop_params` is off.
pub(super) fn write_effort<'a>(
    wanted: &'a Reasoning,
    model: &str,
    drop_params: bool,
) -> Result<Option<&'a str>, Untranslatable> {
    let effort = match (wanted.effort.as_deref(), wanted.budget) {
        // OpenAI's highest level has another name.
        (Some("max"), _) => Some("xhigh"),
        (Some(effort), _) => Some(effort),
        // Only the newest models know `none`; for the others saying nothing comes nearest.
        _ if wanted.disabled => None,
        (None, Some(budget)) => level(budget),
        (None, None) => None,
    };
    let thinks = wanted.adaptive || effort.is_some_and(|effort| effort != "none");
    if never_thinks(model) {
        return if thinks && !drop_params { Err(unsupported("thinking")) } else { Ok(None) };
    }
    Ok(effort)
}

/// The level for a budget in tokens, cut where LiteLLM's users know the cuts. `minimal` is not used:
/// half of the models refuse it.
fn level(budget: u64) -> Option<&'static str> {
    match budget {
        0 => None,
        1..5_000 => Some("low"),
        5_000..10_000 => Some("medium"),
        _ => Some("high"),
    }
}

/// OpenAI's models from before `reasoning_effort` refuse it.
fn never_thinks(model: &str) -> bool {
    ["gpt-3.5", "gpt-4", "chatgpt-4o"].iter().any(|family| model.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Reasoning {
        take_reasoning(&mut serde_json::from_str(body).unwrap()).unwrap()
    }

    #[test]
    fn every_habit_of_asking_for_thoughts_is_understood() {
        let effort = |effort: &str| Reasoning { effort: Some(effort.to_owned()), ..Reasoning::default() };
        assert_eq!(read("{}"), Reasoning::default());
        assert_eq!(read(r#"{"reasoning_effort":"low"}"#), effort("low"));
        assert_eq!(read(r#"{"reasoning":{"effort":"high"}}"#), effort("high"));
        let budget = Reasoning { budget: Some(2_000), ..Reasoning::default() };
        assert_eq!(read(r#"{"thinking":{"type":"enabled","budget_tokens":2000}}"#), budget);
        assert_eq!(read(r#"{"reasoning":{"max_tokens":2000}}"#), budget);
        assert!(read(r#"{"thinking":{"type":"disabled"}}"#).disabled);
        assert!(read(r#"{"reasoning":{"enabled":true}}"#).adaptive);
        assert_eq!(read(r#"{"reasoning":{"exclude":true}}"#).shown, Some(false));
    }

    #[test]
    fn a_budget_becomes_a_level_and_nothing_is_said_to_models_that_never_think() {
        let budget = |budget| Reasoning { budget: Some(budget), ..Reasoning::default() };
        for (tokens, level) in [(1_024, "low"), (5_000, "medium"), (31_999, "high")] {
            assert_eq!(write_effort(&budget(tokens), "gpt-5", false), Ok(Some(level)));
        }
        let max = Reasoning { effort: Some("max".to_owned()), ..Reasoning::default() };
        assert_eq!(write_effort(&max, "gpt-5.2", false), Ok(Some("xhigh")));
        assert!(write_effort(&max, "gpt-4o", false).is_err());
        assert_eq!(write_effort(&max, "gpt-4o", true), Ok(None));
        let off = Reasoning { disabled: true, ..Reasoning::default() };
        assert_eq!(write_effort(&off, "gpt-4o", false), Ok(None));
    }
}
