//! `logprobsResult` and OpenAI's list of tokens, each made from the other.

use serde::Deserialize;
use serde_json::{Value, json};

/// The tokens of one candidate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogprobsResult {
    #[serde(default)]
    chosen_candidates: Vec<Token>,
    #[serde(default)]
    top_candidates: Vec<Alternatives>,
}

#[derive(Debug, Deserialize)]
struct Alternatives {
    #[serde(default)]
    candidates: Vec<Token>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    #[serde(default)]
    token: String,
    // A certain token has the logarithm 0, which Google leaves out.
    #[serde(default)]
    log_probability: f64,
}

/// OpenAI's list.
pub(super) fn decode_logprobs(result: &LogprobsResult) -> Vec<Value> {
    let entry = |token: &Token| json!({ "token": token.token, "logprob": token.log_probability, "bytes": token.token.as_bytes() });
    result
        .chosen_candidates
        .iter()
        .enumerate()
        .map(|(index, chosen)| {
            let top = result.top_candidates.get(index).map_or(&[][..], |top| &top.candidates);
            let mut out = entry(chosen);
            if let Some(out) = out.as_object_mut() {
                out.insert("top_logprobs".to_owned(), top.iter().map(entry).collect());
            }
            out
        })
        .collect()
}

/// Google's object.
pub(super) fn encode_logprobs(tokens: &[Value]) -> Value {
    let entry =
        |token: &Value| json!({ "token": token.get("token"), "logProbability": token.get("logprob") });
    let top = |token: &Value| -> Value {
        let alternatives = token.get("top_logprobs").and_then(Value::as_array);
        json!({ "candidates": alternatives.map(|all| all.iter().map(entry).collect::<Vec<_>>()).unwrap_or_default() })
    };
    json!({
        "topCandidates": tokens.iter().map(top).collect::<Vec<_>>(),
        "chosenCandidates": tokens.iter().map(entry).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_their_alternatives_survive_both_ways() {
        let google = json!({
            "topCandidates": [{ "candidates": [{ "token": "a", "logProbability": -0.5 }] }, { "candidates": [] }],
            "chosenCandidates": [{ "token": "a", "logProbability": -0.5 }, { "token": "é", "logProbability": 0.0 }],
        });
        let openai = decode_logprobs(&serde_json::from_value(google.clone()).unwrap());
        assert_eq!(
            openai,
            [
                json!({ "token": "a", "logprob": -0.5, "bytes": [97],
                    "top_logprobs": [{ "token": "a", "logprob": -0.5, "bytes": [97] }] }),
                json!({ "token": "é", "logprob": 0.0, "bytes": [195, 169], "top_logprobs": [] }),
            ]
        );
        assert_eq!(encode_logprobs(&openai), google);
    }
}
