//! Chooses between passing a request through and decoding it from one format to encode it in another.

use std::borrow::Cow;

use bytes::Bytes;

use crate::answer_context::AnswerContext;
use crate::fields::unsupported;
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
        Operation::ChatCompletions | Operation::Messages | Operation::Responses => true,
        Operation::Completions => spec.format == WireFormat::OpenAi && spec.quirks.completions,
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
    if client == spec.format_for(operation) {
        let body = splice_model(body, &head.model_span, upstream_model);
        let (path, context) = (Cow::Borrowed(operation.upstream_path()), AnswerContext::default());
        return Ok(UpstreamRequest { path, body, context });
    }
    let (request, context) = formats::decode_request(client, body)?;
    if let Some(field) = request.particular.first().filter(|_| !drop_params) {
        return Err(unsupported(field));
    }
    let body = formats::encode_request(&request, spec, upstream_model, drop_params)
        .map_err(|error| error.in_words_of(client))?;
    let operation = match spec.format {
        WireFormat::OpenAi => Operation::ChatCompletions,
        WireFormat::Anthropic => Operation::Messages,
        WireFormat::Responses => Operation::Responses,
    };
    let path = Cow::Borrowed(operation.upstream_path());
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

/// A whole answer of the provider's format in the client's.
pub(crate) fn answer(
    client: WireFormat,
    provider: WireFormat,
    body: &str,
    context: &AnswerContext,
) -> Result<Bytes, MalformedAnswer> {
    let answer = formats::decode_answer(provider, body)?;
    Ok(Bytes::from(formats::encode_answer(client, &answer, context)?))
}
