//! One folder per wire format: what its bodies and events look like, and nothing about any other.
//! Here is the choice between them, one `match` for each thing a format can do.

pub(crate) mod anthropic;
pub(crate) mod bedrock;
mod cache_control;
pub(crate) mod cohere;
mod data_url;
pub(crate) mod gemini;
pub(crate) mod openai;
mod raw;
pub(crate) mod responses;
mod signature;
mod text_document;
pub(crate) mod tokens;

use std::borrow::Cow;

pub(crate) use raw::{offset_in, text_of};

use bytes::BytesMut;
use domain::Price;

use crate::answer_context::AnswerContext;
use crate::canonical::{ChatAnswer, ChatRequest, StreamEvent};
use crate::transcript::Transcript;
use crate::{Operation, ProviderSpec, StreamFault, Untranslatable, WireFormat, catalogue};

pub(crate) fn decode_request(
    client: WireFormat,
    body: &[u8],
) -> Result<(ChatRequest, AnswerContext), Untranslatable> {
    match client {
        WireFormat::OpenAi => openai::decode_request(body).map(plain),
        WireFormat::Anthropic => anthropic::decode_request(body).map(plain),
        WireFormat::Responses => responses::decode_request(body),
        WireFormat::Gemini => gemini::decode_request(body).map(plain),
        WireFormat::Bedrock | WireFormat::Cohere => Err(spoken_to_providers(client)),
    }
}

/// No operation of ours has such a format, so this is told to nobody.
fn spoken_to_providers(format: WireFormat) -> Untranslatable {
    Untranslatable { message: format!("No client speaks {}.", format.as_str()), param: None }
}

/// Where a translated request goes, below the provider's base URL.
pub(crate) fn path(provider: WireFormat, upstream_model: &str, stream: bool) -> Cow<'static, str> {
    match provider {
        WireFormat::OpenAi => Cow::Borrowed("/chat/completions"),
        WireFormat::Anthropic => Cow::Borrowed("/v1/messages"),
        WireFormat::Responses => Cow::Borrowed("/responses"),
        WireFormat::Bedrock => Cow::Owned(bedrock::path(upstream_model, stream)),
        WireFormat::Cohere => Cow::Borrowed("/v2/chat"),
        WireFormat::Gemini => {
            let operation =
                if stream { Operation::StreamGenerateContent } else { Operation::GenerateContent };
            operation.upstream_path(upstream_model)
        }
    }
}

/// For a format whose answers need nothing of their request.
fn plain(request: ChatRequest) -> (ChatRequest, AnswerContext) {
    (request, AnswerContext::default())
}

pub(crate) fn encode_request(
    request: &ChatRequest,
    spec: &ProviderSpec,
    upstream_model: &str,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    let max_output =
        || catalogue().model(&spec.kind, upstream_model).and_then(|known| known.max_output_tokens);
    match spec.format {
        WireFormat::OpenAi => openai::encode_request(request, upstream_model, spec.quirks, drop_params),
        WireFormat::Anthropic => {
            anthropic::encode_request(request, upstream_model, max_output(), drop_params)
        }
        WireFormat::Responses => responses::encode_request(request, upstream_model, drop_params),
        WireFormat::Bedrock => bedrock::encode_request(request, upstream_model, max_output(), drop_params),
        WireFormat::Cohere => cohere::encode_request(request, upstream_model, drop_params),
        WireFormat::Gemini => gemini::encode_request(request, upstream_model, drop_params),
    }
}

pub(crate) fn decode_answer(provider: WireFormat, body: &str) -> Result<ChatAnswer, String> {
    match provider {
        WireFormat::OpenAi => openai::decode_answer(body),
        WireFormat::Anthropic => anthropic::decode_answer(body),
        WireFormat::Responses => responses::decode_answer(body),
        WireFormat::Bedrock => bedrock::decode_answer(body),
        WireFormat::Cohere => cohere::decode_answer(body),
        WireFormat::Gemini => gemini::decode_answer(body),
    }
}

pub(crate) fn encode_answer(
    client: WireFormat,
    answer: &ChatAnswer,
    context: &AnswerContext,
) -> Result<Vec<u8>, String> {
    match client {
        WireFormat::OpenAi => Ok(openai::encode_answer(answer)),
        WireFormat::Anthropic => anthropic::encode_answer(answer),
        WireFormat::Responses => responses::encode_answer(answer, context),
        WireFormat::Gemini => gemini::encode_answer(answer),
        WireFormat::Bedrock | WireFormat::Cohere => Err(spoken_to_providers(client).message),
    }
}

/// Reads a provider's events as neutral steps.
#[derive(Debug)]
pub(crate) enum StreamDecoder {
    OpenAi(openai::StreamDecoder),
    Anthropic(anthropic::StreamDecoder),
    Responses(responses::StreamDecoder),
    Bedrock(bedrock::StreamDecoder),
    Cohere(cohere::StreamDecoder),
    Gemini(gemini::StreamDecoder),
}

impl StreamDecoder {
    pub(crate) fn new(provider: WireFormat) -> Self {
        match provider {
            WireFormat::OpenAi => Self::OpenAi(openai::StreamDecoder::default()),
            WireFormat::Anthropic => Self::Anthropic(anthropic::StreamDecoder::default()),
            WireFormat::Responses => Self::Responses(responses::StreamDecoder::default()),
            WireFormat::Bedrock => Self::Bedrock(bedrock::StreamDecoder::default()),
            WireFormat::Cohere => Self::Cohere(cohere::StreamDecoder::default()),
            WireFormat::Gemini => Self::Gemini(gemini::StreamDecoder::default()),
        }
    }

    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        match self {
            Self::OpenAi(decoder) => decoder.decode(data, out),
            Self::Anthropic(decoder) => decoder.decode(data, out),
            Self::Responses(decoder) => decoder.decode(data, out),
            Self::Bedrock(decoder) => decoder.decode(data, out),
            Self::Cohere(decoder) => decoder.decode(data, out),
            Self::Gemini(decoder) => decoder.decode(data, out),
        }
    }
}

/// Spells neutral steps as a client's events.
#[derive(Clone, Debug)]
pub(crate) enum StreamEncoder {
    OpenAi(openai::StreamEncoder),
    Anthropic(anthropic::StreamEncoder),
    Responses(Box<responses::StreamEncoder>),
    Gemini(gemini::StreamEncoder),
}

impl StreamEncoder {
    pub(crate) fn new(client: WireFormat, include_usage: bool, price: Option<Price>) -> Self {
        match client {
            WireFormat::Anthropic => Self::Anthropic(anthropic::StreamEncoder::default()),
            WireFormat::Responses => Self::Responses(Box::default()),
            WireFormat::Gemini => Self::Gemini(gemini::StreamEncoder::default()),
            // No client speaks the last two.
            WireFormat::OpenAi | WireFormat::Bedrock | WireFormat::Cohere => {
                Self::OpenAi(openai::StreamEncoder::new(include_usage, price))
            }
        }
    }

    /// For an answer that goes on with one which was passed through. Responses repeats the whole answer at
    /// its end with ids of the provider's, so nobody else can.
    pub(crate) fn resumed(
        client: WireFormat,
        include_usage: bool,
        price: Option<Price>,
        sent: &Transcript,
    ) -> Option<Self> {
        match client {
            WireFormat::OpenAi => {
                openai::StreamEncoder::resumed(include_usage, price, &sent.first).map(Self::OpenAi)
            }
            WireFormat::Anthropic => anthropic::StreamEncoder::resumed(sent.blocks).map(Self::Anthropic),
            WireFormat::Gemini => gemini::StreamEncoder::resumed(&sent.first).map(Self::Gemini),
            WireFormat::Responses | WireFormat::Bedrock | WireFormat::Cohere => None,
        }
    }

    /// For the answer to this request; before its first step.
    pub(crate) fn set_context(&mut self, context: &AnswerContext) {
        match self {
            Self::Responses(encoder) => encoder.set_context(context),
            Self::OpenAi(_) | Self::Anthropic(_) | Self::Gemini(_) => {}
        }
    }

    /// The format repeats an answer whole at its end, and this one is too long for that.
    pub(crate) fn is_too_long(&self) -> bool {
        match self {
            Self::Responses(encoder) => encoder.is_too_long(),
            Self::OpenAi(_) | Self::Anthropic(_) | Self::Gemini(_) => false,
        }
    }

    pub(crate) fn encode(&mut self, event: StreamEvent, out: &mut BytesMut) {
        match self {
            Self::OpenAi(encoder) => encoder.encode(event, out),
            Self::Anthropic(encoder) => encoder.encode(event, out),
            Self::Responses(encoder) => encoder.encode(event, out),
            Self::Gemini(encoder) => encoder.encode(event, out),
        }
    }
}
