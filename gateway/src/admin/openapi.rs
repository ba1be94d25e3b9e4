//! `GET /api/v1/openapi.json` and `signalbox openapi`: the admin API as an OpenAPI 3.1 document, made from the table of
//! routes and the types that it names.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::fault::{Fault, FaultBody};
use super::identify::COOKIE;
use super::reply::Reply;
use super::route::{Access, Content, Kind, Parameter, Route};
use super::routes::ROUTES;

const SCHEMAS: &str = "/components/schemas";

pub(super) async fn get(_: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&document()))
}

/// The document.
pub fn document() -> Value {
    let mut answers = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = SCHEMAS.into())
        .into_generator();
    // A type may be read otherwise than it is written: what is taken is spelled out where it is taken.
    let mut bodies =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let fault = answers.subschema_for::<FaultBody>();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut answers, &mut bodies);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Signalbox admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Served on the admin listener. docs/admin-api.md tells who may call what.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "responses": {"fault": {
                "description": "Refused; `message` says what to do.",
                "content": {"application/json": {"schema": fault}},
            }},
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "admin.token of the configuration, a token of an account, or a virtual key.",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": COOKIE,
                    "description": "Of POST /api/v1/session; a change needs its csrf as x-csrf-token too.",
                },
            },
        },
    })
}

fn operation(route: &Route, answers: &mut SchemaGenerator, bodies: &mut SchemaGenerator) -> Value {
    let success = match route.answers {
        Content::Json(shape) => json!({"application/json": {"schema": shape(answers)}}),
        Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
        Content::JsonOr(shape, others) => {
            let text = others.iter().map(|media_type| (*media_type, json!({"schema": {"type": "string"}})));
            let mut all: Map<String, Value> =
                text.map(|(name, content)| (name.to_owned(), content)).collect();
            all.insert("application/json".to_owned(), json!({"schema": shape(answers)}));
            all.into()
        }
    };
    let fault = json!({"$ref": "#/components/responses/fault"});
    let unavailable = match route.answers {
        Content::Text => json!({"description": "Not ready.", "content": success}),
        _ => fault.clone(),
    };
    let mut operation = json!({
        "operationId": name(route),
        "summary": route.about,
        "tags": [tag(route.path)],
        "x-access": route.access.as_str(),
        "parameters": parameters(route),
        "responses": {
            route.status.as_str(): {"description": "Done.", "content": success},
            "4XX": fault, "503": unavailable,
        },
        "security": if route.access == Access::Anyone { json!([]) } else { json!([{"token": []}, {"session": []}]) },
    });
    if let (Some(shape), Value::Object(operation)) = (route.takes, &mut operation) {
        let schema = shape(bodies);
        let is_needed = schema.get("required").is_some();
        let body = json!({"required": is_needed, "content": {"application/json": {"schema": schema}}});
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

/// `get_api_v1_keys_id`.
fn name(route: &Route) -> String {
    let path = route.path.replace(['/', '{', '}', '.'], "_");
    let words: Vec<&str> = path.split('_').filter(|word| !word.is_empty()).collect();
    format!("{}_{}", route.method.as_str().to_ascii_lowercase(), words.join("_"))
}

/// `keys` for `/api/v1/keys/{id}`.
fn tag(path: &str) -> &str {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    path.split('/').nth(1).unwrap_or_default()
}

fn parameters(route: &Route) -> Vec<Value> {
    let id =
        json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}});
    let id = route.path.contains("{id}").then_some(id);
    id.into_iter().chain(route.query.iter().map(parameter)).collect()
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Number(u32::MAX) => json!({"type": "integer", "minimum": 1}),
        Kind::Number(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
        Kind::Time => json!({"type": "string", "examples": ["2026-11-24", "2026-11-24T12:00:00Z"]}),
    };
    json!({
        "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_of_the_document_is_one_and_every_reference_leads_somewhere() {
        let document = document();
        let mut found = 0;
        let mut rest = vec![&document];
        while let Some(value) = rest.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.trim_start_matches('#');
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                        found += 1;
                    }
                    rest.extend(members.values());
                }
                Value::Array(items) => rest.extend(items),
                _ => {}
            }
        }
        assert!(found > ROUTES.len(), "{found}");
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert!(schemas.values().all(jsonschema::meta::is_valid));
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let mut names: Vec<String> = ROUTES.iter().map(name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ROUTES.len());
    }
}
