//! Tool calls made up from a tool's schema.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Schemas nested deeper than this get `null`.
const MAX_DEPTH: usize = 16;
/// Bytes of one streamed piece of arguments.
const PIECE_BYTES: usize = 12;

/// One call with its arguments as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: String,
}

/// A tool of either format.
#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    function: Option<Function>,
    name: Option<String>,
    input_schema: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    parameters: Option<Value>,
}

impl Tool {
    fn name(&self) -> &str {
        match &self.function {
            Some(function) => &function.name,
            None => self.name.as_deref().unwrap_or("unnamed"),
        }
    }

    fn schema(&self) -> Option<&Value> {
        match &self.function {
            Some(function) => function.parameters.as_ref(),
            None => self.input_schema.as_ref(),
        }
    }
}

/// Calls of the chosen tool, or of the first one.
pub(super) fn calls(tools: &[Tool], chosen: Option<&str>, count: usize, text: &str) -> Vec<Call> {
    let named = chosen.and_then(|name| tools.iter().find(|tool| tool.name() == name));
    let Some(tool) = named.or(tools.first()) else { return Vec::new() };
    let schema = tool.schema().cloned().unwrap_or_else(|| json!({"type": "object"}));
    let arguments = example(&schema, text, 0).to_string();
    let call = Call { name: tool.name().to_owned(), arguments };
    vec![call; count]
}

impl Call {
    /// The arguments cut as a stream sends them.
    pub(super) fn pieces(&self) -> Vec<&str> {
        let mut pieces = Vec::new();
        let mut rest = self.arguments.as_str();
        while !rest.is_empty() {
            let end = (PIECE_BYTES.min(rest.len())..=rest.len()).find(|end| rest.is_char_boundary(*end));
            let (piece, tail) = rest.split_at(end.unwrap_or(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        pieces
    }

    /// The mock's tokens: words.
    pub(super) fn words(&self) -> u64 {
        self.arguments.split_whitespace().count() as u64
    }
}

/// A value that satisfies the simple part of JSON Schema: type, enum, const, required properties.
fn example(schema: &Value, text: &str, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("string") => json!(text.split_whitespace().take(4).collect::<Vec<_>>().join(" ")),
        Some("integer") => json!(1),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        Some("array") => {
            json!([schema.get("items").map_or(Value::Null, |items| example(items, text, depth + 1))])
        }
        Some("null") => Value::Null,
        _ => object(schema, text, depth),
    }
}

fn object(schema: &Value, text: &str, depth: usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let mut fields = Map::new();
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        let value = property.map_or(json!("x"), |property| example(property, text, depth + 1));
        fields.insert(name.to_owned(), value);
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_hold_each_required_property_in_its_type() {
        let tools: Vec<Tool> = serde_json::from_value(json!([{"type": "function", "function": {
            "name": "weather",
            "parameters": {"type": "object", "required": ["city", "days", "unit", "tags", "at"], "properties": {
                "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["c", "f"]},
                "tags": {"type": "array", "items": {"type": "boolean"}},
                "at": {"type": "object", "required": ["lat"], "properties": {"lat": {"type": "number"}}},
                "left_out": {"type": "string"}}}}}]))
        .unwrap();
        let calls = calls(&tools, None, 2, "Paris please");
        assert_eq!(calls.len(), 2);
        let arguments: Value = serde_json::from_str(&calls[0].arguments).unwrap();
        let expected =
            json!({"city": "Paris please", "days": 1, "unit": "c", "tags": [true], "at": {"lat": 1.5}});
        assert_eq!(arguments, expected);
        assert_eq!(calls[0].pieces().concat(), calls[0].arguments);
        assert!(calls[0].pieces().len() > 3);
    }
}
