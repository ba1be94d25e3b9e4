//! One folder per wire format: what its bodies and events look like, and nothing about any other.
//! Here is the choice between them, one `match` for each thing a format can do.

pub(crate) mod anthropic;
pub(crate) mod gemini;
pub(crate) mod openai;
mod raw;
mod tokens;

use bytes::BytesMut;
use domain::Price;

use crate::canonical::{ChatAnswer, ChatRequest, StreamEvent};
use crate::{ProviderSpec, StreamFault, Untranslatable, WireFormat, catalogue};

pub(crate) fn decode_request(client: WireFormat, body: &[u8]) -> Result<ChatRequest, Untranslatable> {
    match client {
        WireFormat::OpenAi => openai::decode_request(body),
        WireFormat::Anthropic => anthropic::decode_request(body),
        WireFormat::Gemini => gemini::decode_request(body),
    }
}

pub(crate) fn encode_request(
    request: &ChatRequest,
    spec: &ProviderSpec,
    upstream_model: &str,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    match spec.format {
        WireFormat::OpenAi => openai::encode_request(request, upstream_model, spec.quirks),
        WireFormat::Anthropic => {
            let known = catalogue().model(&spec.kind, upstream_model);
            let max_output = known.and_then(|known| known.max_output_tokens);
            anthropic::encode_request(request, upstream_model, max_output, drop_params)
        }
        WireFormat::Gemini => gemini::encode_request(request, upstream_model, drop_params),
    }
}

pub(crate) fn decode_answer(provider: WireFormat, body: &str) -> Result<ChatAnswer, String> {
    match provider {
        WireFormat::OpenAi => openai::decode_answer(body),
        WireFormat::Anthropic => anthropic::decode_answer(body),
        WireFormat::Gemini => gemini::decode_answer(body),
    }
}

pub(crate) fn encode_answer(client: WireFormat, answer: &ChatAnswer) -> Result<Vec<u8>, String> {
    match client {
        WireFormat::OpenAi => Ok(openai::encode_answer(answer)),
        WireFormat::Anthropic => anthropic::encode_answer(answer),
        WireFormat::Gemini => gemini::encode_answer(answer),
    }
}

/// Reads a provider's events as neutral steps.
#[derive(Debug)]
pub(crate) enum StreamDecoder {
    OpenAi(openai::StreamDecoder),
    Anthropic(anthropic::StreamDecoder),
    Gemini(gemini::StreamDecoder),
}

impl StreamDecoder {
    pub(crate) fn new(provider: WireFormat) -> Self {
        match provider {
            WireFormat::OpenAi => Self::OpenAi(openai::StreamDecoder::default()),
            WireFormat::Anthropic => Self::Anthropic(anthropic::StreamDecoder::default()),
            WireFormat::Gemini => Self::Gemini(gemini::StreamDecoder::default()),
        }
    }

    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        match self {
            Self::OpenAi(decoder) => decoder.decode(data, out),
            Self::Anthropic(decoder) => decoder.decode(data, out),
            Self::Gemini(decoder) => decoder.decode(data, out),
        }
    }
}

/// Spells neutral steps as a client's events.
#[derive(Debug)]
pub(crate) enum StreamEncoder {
    OpenAi(openai::StreamEncoder),
    Anthropic(anthropic::StreamEncoder),
    Gemini(gemini::StreamEncoder),
}

impl StreamEncoder {
    pub(crate) fn new(client: WireFormat, include_usage: bool, price: Option<Price>) -> Self {
        match client {
            WireFormat::OpenAi => Self::OpenAi(openai::StreamEncoder::new(include_usage, price)),
            WireFormat::Anthropic => Self::Anthropic(anthropic::StreamEncoder::default()),
            WireFormat::Gemini => Self::Gemini(gemini::StreamEncoder::default()),
        }
    }

    pub(crate) fn encode(&mut self, event: StreamEvent, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.encode(event, out),
            Self::Anthropic(encoder) => encoder.encode(event, out),
            Self::Gemini(encoder) => encoder.encode(event, out),
        }
    }
}
