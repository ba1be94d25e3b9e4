//! The request log: metadata, contents, erasing.

use domain::{Micros, Usage};
use store::{Contents, Erase, LoggedRequest, RequestFilter};

use crate::databases::Place;
use crate::sample::NOON;

on_both! {
    requests_are_listed_newest_first_without_contents
    contents_are_erased_by_key_and_user_and_requests_too
    retention_erases_more_rows_than_one_statement_takes
}

fn request(id: &str, key: &str, user: &str, at_ms: i64) -> LoggedRequest {
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

fn contents() -> Contents {
    Contents { encryption_key_id: "2026-01".to_owned(), prompt: Some(vec![0, 1, 255]), answer: None }
}

async fn requests_are_listed_newest_first_without_contents(place: &Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..5).map(|n| request(&format!("r{n}"), "k1", "u1", NOON + n / 2)).collect();
    let batch: Vec<_> = rows.iter().map(|row| (row.clone(), None)).collect();
    let log = store.request_log();
    log.append(&batch).await.unwrap();
    log.append(&batch).await.unwrap();
    log.append(&[(request("x", "k2", "u2", NOON), None)]).await.unwrap();
    let of_key = RequestFilter { key_id: Some("k1".to_owned()), ..RequestFilter::default() };
    let newest = log.list(&of_key, 3).await.unwrap();
    assert_eq!(newest, [rows[4].clone(), rows[3].clone(), rows[2].clone()]);
    let older = RequestFilter { before: Some((newest[2].at_ms, newest[2].request_id.clone())), ..of_key };
    let rest = log.list(&older, 9).await.unwrap();
    assert_eq!(rest, [rows[1].clone(), rows[0].clone()]);
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap().len(), 6);
    assert_eq!(log.contents("r1").await.unwrap(), None);
}

async fn contents_are_erased_by_key_and_user_and_requests_too(place: &Place) {
    let store = place.open().await;
    let log = store.request_log();
    let rows = [("r1", "k1", "u1"), ("r2", "k1", "u2"), ("r3", "k2", "u1"), ("r4", "k2", "u2")];
    let batch: Vec<_> =
        rows.iter().map(|(id, key, user)| (request(id, key, user, NOON), Some(contents()))).collect();
    log.append(&batch).await.unwrap();
    assert_eq!(log.contents("r1").await.unwrap(), Some(contents()));
    assert_eq!(log.erase(Erase::ContentsOfKey("k1")).await.unwrap(), 2);
    assert_eq!(log.contents("r1").await.unwrap(), None);
    assert_eq!(log.erase(Erase::ContentsOfUser("u1")).await.unwrap(), 1);
    assert_eq!(log.contents("r3").await.unwrap(), None);
    assert_eq!(log.contents("r4").await.unwrap(), Some(contents()));
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap().len(), 4);
    assert_eq!(log.erase(Erase::RequestsOfUser("u2")).await.unwrap(), 2);
    assert_eq!(log.erase(Erase::RequestsOfKey("k1")).await.unwrap(), 1);
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap()[0].request_id, "r3");
}

async fn retention_erases_more_rows_than_one_statement_takes(place: &Place) {
    let store = place.open().await;
    let log = store.request_log();
    let batch: Vec<_> =
        (0..2_300).map(|n| (request(&format!("{n:04}"), "k1", "u1", NOON + n), Some(contents()))).collect();
    log.append(&batch).await.unwrap();
    assert_eq!(log.erase(Erase::ContentsBefore(NOON + 2_200)).await.unwrap(), 2_200);
    assert_eq!(log.contents("2199").await.unwrap(), None);
    assert_eq!(log.contents("2200").await.unwrap(), Some(contents()));
    assert_eq!(log.erase(Erase::RequestsBefore(NOON + 2_100)).await.unwrap(), 2_100);
    assert_eq!(log.list(&RequestFilter::default(), 1_000).await.unwrap().len(), 200);
}
