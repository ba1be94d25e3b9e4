//! Rules before the classifier: what they ask of a request, compiled. Whether their model can answer is for the decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use serde_json::Value;

use super::evidence::RuleHit;
use super::prompt::Steps;
use crate::config::{ConditionConfig, CountRange, RuleConfig};

/// What rules may ask about a request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The user's last turn.
    pub text: Option<&'a str>,
    /// The key's.
    pub tags: &'a [String],
    /// The whole request, estimated.
    pub tokens: u64,
    /// Of the day, in UTC.
    pub minute: u16,
    /// The body's member of that name.
    pub metadata: Option<&'a str>,
    /// What an agent has done so far.
    pub steps: Steps,
    /// Since the conversation's last request, in tokens; None where that is not known.
    pub growth: Option<u64>,
    /// It offers tools.
    pub has_tools: bool,
}

/// A rule, compiled.
#[derive(Debug)]
pub struct Rule {
    hit: RuleHit,
    keywords: Option<AhoCorasick>,
    hours: Option<(u16, u16)>,
    when: ConditionConfig,
}

impl Rule {
    /// Leads to the candidate at this position.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn new(config: &RuleConfig, candidate: usize) -> Result<Self, String> {
        let when = config.when.clone();
        let keywords = (!when.keywords.is_empty())
            .then(|| AhoCorasick::builder().ascii_case_insensitive(true).build(&when.keywords))
            .transpose()
            .map_err(|problem| format!("its keywords cannot be searched for: {problem}"))?;
        let hours = when.hours.as_deref().map(hours).transpose()?;
        let hit = RuleHit { name: Arc::from(config.name.as_str()), candidate };
        Ok(Self { hit, keywords, hours, when })
    }

    /// Does it need to know of an agent's steps?
    pub fn reads_steps(&self) -> bool {
        let when = &self.when;
        when.turns.or(when.tool_results).or(when.errors).is_some() || when.after_tool.is_some()
    }

    fn holds(&self, asked: &Asked<'_>) -> bool {
        let when = &self.when;
        let in_range = |range: Option<CountRange>, count| range.is_none_or(|range| range.contains(count));
        let is = |wanted: Option<bool>, there: bool| wanted.is_none_or(|wanted| wanted == there);
        in_range(when.tokens, asked.tokens)
            && in_range(when.turns, asked.steps.turns)
            && in_range(when.tool_results, asked.steps.tool_results)
            && in_range(when.errors, asked.steps.errors)
            && when.growth.is_none_or(|range| asked.growth.is_some_and(|growth| range.contains(growth)))
            && is(when.after_tool, asked.steps.after_tool)
            && is(when.tools, asked.has_tools)
            && self.hours.is_none_or(|hours| is_within(hours, asked.minute))
            && has_tag(&when.tags, asked)
            && has_metadata(&when.metadata, asked.metadata)
            && self.keywords.as_ref().is_none_or(|words| asked.text.is_some_and(|text| has_word(words, text)))
    }
}

/// The first that holds.
pub(super) fn first(rules: &[Rule], asked: &Asked<'_>) -> Option<RuleHit> {
    rules.iter().find(|rule| rule.holds(asked)).map(|rule| rule.hit.clone())
}

/// As a whole word: `sql` is not in `mysqld`.
fn has_word(words: &AhoCorasick, text: &str) -> bool {
    let is_letter = |at: Option<char>| at.is_some_and(|it| it.is_alphanumeric() || it == '_');
    words.find_overlapping_iter(text).any(|found| {
        let before = text.get(..found.start()).and_then(|text| text.chars().next_back());
        let behind = text.get(found.end()..).and_then(|text| text.chars().next());
        !is_letter(before) && !is_letter(behind)
    })
}

/// The key's, or the request's own as LiteLLM's clients send them: a list, or a text with commas, in `metadata.tags`.
fn has_tag(wanted: &[String], asked: &Asked<'_>) -> bool {
    if wanted.is_empty() || wanted.iter().any(|tag| asked.tags.contains(tag)) {
        return true;
    }
    let Some(Ok(metadata)) = asked.metadata.map(serde_json::from_str::<Value>) else { return false };
    let is_wanted = |tag: &str| wanted.iter().any(|wanted| wanted == tag.trim());
    match metadata.get("tags") {
        Some(Value::Array(tags)) => tags.iter().filter_map(Value::as_str).any(is_wanted),
        Some(Value::String(tags)) => tags.split(',').any(is_wanted),
        _ => false,
    }
}

fn has_metadata(wanted: &BTreeMap<String, String>, metadata: Option<&str>) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let Some(Ok(Value::Object(members))) = metadata.map(serde_json::from_str) else { return false };
    wanted.iter().all(|(name, wanted)| match members.get(name) {
        Some(Value::String(text)) => text == wanted,
        Some(other @ (Value::Number(_) | Value::Bool(_))) => {
            serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *other)
        }
        _ => false,
    })
}

/// From one minute of the day up to another, over midnight too.
fn is_within((from, to): (u16, u16), minute: u16) -> bool {
    if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

/// `22:00-06:00`.
fn hours(text: &str) -> Result<(u16, u16), String> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour <= 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let read = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    read.ok_or_else(|| format!("`{text}` are no hours: write for example 22:00-06:00, in UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Asked<'_> = Asked {
        text: Some("Please tune this SQL query."),
        tags: &[],
        tokens: 100,
        minute: 12 * 60,
        metadata: Some(r#"{"tier":"gold","level":3,"tags":["urgent"]}"#),
        steps: Steps { turns: 2, tool_results: 3, errors: 1, after_tool: true, has_images: false },
        growth: Some(40),
        has_tools: true,
    };

    fn holds(when: &str, asked: &Asked<'_>) -> bool {
        let when = serde_json::from_str(when).unwrap();
        let config = RuleConfig { name: "r".to_owned(), when, chosen: "m".to_owned() };
        first(&[Rule::new(&config, 0).unwrap()], asked).is_some()
    }

    #[test]
    fn every_condition_can_hold_and_fail() {
        let tags = ["batch".to_owned()];
        let tagged = Asked { tags: &tags, ..PLAIN };
        for (yes, no) in [
            (r#"{"keywords":["sql"]}"#, r#"{"keywords":["quer","ease","mysql"]}"#),
            (r#"{"tags":["x","batch"]}"#, r#"{"tags":["x"]}"#),
            (r#"{"tags":["urgent"]}"#, r#"{"tags":["tags"]}"#),
            (r#"{"tokens":{"min":100}}"#, r#"{"tokens":{"max":99}}"#),
            (r#"{"hours":"11:59-12:01"}"#, r#"{"hours":"12:01-11:59"}"#),
            (r#"{"hours":"22:00-13:00"}"#, r#"{"hours":"22:00-06:00"}"#),
            (r#"{"metadata":{"tier":"gold","level":"3"}}"#, r#"{"metadata":{"tier":"iron"}}"#),
            (r#"{"turns":{"min":2}}"#, r#"{"turns":{"max":1}}"#),
            (r#"{"tool_results":{"min":3,"max":3}}"#, r#"{"tool_results":{"min":4}}"#),
            (r#"{"errors":{"min":1}}"#, r#"{"errors":{"max":0}}"#),
            (r#"{"after_tool":true}"#, r#"{"after_tool":false}"#),
            (r#"{"growth":{"min":40}}"#, r#"{"growth":{"max":39}}"#),
            (r#"{"tools":true}"#, r#"{"tools":false}"#),
            (r#"{}"#, r#"{"keywords":["sql"],"tools":false}"#),
        ] {
            assert!(holds(yes, &tagged), "{yes}");
            assert!(!holds(no, &tagged), "{no}");
        }
        assert!(!holds(r#"{"metadata":{"tier":"gold"}}"#, &Asked { metadata: None, ..PLAIN }));
        assert!(!holds(r#"{"growth":{}}"#, &Asked { growth: None, ..PLAIN }));
    }

    #[test]
    fn hours_that_are_none_are_refused_with_an_example() {
        for text in ["", "9-17", "25:00-26:00", "09:00"] {
            assert!(hours(text).unwrap_err().contains("22:00-06:00"), "{text}");
        }
    }
}
