//! Tools as OpenAI's models see them: declared in the manner of TypeScript. The rendering was found out
//! by the community from `prompt_tokens`; it is not documented.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The declarations of all tools.
pub(super) fn declarations<'a>(
    tools: impl Iterator<Item = (&'a str, Option<&'a str>, Option<&'a Value>)>,
) -> String {
    let mut out = "namespace functions {\n\n".to_owned();
    for (name, description, parameters) in tools {
        if let Some(description) = description {
            let _ = writeln!(out, "// {description}");
        }
        match parameters.and_then(|schema| schema.get("properties")).and_then(Value::as_object) {
            Some(properties) if !properties.is_empty() => {
                let _ = writeln!(out, "type {name} = (_: {{");
                declare(properties, parameters.and_then(|schema| schema.get("required")), 0, &mut out);
                out.push_str("}) => any;\n\n");
            }
            _ => {
                let _ = writeln!(out, "type {name} = () => any;\n");
            }
        }
    }
    out.push_str("} // namespace functions");
    out
}

fn declare(properties: &Map<String, Value>, required: Option<&Value>, depth: usize, out: &mut String) {
    for (name, schema) in properties {
        if let (Some(description), true) = (schema.get("description").and_then(Value::as_str), depth < 2) {
            let _ = writeln!(out, "// {description}");
        }
        let required =
            required.and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| one == name));
        let _ = write!(out, "{name}{} ", if required { ":" } else { "?:" });
        declare_type(schema, depth, out);
        out.push_str(",\n");
    }
}

fn declare_type(schema: &Value, depth: usize, out: &mut String) {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        out.push_str(&choices.join(" | "));
        return;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => out.push_str("number"),
        // A schema deeper than any real one counts as one word.
        Some("array") if depth < 32 => {
            declare_type(schema.get("items").unwrap_or(&Value::Null), depth + 1, out);
            out.push_str("[]");
        }
        Some("object") if depth < 32 => {
            out.push_str("{\n");
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                declare(properties, schema.get("required"), depth + 1, out);
            }
            out.push('}');
        }
        Some(kind) => out.push_str(kind),
        None => out.push_str("any"),
    }
}
