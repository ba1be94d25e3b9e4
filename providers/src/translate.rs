//! Chooses between passing a request through and decoding it from one format to encode it in another.

use std::borrow::Cow;

use bytes::Bytes;
use domain::Usage;

use crate::fields::unsupported;
use crate::splice::splice;
use crate::{MalformedAnswer, Operation, ProviderSpec, RequestHead, WireFormat, formats, splice_model};

/// What goes to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// Joined onto the path of the base URL; may carry a query.
    pub path: Cow<'static, str>,
    /// The body.
    pub body: Bytes,
}

/// The provider's format cannot express the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Untranslatable {
    /// Names the field and says what to do: remove it, or set `drop_params: true` on the model.
    pub message: String,
    /// The field.
    pub param: Option<String>,
}

/// Whether a deployment of this provider can serve the operation, by itself or by translation.
pub fn supports(operation: Operation, spec: &ProviderSpec) -> bool {
    match operation {
        Operation::ChatCompletions | Operation::Messages => true,
        Operation::Completions => spec.format == WireFormat::OpenAi && spec.quirks.completions,
        Operation::Embeddings => {
            matches!(spec.format, WireFormat::OpenAi | WireFormat::Cohere) && spec.quirks.embeddings
        }
        Operation::Rerank => spec.quirks.rerank,
        Operation::Moderations => spec.quirks.moderations,
        Operation::ImagesGenerations => spec.quirks.images,
        Operation::AudioSpeech => spec.quirks.speech,
        Operation::AudioTranscriptions | Operation::AudioTranslations => spec.quirks.transcriptions,
    }
}

/// Path and body for a provider. Formats being equal, the body is the client's own but for the model.
///
/// # Errors
/// When the provider's format cannot express the request. With `drop_params` a parameter that it does
/// not have is left out instead; a piece of the conversation never is.
pub fn encode_request(
    operation: Operation,
    head: &RequestHead,
    body: &Bytes,
    spec: &ProviderSpec,
    upstream_model: &str,
    drop_params: bool,
) -> Result<UpstreamRequest, Untranslatable> {
    if !supports(operation, spec) {
        let message = format!(
            "Providers of the kind `{}` have no {}: ask for a model that another provider serves.",
            spec.kind,
            operation.as_str()
        );
        return Err(Untranslatable { message, param: None });
    }
    let client = operation.wire_format();
    if client == spec.format || operation.is_raw() || operation == Operation::Embeddings {
        let body = if operation.is_form() {
            splice(body, &head.model_span, upstream_model.as_bytes())
        } else {
            splice_model(body, &head.model_span, upstream_model)
        };
        return Ok(UpstreamRequest { path: same_path(operation, spec.format), body });
    }
    let request = formats::decode_request(client, body)?;
    if let Some(field) = request.particular.first().filter(|_| !drop_params) {
        return Err(unsupported(field));
    }
    let body = formats::encode_request(&request, spec, upstream_model, drop_params)?;
    let path = formats::path(spec.format, upstream_model, request.stream);
    Ok(UpstreamRequest { path, body: Bytes::from(body) })
}

/// Where a body goes that is not translated.
fn same_path(operation: Operation, provider: WireFormat) -> Cow<'static, str> {
    let path = operation.upstream_path();
    match (provider, operation) {
        (WireFormat::Cohere, Operation::Embeddings) => Cow::Borrowed("/compatibility/v1/embeddings"),
        (WireFormat::Cohere, _) => Cow::Owned(format!("/v2{path}")),
        _ => Cow::Borrowed(path),
    }
}

/// A whole answer of the provider's format in the client's, and what the provider counted.
pub(crate) fn answer(
    client: WireFormat,
    provider: WireFormat,
    body: &str,
) -> Result<(Bytes, Usage), MalformedAnswer> {
    let answer = formats::decode_answer(provider, body)?;
    Ok((Bytes::from(formats::encode_answer(client, &answer)?), answer.usage))
}
