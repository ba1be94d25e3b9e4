//! A request as the answers see it, and what is decided about its answer.

use crate::answer::Refusal;
use crate::behaviour::Behaviour;
use crate::head::Head;
use crate::script::unix_seconds;
use crate::state::State;

/// The wire format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    OpenAi,
    Anthropic,
}

/// One request, borrowed from the connection's inbox.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Without the query.
    pub(crate) path: &'a str,
    pub(crate) mock: Option<&'a str>,
    pub(crate) credential: Option<&'a str>,
    pub(crate) anthropic_version: bool,
    pub(crate) keep_alive: bool,
    pub(crate) http_10: bool,
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn new(head: &Head, inbox: &'a [u8], body: &'a [u8]) -> Self {
        let target = head.target(inbox);
        Self {
            method: head.method(inbox),
            path: target.split('?').next().unwrap_or(target),
            mock: head.mock(inbox),
            credential: head.credential(inbox),
            anthropic_version: head.anthropic_version,
            keep_alive: head.keep_alive,
            http_10: head.http_10,
            body,
        }
    }

    /// Asks about the mock itself; such requests are not recorded.
    pub(crate) fn is_control(&self) -> bool {
        self.path.starts_with("/_mock/") || self.path == "/health"
    }
}

/// Everything an answer depends on besides the body.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a State,
    pub(crate) format: Format,
    pub(crate) behaviour: Behaviour,
    /// Unique among this mock's answers; ids and request ids are made of it.
    pub(crate) id: u64,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) keep_alive: bool,
    pub(crate) http_10: bool,
}

impl<'a> Context<'a> {
    pub(crate) fn new(state: &'a State, request: &Request<'_>, format: Format) -> Self {
        Self {
            state,
            format,
            behaviour: Behaviour::default(),
            id: state.next_id(),
            created: unix_seconds(),
            keep_alive: request.keep_alive,
            http_10: request.http_10,
        }
    }

    /// Takes the behaviour from the model name and the `x-mock` header (which wins), and refuses
    /// where it asks for a refusal.
    pub(crate) fn choose(&mut self, request: &Request<'_>, model: &str) -> Result<(), Refusal> {
        let has_suffix = memchr::memchr(b';', model.as_bytes()).is_some();
        if !has_suffix && request.mock.is_none() {
            return Ok(());
        }
        let mut behaviour = Behaviour::default();
        if has_suffix {
            behaviour.apply(model).map_err(|error| Refusal::bad_request(error.to_string()))?;
        }
        if let Some(mock) = request.mock {
            behaviour.apply(mock).map_err(|error| Refusal::bad_request(error.to_string()))?;
        }
        if behaviour.only.is_some() && behaviour.only.as_deref() != request.credential {
            return Ok(());
        }
        if behaviour.first.is_some() || behaviour.every.is_some() {
            let count = self.state.count(behaviour.id.as_deref().unwrap_or(model));
            let is_late = behaviour.first.is_some_and(|first| count > first);
            if is_late || behaviour.every.is_some_and(|every| !count.is_multiple_of(every)) {
                return Ok(());
            }
        }
        self.behaviour = behaviour;
        if let Some(expected) = &self.behaviour.credential {
            check_credential(request, expected)?;
        }
        match self.behaviour.status {
            // A page with a status of success is what a captive portal sends.
            Some(status) if status >= 400 || self.behaviour.html => {
                Err(Refusal::wished(status, model, self.behaviour.code.as_deref()))
            }
            _ => Ok(()),
        }
    }
}

/// Compares in the open: the mock guards nothing.
pub(crate) fn check_credential(request: &Request<'_>, expected: &str) -> Result<(), Refusal> {
    match request.credential {
        Some(presented) if presented == expected => Ok(()),
        presented => Err(Refusal::credential(presented)),
    }
}
