//! Chooses between passing a body through and decoding it from one format to encode it in the other.

use bytes::{Bytes, BytesMut};
use domain::Price;

use crate::answer_stream::Progress;
use crate::{MalformedAnswer, Operation, ProviderSpec, RequestHead, StreamFault, WireFormat, splice_model};

/// What goes to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// Joined onto the path of the base URL.
    pub path: &'static str,
    /// The body.
    pub body: Bytes,
}

/// The request has a field that the provider's format cannot express.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Untranslatable {
    /// Names the field and says what to do.
    pub message: String,
    /// The field.
    pub param: Option<String>,
}

/// Whether a deployment of this provider can serve the operation at all.
pub fn supports(operation: Operation, spec: &ProviderSpec) -> bool {
    match operation {
        Operation::ChatCompletions => spec.format == WireFormat::OpenAi,
        Operation::Messages => spec.format == WireFormat::Anthropic,
        Operation::Completions => spec.format == WireFormat::OpenAi && spec.quirks.completions,
        Operation::Embeddings => spec.format == WireFormat::OpenAi && spec.quirks.embeddings,
    }
}

/// The body and path for a provider.
///
/// # Errors
/// When the provider's format cannot express the request.
pub fn encode_request(
    operation: Operation,
    head: &RequestHead,
    body: &Bytes,
    spec: &ProviderSpec,
    upstream_model: &str,
    _drop_params: bool,
) -> Result<UpstreamRequest, Untranslatable> {
    if !supports(operation, spec) {
        let message = format!("The provider kind `{}` has no {}.", spec.kind, operation.as_str());
        return Err(Untranslatable { message, param: None });
    }
    let body = splice_model(body, &head.model_span, upstream_model);
    Ok(UpstreamRequest { path: operation.upstream_path(), body })
}

pub(crate) fn answer(_: WireFormat, _: WireFormat, _: &str) -> Result<Bytes, MalformedAnswer> {
    Err("the provider speaks another format".to_owned().into())
}

/// A stream between two formats.
#[derive(Debug)]
pub(crate) struct Translation;

impl Translation {
    pub(crate) fn new(_: WireFormat, _: WireFormat, _: bool, _: Option<Price>) -> Self {
        Self
    }

    pub(crate) fn take(&mut self, _: &Bytes, _: &mut Progress) -> (Bytes, Option<StreamFault>) {
        (Bytes::new(), Some(StreamFault::Malformed("the provider speaks another format".to_owned())))
    }

    pub(crate) fn end(&mut self, _: &mut BytesMut) {}
}
