//! What models of one family add to the tokens of the texts, and how their tokenizers differ from the
//! yardstick.
//!
//! The constants come from recorded counts of the providers (`count_tokens` answers and the `usage` of
//! chat answers): with the texts' own tokens taken off, what remains is nearly constant for requests of
//! one kind, and that is the constant. `text` is the slope over texts of different lengths. Every second
//! recording was left out of the fitting; tests/recordings checks both halves alike.

/// How one family counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// Tokens for a thousand tokens of the yardstick.
    pub(super) text: u64,
    /// Every prompt.
    pub(super) prompt: u64,
    /// Every message; for Claude every further turn.
    pub(super) message: u64,
    /// A system text.
    pub(super) system: u64,
    /// The presence of tools, of which the model may choose one.
    pub(super) tools: u64,
    /// The presence of tools, of which the model has to choose one.
    pub(super) tools_forced: u64,
    /// Taken off when only one call at a time is allowed.
    pub(super) one_at_a_time: u64,
    /// Every tool beyond the first.
    pub(super) further_tool: u64,
    /// A tool call, and a tool result.
    pub(super) call: u64,
    pub(super) result: u64,
    /// Thinking with a budget.
    pub(super) thinking: u64,
    /// An answer format, and its tokens for a thousand of its schema's.
    pub(super) format: u64,
    pub(super) schema: u64,
    pub(super) kind: Kind,
}

/// How tools and pictures are shown to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Claude,
    Gemini,
    OpenAi,
}

const CLAUDE: Family = Family {
    text: 1_000,
    prompt: 7,
    message: 5,
    system: 0,
    tools: 518,
    tools_forced: 610,
    one_at_a_time: 170,
    further_tool: 26,
    call: 24,
    result: 24,
    thinking: 29,
    format: 92,
    schema: 1_420,
    kind: Kind::Claude,
};

/// Up to 4.1: a shorter instruction about tools.
const EARLIER_CLAUDE: Family = Family { tools: 330, tools_forced: 300, one_at_a_time: 0, ..CLAUDE };

/// Since 4.7: another tokenizer, which makes more tokens of the same text.
const LATER_CLAUDE: Family =
    Family { text: 1_450, prompt: 5, message: 6, tools: 420, tools_forced: 506, thinking: 0, ..CLAUDE };

const OPENAI: Family = Family {
    text: 1_000,
    prompt: 3,
    message: 4,
    system: 0,
    tools: 0,
    tools_forced: 0,
    one_at_a_time: 0,
    further_tool: 0,
    call: 7,
    result: 1,
    thinking: 0,
    format: 12,
    schema: 750,
    kind: Kind::OpenAi,
};

const GEMINI: Family = Family { prompt: 0, message: 1, format: 0, schema: 0, kind: Kind::Gemini, ..OPENAI };

/// The family of a model by its name; any other counts like OpenAI's.
pub(super) fn family(model: &str) -> Family {
    if model.contains("gemini") || model.contains("gemma") {
        return GEMINI;
    }
    let Some(at) = model.find("claude") else { return OPENAI };
    let words = model.get(at..).unwrap_or_default().split(['-', '.', '@', ':', '_']);
    let mut numbers =
        words.map(|word| word.parse::<u32>().ok().filter(|n| *n < 100)).skip_while(Option::is_none);
    let version = (numbers.next().flatten().unwrap_or(9), numbers.next().flatten().unwrap_or(0));
    match version {
        (..4, _) | (4, 0..=1) => EARLIER_CLAUDE,
        (4, 2..=6) => CLAUDE,
        _ => LATER_CLAUDE,
    }
}
