//! Takes a request body apart field by field, so that what is left over is known by name.

use serde_json::{Map, Value};

use crate::Untranslatable;

/// The body of a request as an object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Untranslatable> {
    serde_json::from_slice(body).map_err(|error| Untranslatable {
        message: format!("The request body cannot be translated: {error}."),
        param: None,
    })
}

/// A field that has the wrong shape in the client's own format.
pub(crate) fn misshapen(path: &str, expected: &str) -> Untranslatable {
    Untranslatable { message: format!("`{path}` must be {expected}."), param: Some(path.to_owned()) }
}

/// Content that the provider's format has no form for; dropping it would change the question.
pub(crate) fn inexpressible(path: &str, what: &str) -> Untranslatable {
    Untranslatable {
        message: format!(
            "`{path}` ({what}) cannot be expressed in the provider's format: remove it, or use a model whose \
             provider speaks the format of this request."
        ),
        param: Some(path.to_owned()),
    }
}

/// A parameter that the provider's format does not have. What stands behind the path, in parentheses,
/// tells a reader more and is no part of it.
pub(crate) fn unsupported(path: &str) -> Untranslatable {
    let param = path.split(" (").next().unwrap_or(path);
    let what = path.strip_prefix(param).unwrap_or_default();
    Untranslatable {
        message: format!(
            "`{param}`{what} cannot be expressed in the provider's format: remove it, or set `drop_params: true` \
             on the model."
        ),
        param: Some(param.to_owned()),
    }
}

/// Takes a field out; null counts as absent.
pub(crate) fn take(map: &mut Map<String, Value>, field: &str) -> Option<Value> {
    // `shift_remove` keeps the order of the others, which reaches the provider.
    map.shift_remove(field).filter(|value| !value.is_null())
}

/// Takes a string field out.
pub(crate) fn take_text(
    map: &mut Map<String, Value>,
    field: &str,
    path: &str,
) -> Result<Option<String>, Untranslatable> {
    match take(map, field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(misshapen(&join(path, field), "a string")),
    }
}

/// Takes a string field out that has to be there.
pub(crate) fn need_text(
    map: &mut Map<String, Value>,
    field: &str,
    path: &str,
) -> Result<String, Untranslatable> {
    take_text(map, field, path)?.ok_or_else(|| misshapen(&join(path, field), "a string"))
}

/// Takes a list field out; absent is empty.
pub(crate) fn take_list(
    map: &mut Map<String, Value>,
    field: &str,
    path: &str,
) -> Result<Vec<Value>, Untranslatable> {
    match take(map, field) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(misshapen(&join(path, field), "a list")),
    }
}

/// An element as an object.
pub(crate) fn need_object(value: Value, path: &str) -> Result<Map<String, Value>, Untranslatable> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(misshapen(path, "an object")),
    }
}

/// Takes a number field out, exactly as it was written.
pub(crate) fn take_number(
    map: &mut Map<String, Value>,
    field: &str,
) -> Result<Option<serde_json::Number>, Untranslatable> {
    match take(map, field) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number)),
        Some(_) => Err(misshapen(field, "a number")),
    }
}

/// Takes a flag out.
pub(crate) fn take_flag(map: &mut Map<String, Value>, field: &str) -> Result<Option<bool>, Untranslatable> {
    match take(map, field) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(misshapen(field, "true or false")),
    }
}

/// Takes a string or a list of strings out.
pub(crate) fn take_texts(map: &mut Map<String, Value>, field: &str) -> Result<Vec<String>, Untranslatable> {
    let misfit = || misshapen(field, "a string or a list of strings");
    match take(map, field) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) => {
            items.into_iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(misfit)).collect()
        }
        Some(_) => Err(misfit()),
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}
