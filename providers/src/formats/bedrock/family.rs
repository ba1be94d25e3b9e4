//! Whose model a model id names. Converse is one format, but what stands in
//! `additionalModelRequestFields`, and what is taken back, goes by the model's maker.

/// The maker, as far as the format differs by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    /// Amazon's Nova; the second generation reasons.
    Nova {
        reasons: bool,
    },
    /// OpenAI's models with open weights.
    GptOss,
    /// Llama, Mistral, DeepSeek, Qwen, Kimi, …
    Other,
    /// An inference profile of the operator's own, whose name tells nothing. Most are for Claude.
    Unknown,
}

impl Family {
    /// Of a model id (`us.anthropic.claude-sonnet-4-5-20250929-v1:0`) or of an ARN.
    pub(super) fn of(model: &str) -> Self {
        if model.contains("claude") {
            Self::Claude
        } else if model.contains("amazon.nova") {
            Self::Nova { reasons: model.contains("nova-2") }
        } else if model.contains("openai.") {
            Self::GptOss
        } else if model.starts_with("arn:") && !model.contains("foundation-model/") {
            Self::Unknown
        } else {
            Self::Other
        }
    }

    /// It takes back Claude's signed thoughts.
    pub(super) fn reads_claude(self) -> bool {
        matches!(self, Self::Claude | Self::Unknown)
    }

    /// It has a prompt cache that is told where to cut. Others refuse to be told.
    pub(super) fn takes_cache_points(self) -> bool {
        matches!(self, Self::Claude | Self::Nova { .. } | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::Family;

    #[test]
    fn a_model_is_known_by_its_id_and_by_its_arn() {
        for (model, family) in [
            ("anthropic.claude-3-haiku-20240307-v1:0", Family::Claude),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-sonnet-4-6", Family::Claude),
            ("us.amazon.nova-micro-v1:0", Family::Nova { reasons: false }),
            ("global.amazon.nova-2-lite-v1:0", Family::Nova { reasons: true }),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("us.deepseek.r1-v1:0", Family::Other),
            ("arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-1-8b-instruct-v1:0", Family::Other),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", Family::Unknown),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
