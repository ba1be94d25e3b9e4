//! LiteLLM's words for the settings of a key, in both directions. Its keys have one budget at most; one without a duration
//! is never filled up again.

use std::time::{Duration, Instant};

use domain::Micros;
use serde_json::{Map, Value, json};
use store::VirtualKey;

use super::super::fault::Fault;
use crate::keys::settings::date;
use crate::keys::{Allowed, Principal};
use crate::ledger::now_ms;

const DAY: u64 = 86_400;
/// A window that does not end in anybody's time: a hundred years.
const FOREVER_MS: u64 = 36_500 * DAY * 1_000;
/// What means every model to LiteLLM.
const EVERY_MODEL: [&str; 2] = ["all-proxy-models", "all-team-models"];
/// Their words and ours for what needs no conversion.
const SAME: [(&str, &str); 10] = [
    ("key_alias", "name"),
    ("models", "models"),
    ("rpm_limit", "rpm"),
    ("tpm_limit", "tpm"),
    ("max_parallel_requests", "max_parallel"),
    ("metadata", "metadata"),
    ("team_id", "team_id"),
    ("organization_id", "organization_id"),
    ("user_id", "user_id"),
    ("tags", "tags"),
];

/// A body's settings as a change of ours. What is not known here is refused unless it is empty: a restriction that is
/// silently dropped would open what its caller wants closed.
pub(super) fn change(mut body: Map<String, Value>, key: &VirtualKey) -> Result<Map<String, Value>, Fault> {
    let mut change = Map::new();
    for (theirs, ours) in SAME {
        if let Some(value) = body.remove(theirs) {
            change.insert(ours.to_owned(), value);
        }
    }
    if let Some(blocked) = body.remove("blocked").filter(|it| !it.is_null()) {
        change.insert("blocked".to_owned(), blocked);
    }
    // No alias is no name: the key keeps the one it has.
    if change.get("name").is_some_and(Value::is_null) {
        change.remove("name");
    }
    if let Some(models) = change.get_mut("models").and_then(Value::as_array_mut)
        && models.iter().filter_map(Value::as_str).any(|name| EVERY_MODEL.contains(&name))
    {
        models.clear();
    }
    if let Some(text) = body.remove("duration") {
        change.insert("expires_at".to_owned(), expiry(&text)?);
    }
    let budget = ["max_budget", "soft_budget", "budget_duration"].map(|name| body.remove(name));
    if budget.iter().any(Option::is_some) {
        change.insert("budgets".to_owned(), budgets(budget, key)?);
    }
    match body.iter().find(|(_, value)| !is_empty(value)) {
        None => Ok(change),
        Some((name, _)) => {
            Err(Fault::invalid(Some(name), format!("`{name}` is not known here: leave it out.")))
        }
    }
}

/// Null, false, nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// `30s`, `30m`, `30h`, `30d`, `2w`, `1mo`, a month being thirty days.
pub(super) fn duration(value: &Value) -> Option<Duration> {
    let text = value.as_str()?;
    let split = text.find(|it: char| !it.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => DAY,
        "w" => 7 * DAY,
        "mo" => 30 * DAY,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

pub(super) fn no_duration(name: &str) -> Fault {
    Fault::invalid(Some(name), format!("`{name}` is no duration: write a number and s, m, h, d, w or mo."))
}

fn expiry(text: &Value) -> Result<Value, Fault> {
    if is_empty(text) {
        return Ok(Value::Null);
    }
    let span = duration(text).ok_or_else(|| no_duration("duration"))?;
    let until = now_ms().saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2));
    Ok(date(until).into())
}

/// What is left out stays as the key has it.
fn budgets([max, soft, period]: [Option<Value>; 3], key: &VirtualKey) -> Result<Value, Fault> {
    let present = key.budgets.first();
    let figure = |value: Option<Value>, name: &str, otherwise: Option<f64>| match value {
        None => Ok(otherwise),
        Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| Fault::invalid(Some(name), format!("`{name}` is a number of dollars."))),
    };
    let usd = figure(max, "max_budget", present.map(|budget| budget.limit.usd()))?;
    let soft_usd = figure(soft, "soft_budget", present.and_then(soft_of).map(Micros::usd))?;
    let Some(usd) = usd else { return Ok(json!([])) };
    let period_ms = match period {
        None => present.map_or(FOREVER_MS, |budget| budget.period_ms),
        Some(Value::Null) => FOREVER_MS,
        Some(text) => {
            let span = duration(&text).ok_or_else(|| no_duration("budget_duration"))?;
            u64::try_from(span.as_millis()).unwrap_or(FOREVER_MS)
        }
    };
    let (limit, soft) = (Micros::from_usd(usd).0.max(1), soft_usd.map(|usd| Micros::from_usd(usd).0));
    let percent = soft.map(|soft| (soft.saturating_mul(100) / limit).clamp(1, 100));
    Ok(json!([{"usd": usd, "per": format!("{period_ms}ms"), "alert_percent": percent}]))
}

fn soft_of(budget: &store::Budget) -> Option<Micros> {
    Some(Micros(budget.limit.0 / 100 * u64::from(budget.alert_percent?)))
}

/// A key in LiteLLM's words, without its secret.
pub(super) fn view(key: &VirtualKey) -> Map<String, Value> {
    let budget = key.budgets.first();
    let period = budget.map(|budget| budget.period_ms).filter(|period| *period < FOREVER_MS);
    let view = json!({
        "token": key.id, "token_id": key.id,
        "key_name": format!("sk-...{}", key.display_suffix),
        "key_alias": key.name,
        "models": key.models,
        "max_budget": budget.map(|budget| budget.limit.usd()),
        "soft_budget": budget.and_then(soft_of).map(Micros::usd),
        "budget_duration": period.map(period_text),
        "rpm_limit": key.rpm, "tpm_limit": key.tpm, "max_parallel_requests": key.max_parallel,
        "metadata": key.metadata, "tags": key.tags,
        "team_id": key.team_id, "organization_id": key.organization_id, "user_id": key.user_id,
        "blocked": key.blocked,
        "expires": key.expires_at_ms.map(date),
        "created_at": date(key.created_at_ms), "updated_at": date(key.updated_at_ms),
    });
    match view {
        Value::Object(view) => view,
        _ => Map::new(),
    }
}

/// A key of the configuration, which has no row.
pub(super) fn view_of_configuration(principal: &Principal) -> Map<String, Value> {
    let models = match &principal.allowed {
        Allowed::EveryPublicModel => Vec::new(),
        Allowed::Listed(names) => names.to_vec(),
    };
    let limits = principal.counters.limits.as_ref().map(|limits| limits.left(Instant::now()));
    let view = json!({
        "token": &*principal.id, "token_id": &*principal.id,
        "key_name": &*principal.name, "key_alias": &*principal.name,
        "models": models,
        "max_budget": null, "soft_budget": null, "budget_duration": null,
        "rpm_limit": limits.and_then(|limits| limits.requests).map(|(limit, _)| limit),
        "tpm_limit": limits.and_then(|limits| limits.tokens).map(|(limit, _)| limit),
        "max_parallel_requests": null,
        "metadata": {}, "tags": &*principal.tags,
        "team_id": principal.team.as_deref(), "organization_id": principal.organization.as_deref(),
        "user_id": principal.user.as_deref(),
        "blocked": false, "expires": null, "created_at": null, "updated_at": null,
    });
    match view {
        Value::Object(view) => view,
        _ => Map::new(),
    }
}

fn period_text(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        seconds if seconds % DAY == 0 => format!("{}d", seconds / DAY),
        seconds if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(body: Value) -> Result<Map<String, Value>, Fault> {
        let Value::Object(body) = body else { panic!("no object") };
        change(body, &VirtualKey::default())
    }

    #[test]
    fn settings_are_translated_and_empty_ones_of_others_dropped() {
        let body = json!({"rpm_limit": 5, "max_budget": 2.5, "soft_budget": 1, "budget_duration": "1mo",
            "models": ["all-proxy-models"], "permissions": {}, "guardrails": null});
        let change = changed(body).unwrap();
        assert_eq!((&change["rpm"], &change["models"]), (&json!(5), &json!([])));
        assert_eq!(change["budgets"], json!([{"usd": 2.5, "per": "2592000000ms", "alert_percent": 40}]));
    }

    #[test]
    fn a_restriction_that_is_not_known_is_refused() {
        assert!(changed(json!({"guardrails": ["no-secrets"]})).is_err());
        assert!(changed(json!({"duration": "30 days"})).is_err());
    }
}
