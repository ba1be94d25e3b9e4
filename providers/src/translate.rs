//! Chooses between passing a request through and decoding it from one format to encode it in another.

use std::borrow::Cow;

use bytes::Bytes;
use domain::Usage;

use crate::answer_context::AnswerContext;
use crate::fields::unsupported;
use crate::formats::gemini;
use crate::splice::{splice, splice_model_and_usage};
use crate::{MalformedAnswer, Operation, ProviderSpec, RequestHead, WireFormat, formats, splice_model};

/// What goes to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// Joined onto the path of the base URL; may carry a query.
    pub path: Cow<'static, str>,
    /// The body.
    pub body: Bytes,
    /// What its answer has to be read with.
    pub context: AnswerContext,
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
        | Operation::Responses
        | Operation::GenerateContent
        | Operation::StreamGenerateContent => true,
        // Others count by themselves only in their answers; the gateway counts for them.
        Operation::CountTokens => spec.format == WireFormat::Anthropic,
        Operation::GeminiCountTokens => spec.format == WireFormat::Gemini,
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

/// A stream of OpenAI's formats whose client has not asked for the usage chunk.
fn streams_without_usage(operation: Operation, head: &RequestHead) -> bool {
    matches!(operation, Operation::ChatCompletions | Operation::Completions)
        && head.stream
        && !head.include_usage
}

/// Path and body for a provider. Formats being equal, the body is the client's own but for the model,
/// and for the usage chunk of a stream, which is always asked for where the provider allows it.
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
    if client == spec.format_for(operation) || operation.is_raw() || operation == Operation::Embeddings {
        let body = same_body(operation, head, body, spec, upstream_model);
        let (path, context) = (same_path(operation, spec.format, upstream_model), AnswerContext::default());
        return Ok(UpstreamRequest { path, body, context });
    }
    let (mut request, mut context) = formats::decode_request(client, body)?;
    upstream_model.clone_into(&mut context.model);
    // Gemini's clients say it in the path.
    request.stream = head.stream;
    if let Some(field) = request.particular.first().filter(|_| !drop_params) {
        return Err(unsupported(field));
    }
    let body = formats::encode_request(&request, spec, upstream_model, drop_params)
        .map_err(|error| error.in_words_of(client))?;
    let path = formats::path(spec.format, upstream_model, request.stream);
    Ok(UpstreamRequest { path, body: Bytes::from(body), context })
}

impl Untranslatable {
    /// An encoder names fields as most clients call them; a Responses client calls some otherwise.
    fn in_words_of(mut self, client: WireFormat) -> Self {
        if client == WireFormat::Responses
            && let Some(param) = self.param.take()
        {
            let own = match param.strip_prefix("messages[") {
                Some(rest) => format!("input[{rest}"),
                None if param == "reasoning_effort" => "reasoning.effort".to_owned(),
                None if param == "max_tokens" => "max_output_tokens".to_owned(),
                None if param == "response_format" => "text.format".to_owned(),
                None => param.clone(),
            };
            self.message = self.message.replace(&format!("`{param}`"), &format!("`{own}`"));
            self.param = Some(own);
        }
        self
    }
}

/// The client's own body for a provider of its format, but for the model and what the gateway must add.
fn same_body(
    operation: Operation,
    head: &RequestHead,
    body: &Bytes,
    spec: &ProviderSpec,
    upstream_model: &str,
) -> Bytes {
    let is_gemini = operation.wire_format() == WireFormat::Gemini;
    let body = match &head.model_span {
        None => body.clone(),
        Some(span) if operation.is_form() => splice(body, span, upstream_model.as_bytes()),
        // Google's format writes the model as the name of a resource.
        Some(span) if is_gemini => splice_model(body, span, &format!("models/{upstream_model}")),
        // Without its usage an answer could not be counted; the chunk is taken out of the answer again.
        Some(span) if streams_without_usage(operation, head) && spec.quirks.stream_options => {
            splice_model_and_usage(body, span, head, upstream_model)
        }
        Some(span) => splice_model(body, span, upstream_model),
    };
    if is_gemini { gemini::without_foreign(&body) } else { body }
}

/// Where a body goes that is not translated.
fn same_path(operation: Operation, provider: WireFormat, upstream_model: &str) -> Cow<'static, str> {
    let path = operation.upstream_path(upstream_model);
    match (provider, operation) {
        (WireFormat::Cohere, Operation::Embeddings) => Cow::Borrowed("/compatibility/v1/embeddings"),
        (WireFormat::Cohere, _) => Cow::Owned(format!("/v2{path}")),
        _ => path,
    }
}

/// A whole answer of the provider's format in the client's, and what the provider counted.
pub(crate) fn answer(
    client: WireFormat,
    provider: WireFormat,
    body: &str,
    context: &AnswerContext,
) -> Result<(Bytes, Usage), MalformedAnswer> {
    let mut answer = formats::decode_answer(provider, body)?;
    context.complete(client, &mut answer.id, &mut answer.model);
    Ok((Bytes::from(formats::encode_answer(client, &answer, context)?), answer.usage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue, read_request_head};

    fn sent(kind: &str, operation: Operation, body: &'static str) -> Bytes {
        let spec = catalogue().provider(kind).unwrap();
        let body = Bytes::from_static(body.as_bytes());
        let head = read_request_head(operation, "", &body).unwrap();
        let sent = encode_request(operation, &head, &body, spec, "m", false).unwrap().body;
        // Three identical requests are identical upstream.
        for _ in 0..2 {
            assert_eq!(encode_request(operation, &head, &body, spec, "m", false).unwrap().body, sent);
        }
        sent
    }

    #[test]
    fn the_usage_of_a_stream_is_asked_for_where_the_provider_allows_it() {
        let stream = r#"{"model":"m","stream":true,"prompt":"x"}"#;
        let asked = r#"{"model":"m","stream":true,"prompt":"x","stream_options":{"include_usage":true}}"#;
        assert_eq!(sent("openai", Operation::ChatCompletions, stream), asked);
        assert_eq!(sent("openai", Operation::Completions, stream), asked);
        assert_eq!(sent("mistral", Operation::ChatCompletions, stream), stream);
        assert_eq!(sent("openai", Operation::Embeddings, stream), stream);
        assert_eq!(sent("anthropic", Operation::Messages, stream), stream);
        for unchanged in [asked, r#"{"model":"m","stream":false}"#, r#"{"model":"m"}"#] {
            assert_eq!(sent("openai", Operation::ChatCompletions, unchanged), unchanged);
        }
    }
}
