//! The end of every request: limits are settled, metrics counted, the access log written.

use std::time::{Duration, Instant, SystemTime};

use domain::{Micros, Usage};
use store::{Kind, LoggedRequest};

use crate::ledger::{End, now_ms};
use crate::request::Record;
use crate::telemetry::AccessLine;
use crate::upstream::Deployment;

/// Records a request. Called once, from the record's drop.
pub fn run(record: &mut Record) {
    if record.request_id.is_empty() {
        // The connection ended before it carried a request.
        return;
    }
    if record.outcome.is_empty() {
        // The future was dropped: the process is going down, or the connection went away under it.
        record.outcome = "aborted";
        record.status = 499;
    }
    forget_route(record);
    end_reservation(record);
    if record.coalesced {
        // Unless the answer came to its end, and was counted then.
        record.save(Kind::Coalesced, record.outcome, Micros(0));
    }
    settle(record);
    let seconds = record.started.elapsed().as_secs_f64();
    let metrics = record.app.metrics;
    metrics.overhead.observe(record.overhead().as_secs_f64());
    match &record.deployment {
        Some(deployment) if record.outcome == "ok" => deployment.series.model.succeeded(seconds),
        _ => {
            let model = record.model.as_ref().map_or("", |model| model.name.as_str());
            metrics.request_failed(model, record.outcome, seconds);
        }
    }
    if let (Some(deployment), Some(usage)) = (&record.deployment, &record.usage) {
        deployment.series.used(usage, cost(deployment, usage));
        if record.outcome == "ok" && usage.completion > 0 {
            deployment.state.answered(usage.completion);
        }
    }
    for (deployment, usage) in &record.earlier {
        deployment.series.used(usage, cost(deployment, usage));
    }
    if record.coalesced {
        metrics.coalesced.inc();
    }
    if !record.app.access_log.is_off() {
        log(record);
    }
    let record = &*record;
    // Looks at our health are no requests of anybody.
    if record.operation.is_some() || record.principal.is_some() {
        record.app.request_log.append(|| logged(record));
    }
}

/// What another model answered than the chosen one says nothing of that one's predicted quality.
fn forget_route(record: &Record) {
    let (Some(decision), Some(principal)) = (&record.routed, &record.principal) else { return };
    if record.outcome == "ok" && !record.fallback {
        return;
    }
    let snapshot = record.app.snapshot.load();
    let chosen = decision.chosen().and_then(|chosen| snapshot.concrete(&chosen.model));
    let answered = record.deployment.as_ref().filter(|_| record.outcome == "ok");
    let is_chosens = answered.zip(chosen).is_some_and(|(answered, chosen)| {
        chosen.deployments.iter().any(|deployment| deployment.id == answered.id)
    });
    if !is_chosens {
        record.app.calibrations.forget(principal, &record.request_id);
    }
}

fn cost(deployment: &Deployment, usage: &Usage) -> Micros {
    deployment.cost(usage).unwrap_or_default()
}

/// An answer that ended without a settlement: with a count it is settled now, without one it stays open, to be shown as
/// unsettled. What never began to answer cost nothing.
fn end_reservation(record: &mut Record) {
    let Some(reservation) = record.reservation.take() else { return };
    match record.usage {
        Some(usage) => {
            let (outcome, counted) = (record.outcome, record.counted);
            reservation.settle(End { outcome, usage, counted, counts_request: true });
        }
        None if record.ttft.is_some() => reservation.leave_open(),
        None => reservation.abort(record.outcome),
    }
}

/// What was reserved becomes what was used. Without a count from the provider the estimate stands.
fn settle(record: &mut Record) {
    if let (Some(taken), Some(usage)) = (record.taken.take(), record.usage) {
        taken.settle(usage.total(), Instant::now());
    }
    let limits = record.principal.as_ref().and_then(|principal| principal.limits.as_ref());
    if let (Some(limits), Some(reserved)) = (limits, record.reserved) {
        let answered = record.outcome == "ok" || record.status == 200;
        let used = match record.tokens() {
            Some(tokens) => tokens,
            None if answered => reserved.tokens,
            None => 0,
        };
        limits.settle(Instant::now(), reserved, used);
    }
}

fn log(record: &Record) {
    let usage = record.usage.unwrap_or_default();
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    record.app.access_log.append(&AccessLine {
        time: rfc3339(SystemTime::now()),
        request_id: &record.request_id,
        trace_id: record.trace.as_ref().map(|trace| trace.trace_id.as_str()),
        key: record.principal.as_ref().map(|principal| &*principal.name),
        operation: record.operation.map(providers::Operation::as_str),
        model: record.model.as_ref().map(|model| model.name.as_str()),
        deployment: record.deployment.as_ref().map(|deployment| deployment.id.as_str()),
        route: record.routed.as_deref(),
        decision: record.routed.as_deref(),
        status: record.status,
        outcome: record.outcome,
        stream: record.stream,
        attempts: record.attempts,
        fallback: record.fallback,
        resumptions: record.resumptions,
        coalesced: record.coalesced,
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        cost_micros: record.cost().unwrap_or_default().0,
        duration_us: micros(record.started.elapsed()),
        ttft_us: record.ttft.map(micros),
        overhead_us: micros(record.overhead()),
    });
}

fn logged(record: &Record) -> LoggedRequest {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let principal = record.principal.as_deref();
    let deployment = record.deployment.as_deref();
    let duration_ms = millis(record.started.elapsed());
    LoggedRequest {
        request_id: record.request_id.clone(),
        at_ms: now_ms().saturating_sub_unsigned(duration_ms),
        key_id: text(principal.map(|principal| &*principal.id)),
        key_name: text(principal.map(|principal| &*principal.name)),
        team_id: text(principal.and_then(|principal| principal.team.as_deref())),
        user_id: text(principal.and_then(|principal| principal.user.as_deref())),
        operation: text(record.operation.map(providers::Operation::as_str)),
        model: text(record.model.as_ref().map(|model| model.name.as_str())),
        deployment: text(deployment.map(|deployment| deployment.id.as_str())),
        provider: text(deployment.map(|deployment| deployment.provider.name.as_str())),
        status: record.status,
        error: if record.outcome == "ok" { String::new() } else { record.outcome.to_owned() },
        cache: text(record.cache.map(crate::answer_cache::Mark::as_str)),
        attempts: record.attempts,
        duration_ms,
        first_token_ms: record.ttft.map(millis),
        usage: record.usage.unwrap_or_default(),
        cost: record.cost().unwrap_or_default(),
        tags: principal.map_or_else(Vec::new, |principal| principal.tags.to_vec()),
    }
}

/// RFC 3339 in UTC with milliseconds.
fn rfc3339(now: SystemTime) -> String {
    humantime::format_rfc3339_millis(now).to_string()
}
