//! Anthropic's `cache_control`, which clients of OpenAI's format write too when they mean Claude.

use serde_json::{Map, Value, json};

use crate::canonical::CachePoint;
use crate::fields::take;

/// Takes `cache_control` out of what it stands beside. It is a hint: one that cannot be read is none.
pub(crate) fn take_cache_point(map: &mut Map<String, Value>) -> Option<CachePoint> {
    match take(map, "cache_control") {
        Some(Value::Object(control)) => {
            Some(CachePoint { ttl: control.get("ttl").and_then(Value::as_str).map(str::to_owned) })
        }
        _ => None,
    }
}

/// The value of `cache_control`.
pub(crate) fn cache_control(point: &CachePoint) -> Value {
    match &point.ttl {
        Some(ttl) => json!({ "type": "ephemeral", "ttl": ttl }),
        None => json!({ "type": "ephemeral" }),
    }
}
