//! What a Gemini client puts over the plain request to ask for a feature. Null: the format cannot say it.

use serde_json::{Value, json};

pub(crate) fn words(feature: &str) -> Value {
    let schema =
        json!({"type": "object", "properties": {"MARKkey": {"type": "string"}}, "required": ["MARKkey"]});
    let with_part = |part: Value| json!({"contents": [{"role": "user", "parts": [{"text": "look"}, part]}]});
    let config = |fields: Value| json!({"generationConfig": fields});
    match feature {
        "text and several turns" => json!({"contents": [
            {"role": "user", "parts": [{"text": "MARKa"}]},
            {"role": "model", "parts": [{"text": "MARKb"}]},
            {"role": "user", "parts": [{"text": "MARKc"}]}]}),
        "system text" => json!({"systemInstruction": {"parts": [{"text": "MARK"}]}}),
        "tools, parallel calls, results" => tool_turns(),
        "one tool forced" => json!({
            "tools": [{"functionDeclarations": [{"name": "t"}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["t"]}}}),
        "JSON Schema of the answer" => {
            config(json!({"responseMimeType": "application/json", "responseJsonSchema": schema}))
        }
        "any JSON object as the answer" => config(json!({"responseMimeType": "application/json"})),
        "image by address" => {
            with_part(json!({"fileData": {"mimeType": "image/png", "fileUri": "https://x.test/MARK.png"}}))
        }
        "image in base64" => with_part(json!({"inlineData": {"mimeType": "image/png", "data": "TUFSSw=="}})),
        "PDF in base64" => {
            with_part(json!({"inlineData": {"mimeType": "application/pdf", "data": "TUFSSw=="}}))
        }
        "how hard to think" => config(json!({"thinkingConfig": {"thinkingBudget": 2048}})),
        "signed thoughts sent back" => json!({"contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [{"text": "hm", "thought": true, "thoughtSignature": "MARK"}, {"text": "y"}]},
            {"role": "user", "parts": [{"text": "z"}]}]}),
        "output limit" => config(json!({"maxOutputTokens": 77})),
        "temperature" => config(json!({"temperature": 0.77})),
        "top_p" => config(json!({"topP": 0.77})),
        "top_k" => config(json!({"topK": 77})),
        "stop sequences" => config(json!({"stopSequences": ["MARK"]})),
        "seed, every digit" => config(json!({"seed": 9_007_199_254_740_993_u64})),
        "frequency and presence penalty" => {
            config(json!({"frequencyPenalty": 0.77, "presencePenalty": 0.78}))
        }
        "several answers (n)" => config(json!({"candidateCount": 2})),
        "log probabilities" => config(json!({"responseLogprobs": true, "logprobs": 3})),
        // Said in the path.
        "streaming" => json!({}),
        "a field nobody knows" => json!({"x_mark": "MARK"}),
        _ => Value::Null,
    }
}

/// A conversation in which two tools were called at once.
fn tool_turns() -> Value {
    let schema = json!({"type": "object", "properties": {"MARKfield": {"type": "string"}}});
    let call = |id: &str, value: &str| json!({"functionCall": {"id": id, "name": "MARKtool", "args": {"MARKfield": value}}});
    let result = |id: &str, text: &str| json!({"functionResponse": {"id": id, "name": "MARKtool", "response": {"output": text}}});
    json!({
        "tools": [{"functionDeclarations": [
            {"name": "MARKtool", "description": "MARKwhat", "parametersJsonSchema": schema}]}],
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [call("MARKid1", "MARKone"), call("MARKid2", "MARKtwo")]},
            {"role": "user", "parts": [result("MARKid1", "MARKfirst"), result("MARKid2", "MARKsecond")]}]
    })
}
