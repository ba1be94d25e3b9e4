//! What stands in the `content` of a message and in the `output` of a tool.

use serde_json::{Map, Value};

use crate::Untranslatable;
use crate::canonical::{Media, Part};
use crate::fields::{inexpressible, misshapen, need_object, need_text, take, take_text};
use crate::formats::data_url::read_url;

/// Takes a string or a list of parts out.
pub(super) fn take_parts(
    map: &mut Map<String, Value>,
    field: &str,
    path: &str,
) -> Result<Vec<Part>, Untranslatable> {
    let path = format!("{path}.{field}");
    match take(map, field) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| decode_part(item, &format!("{path}[{index}]")))
            .collect(),
        Some(_) => Err(misshapen(&path, "a string or a list of parts")),
    }
}

fn decode_part(part: Value, path: &str) -> Result<Part, Untranslatable> {
    let mut map = need_object(part, path)?;
    match need_text(&mut map, "type", path)?.as_str() {
        // What stands beside it (annotations, logprobs) is the provider's own and not read again.
        "input_text" | "output_text" | "text" => Ok(Part::text(need_text(&mut map, "text", path)?)),
        "refusal" => Ok(Part::text(need_text(&mut map, "refusal", path)?)),
        "input_image" => match take_text(&mut map, "image_url", path)? {
            Some(url) => Ok(Part::Image(read_url(url, path)?)),
            None => Err(kept_by_provider(path, "an image")),
        },
        "input_file" => take_file(&mut map, path),
        other => Err(inexpressible(path, other)),
    }
}

fn take_file(map: &mut Map<String, Value>, path: &str) -> Result<Part, Untranslatable> {
    let name = take_text(map, "filename", path)?;
    let media = match (take_text(map, "file_data", path)?, take_text(map, "file_url", path)?) {
        (Some(text), _) if text.starts_with("data:") => read_url(text, path)?,
        // Without its type: the name tells it, and PDF is what the API was made for.
        (Some(payload), _) => Media::Base64 { media_type: "application/pdf".to_owned(), payload },
        (None, Some(url)) => Media::Url(url),
        (None, None) => return Err(kept_by_provider(path, "a file")),
    };
    Ok(Part::Document { media, name })
}

fn kept_by_provider(path: &str, what: &str) -> Untranslatable {
    inexpressible(path, &format!("{what} that the provider does not hold"))
}
