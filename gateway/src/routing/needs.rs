//! What a request needs of whoever answers it, and which of that a candidate lacks: by the configuration, else by what the
//! catalogue knows of its deployments.

use providers::WireFormat;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::evidence::Exclusion;
use super::route::Candidate;
use crate::conversation::Conversation;
use crate::upstream::Deployment;

/// What a candidate must be able to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// The prompt, estimated.
    pub tokens: u64,
    /// It offers tools.
    pub has_tools: bool,
    /// It shows pictures; known only where that matters.
    pub has_images: bool,
    /// How the answer is to be.
    pub form: Form,
}

/// In which form an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As text.
    Free,
    /// As JSON.
    Json,
    /// As JSON by a schema.
    Schema,
}

/// A form as the formats name it: a text, or an object with a type.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named<'a> {
    Kind(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Object {
        #[serde(borrow, rename = "type")]
        kind: std::borrow::Cow<'a, str>,
    },
}

/// Where Responses, Anthropic and Google keep it.
#[derive(Default, Deserialize)]
struct Nested<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow, rename = "responseMimeType", alias = "response_mime_type")]
    mime_type: Option<&'a RawValue>,
    #[serde(borrow, rename = "responseSchema", alias = "response_schema", alias = "responseJsonSchema")]
    schema: Option<&'a RawValue>,
}

impl Form {
    /// Wanted in any of the formats.
    pub(super) fn of(conversation: &Conversation<'_>) -> Self {
        if let Some(format) = conversation.response_format.or(conversation.output_format) {
            return Self::named(format);
        }
        let holder = [conversation.text, conversation.output_config, conversation.generation_config];
        let Some(holder) = holder.into_iter().flatten().next() else { return Self::Free };
        let nested: Nested<'_> = serde_json::from_str(holder.get()).unwrap_or_default();
        if nested.schema.is_some() {
            return Self::Schema;
        }
        nested.format.or(nested.mime_type).map_or(Self::Free, Self::named)
    }

    fn named(raw: &RawValue) -> Self {
        let (Ok(Named::Kind(kind)) | Ok(Named::Object { kind })) = serde_json::from_str(raw.get()) else {
            return Self::Free;
        };
        match &*kind {
            "json_object" | "application/json" => Self::Json,
            "json_schema" => Self::Schema,
            _ => Self::Free,
        }
    }
}

impl Needs {
    /// What keeps a candidate away; None when one of its `usable` deployments can take the request.
    pub(super) fn unmet<'d, D>(&self, candidate: &Candidate, usable: impl Fn() -> D) -> Option<Exclusion>
    where
        D: Iterator<Item = &'d Deployment>,
    {
        type Check = fn(&Needs, &Candidate, &Deployment) -> bool;
        let checks: [(Exclusion, Check); 4] = [
            (Exclusion::Context, |needs, candidate, it| {
                let context = candidate.context.or(it.spec.and_then(|spec| spec.context_tokens));
                context.is_none_or(|context| needs.tokens <= u64::from(context))
            }),
            (Exclusion::Tools, |needs, candidate, it| {
                !needs.has_tools || candidate.tools.unwrap_or(!it.spec.is_some_and(|spec| spec.lacks.tools))
            }),
            (Exclusion::Vision, |needs, candidate, it| {
                !needs.has_images
                    || candidate.vision.unwrap_or(!it.spec.is_some_and(|spec| spec.lacks.vision))
            }),
            (Exclusion::Json, |needs, candidate, it| {
                needs.form == Form::Free || candidate.json.unwrap_or(takes_form(needs.form, it))
            }),
        ];
        let takes_all = |it: &Deployment| checks.iter().all(|(_, can)| can(self, candidate, it));
        if usable().any(takes_all) {
            return None;
        }
        let mut missed = Exclusion::Unavailable;
        for at in 0..checks.len() {
            let passed = checks.iter().take(at);
            if !usable().any(|it| passed.clone().all(|(_, can)| can(self, candidate, it))) {
                break;
            }
            missed = checks.get(at).map_or(missed, |(exclusion, _)| *exclusion);
        }
        Some(missed)
    }
}

/// Two formats have a schema for answers, but nothing for JSON of any kind.
fn takes_form(form: Form, deployment: &Deployment) -> bool {
    let no_plain = matches!(deployment.provider.spec.format, WireFormat::Anthropic | WireFormat::Bedrock);
    let lacks = deployment.spec.is_some_and(|spec| spec.lacks.json);
    match form {
        Form::Free => true,
        Form::Json => !lacks && !no_plain,
        Form::Schema => !lacks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_an_answer_is_read_in_every_format() {
        for (body, form) in [
            (r#"{"messages":[]}"#, Form::Free),
            (r#"{"response_format":{"type":"text"}}"#, Form::Free),
            (r#"{"response_format":null}"#, Form::Free),
            (r#"{"response_format":{"type":"json_object"}}"#, Form::Json),
            (r#"{"response_format":{"type":"json_schema","json_schema":{}}}"#, Form::Schema),
            (r#"{"text":{"format":{"type":"json_object"}}}"#, Form::Json),
            (r#"{"text":{"verbosity":"low"}}"#, Form::Free),
            (r#"{"output_config":{"format":{"type":"json_schema","schema":{}}}}"#, Form::Schema),
            (r#"{"output_format":{"type":"json_schema","schema":{}}}"#, Form::Schema),
            (r#"{"generationConfig":{"responseMimeType":"application/json"}}"#, Form::Json),
            (r#"{"generationConfig":{"responseMimeType":"text/plain"}}"#, Form::Free),
            (
                r#"{"generationConfig":{"responseMimeType":"application/json","responseSchema":{}}}"#,
                Form::Schema,
            ),
        ] {
            assert_eq!(Form::of(&Conversation::read(body.as_bytes()).unwrap()), form, "{body}");
        }
    }
}
