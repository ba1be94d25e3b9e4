//! Google's `Schema`, a subset of OpenAPI's, as JSON Schema. Reference:
//! <https://ai.google.dev/api/caching#Schema>.

use serde_json::{Map, Value, json};

/// Fields that hold one schema.
const ONE: [&str; 2] = ["items", "additionalProperties"];

/// The schema in JSON Schema's words: types in lower case, `nullable` among the types. What JSON Schema
/// does not know, Google alone reads.
pub(super) fn to_json_schema(schema: Value) -> Value {
    let Value::Object(map) = schema else { return schema };
    let mut out = Map::new();
    let mut nullable = false;
    for (field, value) in map {
        match (field.as_str(), value) {
            ("type", Value::String(kind)) => {
                if kind != "TYPE_UNSPECIFIED" {
                    out.insert(field, kind.to_ascii_lowercase().into());
                }
            }
            ("nullable", value) => nullable = value == true,
            ("propertyOrdering" | "property_ordering" | "example", _) => {}
            ("anyOf" | "any_of", Value::Array(options)) => {
                let options: Vec<Value> = options.into_iter().map(to_json_schema).collect();
                out.insert("anyOf".to_owned(), options.into());
            }
            ("properties", Value::Object(properties)) => {
                let each = properties.into_iter().map(|(name, schema)| (name, to_json_schema(schema)));
                out.insert(field, Value::Object(each.collect()));
            }
            // 64-bit integers are strings in Google's JSON.
            (limit, Value::String(number)) if is_count(limit) => {
                let parsed = number.parse::<u64>().map_or_else(|_| Value::String(number), Value::from);
                out.insert(camel(limit), parsed);
            }
            (one, value) if ONE.contains(&one) => {
                out.insert(field, to_json_schema(value));
            }
            (other, value) => {
                out.insert(camel(other), value);
            }
        }
    }
    if nullable {
        allow_null(&mut out);
    }
    Value::Object(out)
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.push(json!({ "type": "null" }));
    } else if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

fn is_count(field: &str) -> bool {
    matches!(
        camel(field).as_str(),
        "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties"
    )
}

/// `min_items` as `minItems`: Google's JSON takes either.
pub(super) fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_schema_becomes_json_schema() {
        let schema = json!({
            "type": "OBJECT",
            "properties": {
                "type": { "type": "STRING", "enum": ["a"], "nullable": true },
                "min_items": { "type": "ARRAY", "items": { "type": "NUMBER" }, "min_items": "2" },
                "x": { "any_of": [{ "type": "STRING" }], "nullable": true },
            },
            "propertyOrdering": ["type"],
            "required": ["type"],
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "type": { "type": ["string", "null"], "enum": ["a", null] },
                "min_items": { "type": "array", "items": { "type": "number" }, "minItems": 2 },
                "x": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
            },
            "required": ["type"],
        });
        assert_eq!(to_json_schema(schema), expected);
        assert_eq!(to_json_schema(expected.clone()), expected);
    }
}
