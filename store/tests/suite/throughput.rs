//! Prints how quickly the ledger and the request log take what they are given, and answer; asserts that they arrive, not how fast.
//! `cargo test --release -p store throughput -- --nocapture`; STORE_ENTRIES sets their number.

use std::time::Instant;

use domain::{Micros, Usage};
use store::{LoggedRequest, Owner, RequestBlock, RequestFilter};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, batch, settled, subject};

on_both! {
    throughput_of_the_ledger
    throughput_of_the_request_log
}

fn count() -> i64 {
    std::env::var_os("STORE_ENTRIES").map_or(4_000, |text| text.to_str().unwrap().parse().unwrap())
}

async fn throughput_of_the_ledger(place: &Place) {
    let store = place.open().await;
    let count = count();
    // Over thirty days, twenty keys and four models; ids as random as real ones.
    let subjects: Vec<_> =
        (0..20).map(|number| subject(&format!("k{number}"), &format!("m{}", number % 4))).collect();
    let entry = |number: i64| {
        let mut entry =
            settled(&format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed())));
        entry.at_ms = NOON + number * 30 * 24 * HOUR / count;
        entry.subject = subjects[usize::try_from(number % 20).unwrap()].clone();
        entry
    };
    let mut seconds = 0.0;
    for first in (0..count).step_by(1_000) {
        let entries: Vec<_> = (first..count.min(first + 1_000)).map(entry).collect();
        let batch = batch(&entries);
        let started = Instant::now();
        store.ledger().apply(&batch).await.unwrap();
        seconds += started.elapsed().as_secs_f64();
    }
    let database = if place.is_sqlite() { "SQLite" } else { "PostgreSQL" };
    println!("{database}: {count} settled at {:.0}/s", float(count) / seconds);
    let mut cost = Micros(0);
    let started = Instant::now();
    for number in 0..20 {
        let key = format!("k{number}");
        cost +=
            store.ledger().spend(Owner::Key(&key), NOON + 60_000, NOON + 30 * 24 * HOUR).await.unwrap().cost;
    }
    println!(
        "{database}: a key's spend of 30 days in {:.2} ms",
        started.elapsed().as_secs_f64() * 1_000.0 / 20.0
    );
    // Entries of the first minute are too early for that window.
    let early = (0..count).filter(|number| number * 30 * 24 * HOUR / count < 60_000).count() as u64;
    assert_eq!(cost, Micros((u64::try_from(count).unwrap() - early) * 150));
    let started = Instant::now();
    assert_eq!(store.ledger().reconcile(NOON, NOON + 31 * 24 * HOUR).await.unwrap().differences, []);
    println!("{database}: reconciled in {:.0} ms", started.elapsed().as_secs_f64() * 1_000.0);
}

fn float(count: i64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

async fn throughput_of_the_request_log(place: &Place) {
    let store = place.open().await;
    let count = count();
    let subjects: Vec<_> =
        (0..20).map(|number| subject(&format!("k{number}"), &format!("m{}", number % 4))).collect();
    let request = |number: i64| {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
        let at_ms = NOON + number;
        LoggedRequest {
            request_id: format!("req_{at_ms:012x}{:012x}", random & 0xffff_ffff_ffff),
            at_ms,
            subject: subjects[usize::try_from(number % 20).unwrap()].clone(),
            operation: "chat".into(),
            status: 200,
            cache: "miss".into(),
            attempts: 1,
            duration_ms: 500 + (random & 0xfff).unsigned_abs(),
            first_token_ms: Some(200 + (random & 0xff).unsigned_abs()),
            usage: Usage {
                prompt: 300 + (random & 0x3ff).unsigned_abs(),
                completion: 100 + (random & 0xff).unsigned_abs(),
                ..Usage::default()
            },
            cost: Micros(40 + (random & 0x3ff).unsigned_abs()),
            ..LoggedRequest::default()
        }
    };
    let (mut packed, mut appended) = (0.0, 0.0);
    for first in (0..count).step_by(1_000) {
        let requests: Vec<_> = (first..count.min(first + 1_000)).map(request).collect();
        let started = Instant::now();
        let blocks = RequestBlock::of(requests).unwrap();
        packed += started.elapsed().as_secs_f64();
        let started = Instant::now();
        store.request_log().append(&blocks).await.unwrap();
        appended += started.elapsed().as_secs_f64();
    }
    let database = if place.is_sqlite() { "SQLite" } else { "PostgreSQL" };
    let micros = |seconds: f64| seconds * 1e6 / float(count);
    let sql = "SELECT CAST(SUM(LENGTH(data) + LENGTH(names) + LENGTH(ids)) AS BIGINT) FROM request_blocks";
    let bytes = float(super::request_log::count(place, sql).await) / float(count);
    println!(
        "{database}: {count} requests packed in {:.2} µs and appended in {:.2} µs each, {bytes:.1} bytes each",
        micros(packed),
        micros(appended)
    );
    let search = async |what: &str, filter: RequestFilter| {
        let started = Instant::now();
        let page = store.request_log().list(&filter, 100).await.unwrap();
        println!("{database}: {what} in {:.2} ms", started.elapsed().as_secs_f64() * 1_000.0);
        page.requests.len()
    };
    assert_eq!(search("the newest hundred", RequestFilter::default()).await, 100);
    let id = request(count / 2).request_id;
    let of_id = RequestFilter { request_id: Some(id), ..RequestFilter::default() };
    assert_eq!(search("a request by its id", of_id).await, 1);
    let of_key = RequestFilter { key_id: Some("k7".to_owned()), ..RequestFilter::default() };
    assert_eq!(search("the newest hundred of a key", of_key).await, 100);
    let failed = RequestFilter { status: Some(500), ..RequestFilter::default() };
    assert_eq!(search("those that failed", failed).await, 0);
}
