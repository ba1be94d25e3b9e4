//! Google's own dialect of schemas (`Schema`, after OpenAPI 3.0), turned into JSON Schema.
//! Reference: <https://ai.google.dev/api/caching#Schema>.

use serde_json::{Map, Value, json};

/// Fields whose counts are written as strings, being int64.
const COUNTS: [&str; 6] =
    ["maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"];

/// The same schema as JSON Schema. What it does not know, it keeps.
pub(super) fn json_schema(schema: Value) -> Value {
    let Value::Object(fields) = schema else { return schema };
    let mut nullable = false;
    let mut out = Map::new();
    for (field, value) in fields {
        let field = super::decode_request::camel(&field);
        let value = match (field.as_str(), value) {
            ("nullable", value) => {
                nullable = value == true;
                continue;
            }
            // An order of writing, no condition.
            ("propertyOrdering", _) => continue,
            ("type", Value::String(kind)) => kind.to_ascii_lowercase().into(),
            ("items" | "additionalProperties", value) => json_schema(value),
            ("anyOf" | "prefixItems", Value::Array(schemas)) => {
                schemas.into_iter().map(json_schema).collect()
            }
            ("properties" | "defs", Value::Object(properties)) => {
                properties.into_iter().map(|(name, schema)| (name, json_schema(schema))).collect()
            }
            (field, Value::String(text)) if COUNTS.contains(&field) => {
                text.parse::<u64>().map_or(Value::String(text), Value::from)
            }
            (_, value) => value,
        };
        out.insert(field, value);
    }
    if nullable && let Some(kind) = out.get_mut("type") {
        *kind = json!([kind.clone(), "null"]);
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_nullability_and_counts_are_translated_at_every_depth() {
        let schema = json!({
            "type": "OBJECT", "propertyOrdering": ["a"], "required": ["a"],
            "properties": {
                "type": { "type": "STRING", "nullable": true, "max_length": "7", "enum": ["STRING"] },
                "a": { "type": "ARRAY", "minItems": "1", "items": { "anyOf": [{ "type": "INTEGER" }] } },
            },
        });
        let expected = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "type": { "type": ["string", "null"], "maxLength": 7, "enum": ["STRING"] },
                "a": { "type": "array", "minItems": 1, "items": { "anyOf": [{ "type": "integer" }] } },
            },
        });
        assert_eq!(json_schema(schema), expected);
    }
}
