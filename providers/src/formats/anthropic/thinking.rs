//! How the neutral [`Reasoning`] is asked of a Claude model. The generations differ, see
//! <https://docs.claude.com/en/docs/build-with-claude/extended-thinking> and
//! <https://docs.claude.com/en/docs/build-with-claude/adaptive-thinking>.

use serde_json::{Map, Value, json};

use crate::Untranslatable;
use crate::canonical::{ChatRequest, Maker, Message, Part, Reasoning, Role, ToolChoice};
use crate::fields::unsupported;

/// The smallest `budget_tokens` that Anthropic takes.
const LEAST_BUDGET: u64 = 1_024;

/// What is left for the answer when the limit is ours to choose.
const ROOM_FOR_ANSWER: u64 = 4_096;

/// What a request says about thinking.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Thinking {
    /// The field `thinking`.
    pub(crate) field: Option<Value>,
    /// `output_config.effort`.
    pub(crate) effort: Option<&'static str>,
    /// `max_tokens`, above the budget.
    pub(crate) max_tokens: u64,
    /// The model takes no temperature, `top_p` or `top_k` but the usual ones.
    pub(crate) fixed_sampling: bool,
}

/// How a generation of models thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Generation {
    /// Up to 3.5: not at all.
    Never,
    /// 3.7 to 4.5: within a budget.
    Budget,
    /// 4.6: within a budget, or as the model sees fit.
    Either,
    /// Since 4.7, and every name that is not known: as the model sees fit.
    Adaptive,
}

/// Decides about thinking. `limit` is the client's own, `usual_limit` what holds without one and
/// `most` what the model can write at all, in tokens.
///
/// # Errors
/// When the model cannot think and `drop_params` is off.
pub(crate) fn plan(
    request: &ChatRequest,
    model: &str,
    usual_limit: u64,
    most: Option<u64>,
    drop_params: bool,
) -> Result<Thinking, Untranslatable> {
    let generation = generation(model);
    let max_tokens = request.max_tokens.unwrap_or(usual_limit);
    // A name without a version may be anyone's: it is not refused what most models take.
    let is_known = version(model).is_some() || model.contains("claude-mythos");
    let fixed_sampling = generation == Generation::Adaptive && is_known;
    let mut plan = Thinking { max_tokens, fixed_sampling, ..Thinking::default() };
    let wanted = &request.reasoning;
    if !is_asked(wanted) {
        return Ok(plan);
    }
    if is_off(wanted) {
        match (thinks_unasked(model), can_be_off(model)) {
            (false, _) => {}
            (true, true) => plan.field = Some(json!({ "type": "disabled" })),
            (true, false) if drop_params => plan.effort = Some("low"),
            (true, false) => return Err(unsupported("reasoning_effort")),
        }
        return Ok(plan);
    }
    // Anthropic refuses thinking beside a forced tool call. The call is what the client relies on, the
    // effort a hint.
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)))
        && !request.tools.is_empty();
    match generation {
        Generation::Never if drop_params => {}
        Generation::Never => return Err(unsupported("reasoning_effort")),
        Generation::Budget if forced => {}
        Generation::Budget => plan.enable(request, budget_of(wanted), most),
        Generation::Either if wanted.budget.is_some() => {
            if !forced {
                plan.enable(request, budget_of(wanted), most);
            }
        }
        Generation::Either | Generation::Adaptive => {
            plan.effort = effort_of(wanted, generation);
            if !forced {
                plan.field = Some(adaptive(wanted));
            }
        }
    }
    // Thinking fixes the sampling too, on every generation.
    plan.fixed_sampling |= plan.field.is_some();
    Ok(plan)
}

impl Thinking {
    /// Turns thinking with a budget on, unless there is no room or no right beginning for it.
    fn enable(&mut self, request: &ChatRequest, wanted: u64, most: Option<u64>) {
        if lacks_thinking(&request.messages) {
            return;
        }
        let mut budget = wanted.max(LEAST_BUDGET);
        if request.max_tokens.is_none() {
            // The limit is ours: it grows, so that the answer has room beside the thoughts.
            let grown = self.max_tokens.max(budget.saturating_add(ROOM_FOR_ANSWER));
            self.max_tokens = most.map_or(grown, |most| grown.min(most));
        }
        // The client's own limit is a promise about cost: never raised, so the budget shrinks, and a
        // quarter stays for the answer. Within too small a limit a model cannot think at all.
        let room = self.max_tokens - self.max_tokens / 4;
        budget = budget.min(room).max(LEAST_BUDGET);
        if budget < self.max_tokens {
            self.field = Some(json!({ "type": "enabled", "budget_tokens": budget }));
        }
    }
}

fn is_asked(wanted: &Reasoning) -> bool {
    wanted.effort.is_some() || wanted.budget.is_some() || wanted.adaptive || wanted.disabled
}

fn is_off(wanted: &Reasoning) -> bool {
    wanted.disabled || wanted.effort.as_deref() == Some("none") || wanted.budget == Some(0)
}

/// With a budget Anthropic wants the turn that called the tools to begin with its thoughts, and refuses
/// the request when the client has not kept them.
fn lacks_thinking(messages: &[Message]) -> bool {
    let answering = messages
        .last()
        .is_some_and(|last| last.parts.iter().any(|part| matches!(part, Part::ToolResult { .. })));
    let turn = messages.iter().rev().find(|message| message.role == Role::Assistant);
    answering && turn.is_some_and(|turn| !turn.parts.iter().any(is_own_thought))
}

fn is_own_thought(part: &Part) -> bool {
    match part {
        Part::Reasoning { signature: Some(signature), .. } | Part::SealedReasoning(signature) => {
            signature.maker == Maker::Anthropic
        }
        _ => false,
    }
}

/// The budgets that LiteLLM's users know for the first three levels, doubled on from there.
fn budget_of(wanted: &Reasoning) -> u64 {
    if let Some(budget) = wanted.budget {
        return budget;
    }
    match wanted.effort.as_deref() {
        Some("minimal" | "low") => LEAST_BUDGET,
        Some("medium") => 2_048,
        Some("xhigh") => 8_192,
        Some("max") => 16_384,
        _ => 4_096,
    }
}

fn effort_of(wanted: &Reasoning, generation: Generation) -> Option<&'static str> {
    match (wanted.effort.as_deref(), wanted.budget) {
        (Some("minimal" | "low"), _) => Some("low"),
        (Some("medium"), _) => Some("medium"),
        (Some("high"), _) => Some("high"),
        // 4.6 has `max` alone above `high`.
        (Some("xhigh"), _) if generation == Generation::Adaptive => Some("xhigh"),
        (Some("xhigh" | "max"), _) => Some("max"),
        (_, Some(budget)) => Some(match budget {
            0..5_000 => "low",
            5_000..10_000 => "medium",
            _ => "high",
        }),
        _ => None,
    }
}

fn adaptive(wanted: &Reasoning) -> Value {
    let mut field = Map::new();
    field.insert("type".to_owned(), "adaptive".into());
    if let Some(shown) = wanted.shown {
        field.insert("display".to_owned(), if shown { "summarized" } else { "omitted" }.into());
    }
    Value::Object(field)
}

/// By the version in the name.
fn generation(model: &str) -> Generation {
    match version(model) {
        Some((..=2, _) | (3, ..=6)) => Generation::Never,
        Some((3, _) | (4, ..=5)) => Generation::Budget,
        Some((4, 6)) => Generation::Either,
        _ => Generation::Adaptive,
    }
}

/// Since 5 thinking is on when the request says nothing.
fn thinks_unasked(model: &str) -> bool {
    version(model).is_some_and(|(major, _)| major >= 5) || model.contains("claude-mythos")
}

/// Opus 5 and the Haikus can be told not to think; Fable, Mythos and the Opus and Sonnet of 5.5 cannot.
fn can_be_off(model: &str) -> bool {
    let opus_or_sonnet = model.contains("opus") || model.contains("sonnet");
    model.contains("haiku") || opus_or_sonnet && version(model).is_some_and(|version| version < (5, 5))
}

/// `claude-3-7-sonnet-20250219`, `claude-opus-4-6`, `claude-sonnet-4@20250514`.
fn version(model: &str) -> Option<(u32, u32)> {
    let name = model.get(model.find("claude")?..)?;
    // A date is no version.
    let number = |word: &str| word.parse::<u32>().ok().filter(|number| *number < 100);
    let mut words = name.split(['-', '.', '@', ':', '_']).map(number).skip_while(Option::is_none);
    Some((words.next()??, words.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(effort: Option<&str>, budget: Option<u64>, max_tokens: Option<u64>) -> ChatRequest {
        let reasoning = Reasoning { effort: effort.map(str::to_owned), budget, ..Reasoning::default() };
        ChatRequest { reasoning, max_tokens, ..ChatRequest::default() }
    }

    #[test]
    fn the_generation_is_in_the_name() {
        for (model, expected) in [
            ("claude-3-5-haiku-20241022", Generation::Never),
            ("claude-2.1", Generation::Never),
            ("claude-3-7-sonnet-latest", Generation::Budget),
            ("claude-opus-4-20250514", Generation::Budget),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", Generation::Budget),
            ("claude-sonnet-4@20250514", Generation::Budget),
            ("claude-sonnet-4-6", Generation::Either),
            ("claude-opus-4-7", Generation::Adaptive),
            ("claude-opus-5-20260401", Generation::Adaptive),
            ("claude-mythos-preview", Generation::Adaptive),
            ("my-model", Generation::Adaptive),
        ] {
            assert_eq!(generation(model), expected, "{model}");
        }
    }

    #[test]
    fn the_budget_stays_below_the_limit_and_the_clients_limit_stays() {
        for (effort, budget, limit, expected, max_tokens) in [
            (Some("low"), None, None, Some(1_024), 5_120),
            (Some("high"), None, None, Some(4_096), 8_192),
            (Some("max"), None, None, Some(12_288), 16_384),
            (None, Some(10_000), Some(8_000), Some(6_000), 8_000),
            (None, Some(10_000), Some(64_000), Some(10_000), 64_000),
            (Some("high"), None, Some(1_200), Some(1_024), 1_200),
            (Some("high"), None, Some(1_024), None, 1_024),
            (Some("low"), None, Some(1), None, 1),
            (Some("none"), None, Some(50), None, 50),
            (None, Some(0), Some(5_000), None, 5_000),
        ] {
            let request = asked(effort, budget, limit);
            let plan = plan(&request, "claude-haiku-4-5", 4_096, Some(16_384), false).unwrap();
            let field = expected.map(|budget| json!({ "type": "enabled", "budget_tokens": budget }));
            assert_eq!((plan.field, plan.max_tokens), (field, max_tokens), "{effort:?} {budget:?} {limit:?}");
        }
    }

    #[test]
    fn newer_models_take_an_effort_in_place_of_a_budget() {
        for (model, effort, budget, expected) in [
            ("claude-opus-4-7", Some("minimal"), None, Some("low")),
            ("claude-opus-4-7", Some("xhigh"), None, Some("xhigh")),
            ("claude-opus-4-6", Some("xhigh"), None, Some("max")),
            ("claude-opus-5", None, Some(31_999), Some("high")),
        ] {
            let plan = plan(&asked(effort, budget, Some(100)), model, 4_096, None, false).unwrap();
            assert_eq!((plan.effort, plan.max_tokens), (expected, 100), "{model}");
            assert_eq!(plan.field, Some(json!({ "type": "adaptive" })));
        }
    }

    #[test]
    fn thinking_is_turned_off_in_the_words_the_model_takes() {
        for (model, field) in [
            ("claude-haiku-4-5", None),
            ("claude-opus-4-8", None),
            ("claude-opus-5", Some(json!({ "type": "disabled" }))),
            ("claude-haiku-5-5-20260901", Some(json!({ "type": "disabled" }))),
        ] {
            let plan = plan(&asked(Some("none"), None, None), model, 4_096, None, false).unwrap();
            assert_eq!((plan.field, plan.effort), (field, None), "{model}");
        }
        let request = asked(Some("none"), None, None);
        assert!(plan(&request, "claude-opus-5-5", 4_096, None, false).is_err());
        assert_eq!(plan(&request, "claude-opus-5-5", 4_096, None, true).unwrap().effort, Some("low"));
    }

    #[test]
    fn a_model_that_cannot_think_refuses_unless_parameters_may_be_dropped() {
        let request = asked(Some("low"), None, None);
        let model = "claude-3-5-haiku-latest";
        assert!(plan(&request, model, 4_096, None, false).is_err());
        assert_eq!(plan(&request, model, 4_096, None, true).unwrap().field, None);
    }

    #[test]
    fn a_forced_tool_and_a_turn_without_its_thoughts_keep_thinking_off() {
        let mut request = asked(Some("high"), None, None);
        request.messages = vec![
            Message { index: 0, role: Role::Assistant, parts: vec![] },
            Message {
                index: 1,
                role: Role::User,
                parts: vec![Part::ToolResult { call_id: "c".to_owned(), parts: vec![], is_error: false }],
            },
        ];
        assert_eq!(plan(&request, "claude-sonnet-4-5", 4_096, None, false).unwrap().field, None);
        assert!(plan(&request, "claude-opus-4-7", 4_096, None, false).unwrap().field.is_some());
        let tool = crate::canonical::Tool {
            name: "f".to_owned(),
            description: None,
            parameters: None,
            strict: None,
            cache_point: None,
            rest: Map::new(),
        };
        request.tools.push(tool);
        request.tool_choice = Some(ToolChoice::Required);
        let plan = plan(&request, "claude-opus-4-7", 4_096, None, false).unwrap();
        assert_eq!((plan.field, plan.effort), (None, Some("high")));
    }
}
