//! What a client may ask for, and in whose wire format. Owns the public paths; knows no bodies.

use std::borrow::Cow;

use crate::formats::gemini;
use crate::formats::gemini::split_path;

/// The body formats Signalbox speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireFormat {
    /// OpenAI's chat completions, completions and embeddings, and everything compatible with them.
    OpenAi,
    /// Anthropic's Messages.
    Anthropic,
    /// OpenAI's Responses.
    Responses,
    /// Amazon Bedrock's Converse, to providers only.
    Bedrock,
    /// Cohere's chat of API version 2, to providers only.
    Cohere,
    /// Google's generateContent, of the Gemini API and of Vertex AI.
    Gemini,
}

impl WireFormat {
    /// The name used in the catalogue and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Gemini => "gemini",
        }
    }
}

/// One public POST path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/messages`
    Messages,
    /// `/v1/messages/count_tokens`
    CountTokens,
    /// `/v1/responses`
    Responses,
    /// `/v1/rerank` and `/v2/rerank`
    Rerank,
    /// `/v1/moderations`
    Moderations,
    /// `/v1/images/generations`
    ImagesGenerations,
    /// `/v1/audio/speech`
    AudioSpeech,
    /// `/v1/audio/transcriptions`
    AudioTranscriptions,
    /// `/v1/audio/translations`
    AudioTranslations,
    /// `/v1beta/models/{model}:generateContent`
    GenerateContent,
    /// `/v1beta/models/{model}:streamGenerateContent`
    StreamGenerateContent,
    /// `/v1beta/models/{model}:countTokens`
    GeminiCountTokens,
}

impl Operation {
    /// The operation behind a request path, with or without the leading `/v1`; for Google's operations
    /// any version of the API.
    pub fn from_path(path: &str) -> Option<Self> {
        match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" => Some(Self::ChatCompletions),
            "/completions" => Some(Self::Completions),
            "/embeddings" => Some(Self::Embeddings),
            "/messages" => Some(Self::Messages),
            "/messages/count_tokens" => Some(Self::CountTokens),
            "/responses" => Some(Self::Responses),
            // Cohere's clients call the second version.
            "/rerank" | "/v2/rerank" => Some(Self::Rerank),
            "/moderations" => Some(Self::Moderations),
            "/images/generations" => Some(Self::ImagesGenerations),
            "/audio/speech" => Some(Self::AudioSpeech),
            "/audio/transcriptions" => Some(Self::AudioTranscriptions),
            "/audio/translations" => Some(Self::AudioTranslations),
            _ => match split_path(path)?.1 {
                "generateContent" => Some(Self::GenerateContent),
                "streamGenerateContent" => Some(Self::StreamGenerateContent),
                "countTokens" => Some(Self::GeminiCountTokens),
                _ => None,
            },
        }
    }

    /// The model that a path names, percent signs and all; None where the body names it.
    pub fn model_in_path(path: &str) -> Option<&str> {
        Self::from_path(path).filter(|operation| operation.wire_format() == WireFormat::Gemini)?;
        split_path(path).map(|(model, _)| model)
    }

    /// True for what only counts a prompt.
    pub fn is_count(self) -> bool {
        matches!(self, Self::CountTokens | Self::GeminiCountTokens)
    }

    /// The format the client speaks.
    pub fn wire_format(self) -> WireFormat {
        match self {
            Self::Messages | Self::CountTokens => WireFormat::Anthropic,
            Self::Responses => WireFormat::Responses,
            Self::ChatCompletions
            | Self::Completions
            | Self::Embeddings
            | Self::Rerank
            | Self::Moderations
            | Self::ImagesGenerations
            | Self::AudioSpeech
            | Self::AudioTranscriptions
            | Self::AudioTranslations => WireFormat::OpenAi,
            Self::GenerateContent | Self::StreamGenerateContent | Self::GeminiCountTokens => {
                WireFormat::Gemini
            }
        }
    }

    /// Bodies are passed on unread but for the model, and answers as they are, which may be no JSON: the
    /// provider's content type is the client's. Never streamed.
    pub fn is_raw(self) -> bool {
        matches!(
            self,
            Self::Rerank
                | Self::Moderations
                | Self::ImagesGenerations
                | Self::AudioSpeech
                | Self::AudioTranscriptions
                | Self::AudioTranslations
        )
    }

    /// The request is a form with a file: the client's content type is the provider's.
    pub fn is_form(self) -> bool {
        matches!(self, Self::AudioTranscriptions | Self::AudioTranslations)
    }

    /// The metric label; the names of OpenTelemetry's `gen_ai.operation.name` where it has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Responses => "responses",
            Self::Rerank => "rerank",
            Self::Moderations => "moderation",
            Self::ImagesGenerations => "image_generation",
            Self::AudioSpeech => "speech",
            Self::AudioTranscriptions => "transcription",
            Self::AudioTranslations => "translation",
            Self::GenerateContent | Self::StreamGenerateContent => "generate_content",
            Self::GeminiCountTokens => "count_tokens",
        }
    }

    /// The path below a provider's base URL when the provider speaks the client's format.
    pub(crate) fn upstream_path(self, upstream_model: &str) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Responses => "/responses",
            Self::Rerank => "/rerank",
            Self::Moderations => "/moderations",
            Self::ImagesGenerations => "/images/generations",
            Self::AudioSpeech => "/audio/speech",
            Self::AudioTranscriptions => "/audio/transcriptions",
            Self::AudioTranslations => "/audio/translations",
            Self::GenerateContent | Self::StreamGenerateContent | Self::GeminiCountTokens => {
                return Cow::Owned(gemini::upstream_path(self, upstream_model));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_known_with_and_without_v1() {
        for (path, operation) in [
            ("/v1/chat/completions", Operation::ChatCompletions),
            ("/chat/completions", Operation::ChatCompletions),
            ("/v1/completions", Operation::Completions),
            ("/completions", Operation::Completions),
            ("/v1/embeddings", Operation::Embeddings),
            ("/embeddings", Operation::Embeddings),
            ("/v1/messages", Operation::Messages),
            ("/messages", Operation::Messages),
            ("/v1/messages/count_tokens", Operation::CountTokens),
            ("/messages/count_tokens", Operation::CountTokens),
            ("/v1/responses", Operation::Responses),
            ("/responses", Operation::Responses),
            ("/v1/rerank", Operation::Rerank),
            ("/v2/rerank", Operation::Rerank),
            ("/v1/moderations", Operation::Moderations),
            ("/v1/images/generations", Operation::ImagesGenerations),
            ("/v1/audio/speech", Operation::AudioSpeech),
            ("/v1/audio/transcriptions", Operation::AudioTranscriptions),
            ("/audio/translations", Operation::AudioTranslations),
            ("/v1beta/models/m:generateContent", Operation::GenerateContent),
            ("/v1/models/a/b:streamGenerateContent", Operation::StreamGenerateContent),
            ("/models/m:countTokens", Operation::GeminiCountTokens),
        ] {
            assert_eq!(Operation::from_path(path), Some(operation), "{path}");
        }
    }

    #[test]
    fn only_googles_paths_name_the_model() {
        assert_eq!(Operation::model_in_path("/v1beta/models/a/b:countTokens"), Some("a/b"));
        assert_eq!(Operation::model_in_path("/v1beta/models/a:embedContent"), None);
        assert_eq!(Operation::model_in_path("/v1/messages"), None);
    }

    #[test]
    fn a_path_that_only_begins_like_a_known_one_is_unknown() {
        for path in [
            "/v1/messages/count",
            "/v1/responses/resp_1",
            "/v1",
            "/v2/messages",
            "/v1/v1/messages",
            "",
            "/v1beta/models/m",
            "/v1beta/models/m:embedContent",
            "/v1beta/models/:generateContent",
        ] {
            assert_eq!(Operation::from_path(path), None, "{path}");
        }
    }
}
