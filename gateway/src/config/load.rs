//! From a file to a sound [`Config`]: YAML, then the schema (which reports every fault of shape at
//! once), then the types, then what only the whole can tell.

use std::path::Path;

use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::{Config, Fault, Faults, json_schema, validate};

/// A sound configuration and what its operator should know.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Remarks that are no faults: secrets written out, sections that are not active yet.
    pub notices: Vec<Fault>,
}

/// Reads and checks a file.
///
/// # Errors
/// Every fault of the file.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    load_text(&read(path)?)
}

/// A file's text, unchecked.
///
/// # Errors
/// One fault when it cannot be read.
pub fn read(path: &Path) -> Result<String, Faults> {
    std::fs::read_to_string(path).map_err(|error| {
        Faults::one("", format!("{} cannot be read ({error}): mend the path after --config", path.display()))
    })
}

/// Checks a configuration given as text.
///
/// # Errors
/// Every fault of the text.
pub fn load_text(text: &str) -> Result<Loaded, Faults> {
    // YAML 1.2: `on`, `off`, `y` are names, not truth values.
    let options = serde_saphyr::options! { strict_booleans: true };
    let tree: Value = match serde_saphyr::from_str_with_options(text, options) {
        Ok(Value::Null) => Value::Object(serde_json::Map::new()),
        Ok(tree) => tree,
        Err(error) => {
            return Err(Faults::one("", format!("not valid YAML: {}", first_line(&error.to_string()))));
        }
    };
    let mut faults = faults_of_shape(&tree)?;
    let config: Option<Config> = if faults.0.is_empty() {
        Some(serde_json::from_value(tree).map_err(|error| Faults::one("", error.to_string()))?)
    } else {
        // Read what is sound, so that the faults of both kinds are reported in one go.
        serde_json::from_value(prune(tree, &faults)).ok()
    };
    let notices = config.as_ref().map_or_else(Vec::new, |config| validate::run(config, &mut faults));
    match config {
        Some(config) if faults.0.is_empty() => Ok(Loaded { config, notices }),
        _ => Err(faults),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn faults_of_shape(tree: &Value) -> Result<Faults, Faults> {
    let schema = json_schema();
    let validator = jsonschema::validator_for(&schema)
        .map_err(|error| Faults::one("", format!("the built-in schema is broken: {error}")))?;
    let mut faults = Faults::default();
    for error in validator.iter_errors(tree) {
        let place = key_path(error.instance_path().as_str());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = known_fields(&schema, error.schema_path().as_str());
                for name in unexpected {
                    faults.add(join(&place, name), unknown_field(name, &known));
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                faults.add(join(&place, name), "is missing: add it");
            }
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
                let choices = choices(&schema, error.schema_path().as_str());
                faults.add(place, format!("{} is none of {}", error.instance(), choices.join(", ")));
            }
            ValidationErrorKind::Pattern { .. } => {
                let text = format!(
                    "{} has the wrong form: write a number and its unit, as in 200ms, 10m or 256MiB",
                    error.instance()
                );
                faults.add(place, text);
            }
            _ => faults.add(place, error.to_string()),
        }
    }
    Ok(faults)
}

/// `/models/small/deployments/0` as `models.small.deployments[0]`.
fn key_path(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, part| {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{path}[{part}]")
        } else {
            join(&path, &part)
        }
    })
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn parent<'a>(schema: &'a Value, schema_path: &str) -> Option<&'a Value> {
    schema.pointer(schema_path.rsplit_once('/')?.0)
}

fn known_fields(schema: &Value, schema_path: &str) -> Vec<String> {
    let fields =
        parent(schema, schema_path).and_then(|node| node.get("properties")).and_then(Value::as_object);
    fields.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

fn choices(schema: &Value, schema_path: &str) -> Vec<String> {
    let node = schema.pointer(schema_path).and_then(Value::as_array);
    let consts =
        node.into_iter().flatten().filter_map(|choice| choice.get("const")?.as_str().map(str::to_owned));
    consts.collect()
}

fn unknown_field(name: &str, known: &[String]) -> String {
    match closest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("is not a known field: did you mean `{near}`?"),
        None => format!("is not a known field: remove it (known here: {})", known.join(", ")),
    }
}

/// The known name that `name` is most likely a slip of.
pub(super) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Takes the faulty values out, so that the rest can be read and checked too.
fn prune(mut tree: Value, faults: &Faults) -> Value {
    for fault in &faults.0 {
        let mut node = Some(&mut tree);
        let parts: Vec<String> =
            fault.path.replace('[', ".").replace(']', "").split('.').map(str::to_owned).collect();
        let Some((last, path)) = parts.split_last() else { continue };
        for part in path {
            node = node.and_then(|value| match value {
                Value::Object(map) => map.get_mut(part),
                Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
                _ => None,
            });
        }
        if let Some(Value::Object(map)) = node {
            map.remove(last);
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        load_text(text).unwrap_err().0.into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn three_planted_faults_of_different_kinds_are_all_named() {
        let text = "
listen: 127.0.0.1:0
providers: {local: {kind: openai, base_url: http://127.0.0.1:1/v1, api_key: k}}
models:
  small:
    deployments: [{provider: lokal, model: x}]
    timeouts: {connect: 2}
    balanc: weighted
";
        let mut found = paths(text);
        found.sort();
        assert_eq!(
            found,
            ["models.small.balanc", "models.small.deployments[0].provider", "models.small.timeouts.connect"]
        );
    }

    #[test]
    fn a_misspelt_field_suggests_the_right_one() {
        let faults = load_text("listn: x").unwrap_err();
        assert_eq!(faults.to_string(), "listn: is not a known field: did you mean `listen`?");
    }

    #[test]
    fn a_wrong_choice_lists_the_choices() {
        let faults = load_text("models: {m: {balance: fastest, deployments: []}}").unwrap_err().to_string();
        assert!(faults.contains("models.m.balance") && faults.contains("least_busy"), "{faults}");
    }

    #[test]
    fn off_and_y_are_names_and_not_truth_values() {
        let loaded = load_text("{log: {access: off}, providers: {y: {kind: ollama}}}").unwrap();
        assert_eq!(loaded.config.log.access, "off");
        assert!(loaded.config.providers.contains_key("y"));
    }

    #[test]
    fn broken_yaml_names_its_line() {
        let faults = load_text("a: [1,\nb: 2").unwrap_err().to_string();
        assert!(faults.contains("line"), "{faults}");
    }
}
