//! The end of every request: limits are settled, metrics counted, the access log written.

use std::time::{Duration, Instant, SystemTime};

use domain::{Micros, Usage};
use store::Kind;

use crate::ledger::End;
use crate::request::Record;
use crate::request_log::Ended;
use crate::routing::Repeatable;
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
    judge_repeated(record);
    end_reservation(record);
    if record.coalesced {
        // Unless the answer came to its end, and was counted then.
        record.save(Kind::Coalesced, record.outcome, Micros(0));
    }
    settle(record);
    let duration = record.started.elapsed();
    let seconds = duration.as_secs_f64();
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
        log(record, duration);
    }
    // Looks at our health are no requests of anybody.
    let is_somebodys = record.operation.is_some() || record.principal.is_some();
    if is_somebodys && !record.app.request_log.is_off() {
        let ended = ended(record, duration);
        record.app.request_log.append(ended);
    }
}

/// What another model answered than the chosen one says nothing of that one's predicted quality.
fn forget_route(record: &Record) {
    let (Some(decision), Some(principal)) = (&record.routed, &record.principal) else { return };
    let was_remembered = decision.chosen().is_some_and(|chosen| chosen.raw_quality.is_some());
    if !was_remembered || record.outcome == "ok" && !record.fallback {
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

/// Who asks the same again was not content with the answer before.
fn judge_repeated(record: &Record) {
    let (Some(Repeatable { key, score }), Some(principal)) = (record.repeatable, &record.principal) else {
        return;
    };
    let is_providers = record.attempts > 0 && !record.coalesced;
    if record.outcome != "ok" || !is_providers {
        return;
    }
    let app = &record.app;
    let earlier = app.repeats.answered(key, &record.request_id, record.started, Instant::now());
    if let Some(routed) = earlier.and_then(|earlier| app.calibrations.infer(principal, &earlier, score)) {
        app.metrics.feedback.repeated(&routed, score);
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
    let limits = record.principal.as_ref().and_then(|principal| principal.counters.limits.as_ref());
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

fn log(record: &Record, duration: Duration) {
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
        route: record.routed.as_ref().map(|decision| decision.text()),
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
        duration_us: micros(duration),
        ttft_us: record.ttft.map(micros),
        overhead_us: micros(record.overhead()),
        decision: record.routed.as_ref(),
    });
}

/// The last that is made of it: what it shares with others goes over instead of being counted once more.
fn ended(record: &mut Record, duration: Duration) -> Ended {
    let cost = record.cost();
    Ended {
        request_id: std::mem::take(&mut record.request_id),
        started: record.started,
        duration,
        first_token: record.ttft,
        principal: record.principal.take(),
        model: record.model.take(),
        deployment: record.deployment.take(),
        operation: record.operation,
        cache: record.cache,
        status: record.status,
        attempts: record.attempts,
        outcome: record.outcome,
        usage: record.usage,
        cost,
    }
}

/// RFC 3339 in UTC with milliseconds.
fn rfc3339(now: SystemTime) -> String {
    humantime::format_rfc3339_millis(now).to_string()
}
