//! Chooses between passing a request through and decoding it from one format to encode it in another.

use std::borrow::Cow;

use bytes::Bytes;

use crate::fields::unsupported;
use crate::formats::gemini;
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
        Operation::ChatCompletions
        | Operation::Messages
        | Operation::GenerateContent
        | Operation::StreamGenerateContent => true,
        Operation::Completions => spec.format == WireFormat::OpenAi && spec.quirks.completions,
        Operation::GeminiCountTokens => spec.format == WireFormat::Gemini,
        Operation::Embeddings => spec.format == WireFormat::OpenAi && spec.quirks.embeddings,
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
    if client == spec.format {
        let body = match &head.model_span {
            // Google's format writes the model as the name of a resource.
            Some(span) if client == WireFormat::Gemini => {
                splice_model(body, span, &format!("models/{upstream_model}"))
            }
            Some(span) => splice_model(body, span, upstream_model),
            None => body.clone(),
        };
        let body = if client == WireFormat::Gemini { gemini::without_foreign(&body) } else { body };
        return Ok(UpstreamRequest { path: operation.upstream_path(upstream_model), body });
    }
    let mut request = formats::decode_request(client, body)?;
    request.stream = head.stream;
    if let Some(field) = request.particular.first().filter(|_| !drop_params) {
        return Err(unsupported(field));
    }
    let body = formats::encode_request(&request, spec, upstream_model, drop_params)?;
    let operation = match spec.format {
        WireFormat::OpenAi => Operation::ChatCompletions,
        WireFormat::Anthropic => Operation::Messages,
        WireFormat::Gemini if request.stream => Operation::StreamGenerateContent,
        WireFormat::Gemini => Operation::GenerateContent,
    };
    Ok(UpstreamRequest { path: operation.upstream_path(upstream_model), body: Bytes::from(body) })
}

/// A whole answer of the provider's format in the client's.
pub(crate) fn answer(client: WireFormat, provider: WireFormat, body: &str) -> Result<Bytes, MalformedAnswer> {
    let answer = formats::decode_answer(provider, body)?;
    Ok(Bytes::from(formats::encode_answer(client, &answer)?))
}
