//! A provider's refusal of the request itself, kept for a moment: asked again it would be the same.

use bytes::Bytes;
use cache::exact::{Entry, Flags};
use providers::ProviderError;
use serde::{Deserialize, Serialize};

use crate::error::{GatewayError, Rejection};

/// Statuses that say something of the request, and nothing of who asks, when, or how often.
const OF_THE_REQUEST: [u16; 6] = [400, 404, 405, 413, 415, 422];

#[derive(Serialize, Deserialize)]
struct Written {
    message: String,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
    context_length: bool,
    body: Option<String>,
}

/// The refusal that an error is, as it is kept; None when another time there may be an answer.
pub(super) fn kept(error: &GatewayError, now_ms: u64, ttl_ms: u64) -> Option<Entry> {
    let GatewayError::Rejected(rejection) = error else { return None };
    let Rejection { status, error, body } = &**rejection;
    if ttl_ms == 0 || !OF_THE_REQUEST.contains(status) {
        return None;
    }
    let written = Written {
        message: error.message.clone(),
        kind: error.kind.clone(),
        code: error.code.clone(),
        param: error.param.clone(),
        context_length: error.context_length,
        body: body.as_ref().and_then(|body| String::from_utf8(body.to_vec()).ok()),
    };
    let until_ms = now_ms.saturating_add(ttl_ms);
    Some(Entry {
        created_ms: now_ms,
        fresh_until_ms: until_ms,
        stale_until_ms: until_ms,
        flags: Flags::REFUSED,
        status: *status,
        usage: domain::Usage::default(),
        cost: domain::Micros(0),
        origin: Box::default(),
        pieces: vec![Bytes::from(serde_json::to_vec(&written).ok()?)],
    })
}

/// The refusal that is kept; None for an answer.
pub fn read(entry: &Entry) -> Option<GatewayError> {
    if !entry.flags.contain(Flags::REFUSED) {
        return None;
    }
    let written: Written = serde_json::from_slice(&entry.pieces.concat()).ok()?;
    let Written { message, kind, code, param, context_length, body } = written;
    let error = ProviderError { message, kind, code, param, context_length, ..ProviderError::default() };
    let rejection = Rejection { status: entry.status, error, body: body.map(Bytes::from) };
    Some(GatewayError::Rejected(Box::new(rejection)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(status: u16) -> GatewayError {
        let error = ProviderError {
            message: "no such field".into(),
            param: Some("top_q".into()),
            ..ProviderError::default()
        };
        GatewayError::Rejected(Box::new(Rejection { status, error, body: Some(Bytes::from_static(b"{}")) }))
    }

    #[test]
    fn a_refusal_is_the_same_when_it_comes_back() {
        let entry = kept(&rejected(422), 1_000, 500).unwrap();
        assert_eq!((entry.fresh_until_ms, entry.stale_until_ms, entry.status), (1_500, 1_500, 422));
        let Some(GatewayError::Rejected(again)) = read(&entry) else { panic!("nothing came back") };
        assert_eq!((again.status, again.error.message.as_str()), (422, "no such field"));
        assert_eq!((again.error.param.as_deref(), again.body.as_deref()), (Some("top_q"), Some(&b"{}"[..])));
    }

    #[test]
    fn what_may_pass_is_not_kept() {
        for status in [401, 402, 403, 408, 409, 425, 429, 500, 503] {
            assert!(kept(&rejected(status), 0, 500).is_none(), "{status}");
        }
        assert!(kept(&rejected(400), 0, 0).is_none());
        assert!(kept(&GatewayError::Overloaded, 0, 500).is_none());
    }
}
