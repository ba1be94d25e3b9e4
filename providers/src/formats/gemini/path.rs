//! Paths of the form `…/models/{model}:{verb}`: the format says model and operation there, not in the body.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Operation;

/// What may stand in a path as it is.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'@');

/// Model and verb of a path: below `/models/`, behind a version of the API or none, and behind the
/// project and place that Vertex AI wants. The model is as it was written, percent signs included.
pub(crate) fn split_path(path: &str) -> Option<(&str, &str)> {
    let versions = ["/v1beta1/", "/v1beta/", "/v1alpha/", "/v1/", "/"];
    let mut rest = versions.iter().find_map(|version| path.strip_prefix(version))?;
    if rest.starts_with("projects/") || rest.starts_with("publishers/") {
        rest = rest.split_once("publishers/google/").map(|(_, rest)| rest)?;
    }
    let (model, verb) = rest.strip_prefix("models/")?.rsplit_once(':')?;
    (!model.is_empty()).then_some((model, verb))
}

/// The path below a provider's base URL. A model that names its collection (`tunedModels/x`) keeps it.
pub(crate) fn upstream_path(operation: Operation, model: &str) -> String {
    let collection =
        if model.starts_with("models/") || model.starts_with("tunedModels/") { "" } else { "models/" };
    let model = utf8_percent_encode(model, KEPT);
    match operation {
        // Without `alt=sse` the stream is one JSON list.
        Operation::StreamGenerateContent => format!("/{collection}{model}:streamGenerateContent?alt=sse"),
        Operation::GeminiCountTokens => format!("/{collection}{model}:countTokens"),
        _ => format!("/{collection}{model}:generateContent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_behind_every_version_and_on_vertex() {
        for (path, model) in [
            ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"),
            ("/v1/models/openai/gpt-4o:generateContent", "openai/gpt-4o"),
            ("/models/llama3:8b:generateContent", "llama3:8b"),
            ("/v1beta1/publishers/google/models/g:generateContent", "g"),
            ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", "g"),
        ] {
            assert_eq!(split_path(path), Some((model, "generateContent")), "{path}");
        }
        for path in [
            "/v1beta/models",
            "/v1beta/models/:generateContent",
            "/v2/models/g:x",
            "/v1/projects/p/models/g:x",
        ] {
            assert_eq!(split_path(path), None, "{path}");
        }
    }

    #[test]
    fn the_upstream_path_holds_the_model_and_nothing_that_ends_it() {
        let path = |model| upstream_path(Operation::GenerateContent, model);
        assert_eq!(path("gemini-2.5-pro"), "/models/gemini-2.5-pro:generateContent");
        assert_eq!(path("tunedModels/x"), "/tunedModels/x:generateContent");
        assert_eq!(path("a?b c#d\n"), "/models/a%3Fb%20c%23d%0A:generateContent");
        let stream = upstream_path(Operation::StreamGenerateContent, "g");
        assert_eq!(stream, "/models/g:streamGenerateContent?alt=sse");
        assert_eq!(upstream_path(Operation::GeminiCountTokens, "g"), "/models/g:countTokens");
    }
}
