//! The request log: what it lists, and how it forgets.

use domain::{Micros, Usage};
use store::{Erasure, LoggedRequest, RequestFilter};

use crate::databases::Place;
use crate::sample::{NOON, change};

on_both! {
    requests_are_listed_newest_first
    requests_are_erased_when_that_is_asked_for_and_come_back_from_no_queue
    retention_erases_more_rows_than_one_statement_takes
}

pub(super) fn request(id: &str, key: &str, user: &str, at_ms: i64) -> LoggedRequest {
    LoggedRequest {
        request_id: id.to_owned(),
        at_ms,
        key_id: key.to_owned(),
        user_id: user.to_owned(),
        operation: "chat".to_owned(),
        status: 200,
        attempts: 2,
        duration_ms: 840,
        first_token_ms: Some(120),
        usage: Usage { prompt: 9, completion: 3, ..Usage::default() },
        cost: Micros(12),
        tags: vec!["batch".to_owned()],
        ..LoggedRequest::default()
    }
}

async fn requests_are_listed_newest_first(place: &Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..5).map(|n| request(&format!("r{n}"), "k1", "u1", NOON + n / 2)).collect();
    let log = store.request_log();
    log.append(&rows).await.unwrap();
    log.append(&rows).await.unwrap();
    log.append(&[request("x", "k2", "u2", NOON)]).await.unwrap();
    let of_key = RequestFilter { key_id: Some("k1".to_owned()), ..RequestFilter::default() };
    let newest = log.list(&of_key, 3).await.unwrap();
    assert_eq!(newest, [rows[4].clone(), rows[3].clone(), rows[2].clone()]);
    let older = RequestFilter { before: Some((newest[2].at_ms, newest[2].request_id.clone())), ..of_key };
    let rest = log.list(&older, 9).await.unwrap();
    assert_eq!(rest, [rows[1].clone(), rows[0].clone()]);
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap().len(), 6);
}

async fn requests_are_erased_when_that_is_asked_for_and_come_back_from_no_queue(place: &Place) {
    let store = place.open().await;
    let log = store.request_log();
    let rows = [("r1", "k1", "u1"), ("r2", "k1", "u2"), ("r3", "k2", "u1"), ("r4", "k2", "u2")];
    let rows = rows.map(|(id, key, user)| request(id, key, user, NOON));
    log.append(&rows).await.unwrap();
    let of_user = Erasure { user_id: Some("u2".to_owned()), ..Erasure::default() };
    assert_eq!(store.erasures().erase(&of_user, &change()).await.unwrap().requests, 0);
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap().len(), 4);
    let of_user = Erasure { requests: true, ..of_user };
    assert_eq!(store.erasures().erase(&of_user, &change()).await.unwrap().requests, 2);
    log.append(&rows).await.unwrap();
    let left = log.list(&RequestFilter::default(), 9).await.unwrap();
    assert_eq!(left.iter().map(|row| row.request_id.as_str()).collect::<Vec<_>>(), ["r3", "r1"]);
    log.append(&[request("later", "k1", "u2", NOON + 1)]).await.unwrap();
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap()[0].request_id, "later");
}

async fn retention_erases_more_rows_than_one_statement_takes(place: &Place) {
    let store = place.open().await;
    let log = store.request_log();
    let rows: Vec<_> = (0..2_300).map(|n| request(&format!("{n:04}"), "k1", "u1", NOON + n)).collect();
    log.append(&rows).await.unwrap();
    assert_eq!(log.erase_before(NOON + 2_100).await.unwrap(), 2_100);
    assert_eq!(log.list(&RequestFilter::default(), 1_000).await.unwrap().len(), 200);
}
