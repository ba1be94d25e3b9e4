//! Errors in the envelope of each format.
//!
//! Sources: <https://platform.openai.com/docs/guides/error-codes/api-errors> and
//! <https://docs.anthropic.com/en/api/errors>.

use serde_json::json;

use crate::request::{Context, Format};
use crate::script::Whole;

/// Why a request is refused; the format decides how it is said.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: u16,
    message: String,
    code: Option<String>,
    param: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: &str) -> Self {
        Self { status, message: message.to_owned(), code: None, param: None }
    }

    pub(crate) fn bad_request(message: String) -> Self {
        Self { status: 400, message, code: None, param: None }
    }

    pub(crate) fn missing(param: &'static str) -> Self {
        let code = Some("missing_required_parameter".to_owned());
        Self { status: 400, message: format!("{param}: Field required"), code, param: Some(param) }
    }

    pub(crate) fn malformed(error: &serde_json::Error) -> Self {
        Self::bad_request(format!("We could not parse the JSON body of your request: {error}"))
    }

    pub(crate) fn credential(presented: Option<&str>) -> Self {
        let message = match presented {
            // The real ones echo part of it, which is why a gateway must redact.
            Some(presented) => format!("Incorrect API key provided: {presented}."),
            None => "You didn't provide an API key.".to_owned(),
        };
        Self { status: 401, message, code: Some("invalid_api_key".to_owned()), param: None }
    }

    pub(crate) fn unknown_path(method: &str, path: &str) -> Self {
        Self {
            status: 404,
            message: format!("Invalid URL ({method} {path})"),
            code: Some("unknown_url".to_owned()),
            param: None,
        }
    }

    /// The refusal that `status=` (and `code=`) asks for.
    pub(crate) fn wished(status: u16, model: &str, code: Option<&str>) -> Self {
        let usual = match status {
            401 => Some("invalid_api_key"),
            404 => Some("model_not_found"),
            429 => Some("rate_limit_exceeded"),
            _ => None,
        };
        let code = code.or(usual);
        let message = match (status, code) {
            (_, Some("context_length_exceeded")) => {
                "This model's maximum context length is 8192 tokens. However, your messages are longer."
                    .to_owned()
            }
            (_, Some("insufficient_quota")) => {
                "You exceeded your current quota, please check your plan and billing details.".to_owned()
            }
            (401, _) => "Incorrect API key provided: sk-mock.".to_owned(),
            (404, _) => format!("The model `{model}` does not exist or you do not have access to it."),
            (429, _) => "Rate limit reached for requests. Please try again later.".to_owned(),
            (529, _) => "Overloaded".to_owned(),
            (500.., _) => {
                "The server had an error while processing your request. Sorry about that!".to_owned()
            }
            _ => format!("The mock was asked for status {status}."),
        };
        Self { status, message, code: code.map(str::to_owned), param: None }
    }

    /// The body alone.
    pub(crate) fn envelope(&self, context: &Context<'_>) -> Vec<u8> {
        let value = match context.format {
            Format::OpenAi => json!({"error": {
                "message": self.message,
                "type": openai_type(self.status, self.code.as_deref()),
                "param": self.param,
                "code": self.code,
            }}),
            Format::Anthropic => json!({
                "type": "error",
                "error": {"type": anthropic_type(self.status), "message": self.message},
                "request_id": format!("req_{:024x}", context.id),
            }),
        };
        value.to_string().into_bytes()
    }

    /// The whole answer; `html=1` turns it into the page a load balancer would send.
    pub(crate) fn whole(&self, context: &Context<'_>) -> Whole {
        if !context.behaviour.html {
            return Whole::json(self.status, self.envelope(context));
        }
        let status = self.status;
        let page = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
             <hr><center>mock</center>\r\n</body>\r\n</html>\r\n"
        );
        Whole { status, content_type: "text/html", body: page.into_bytes() }
    }
}

fn openai_type(status: u16, code: Option<&str>) -> &'static str {
    match (status, code) {
        (_, Some("insufficient_quota")) => "insufficient_quota",
        (429, _) => "requests",
        (500.., _) => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
