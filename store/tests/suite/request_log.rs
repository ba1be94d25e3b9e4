//! The request log: what it lists, how it forgets, and what becomes of rows and blocks.

use std::sync::Arc;

use domain::{Micros, Usage};
use store::{Erasure, LoggedRequest, RequestBlock, RequestFilter, Store, Subject};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, change};

on_both! {
    requests_are_listed_newest_first
    pages_of_blocks_that_overlap_have_each_request_once_and_in_order
    each_filter_finds_what_fits_and_nothing_else
    a_search_that_finds_little_ends_after_some_blocks_and_is_continued
    requests_are_erased_when_that_is_asked_for_and_come_back_from_no_queue
    requests_are_erased_out_of_blocks_by_key_team_user_request_and_time
    retention_erases_to_the_millisecond_and_mostly_whole_blocks
    rows_of_older_versions_are_moved_into_blocks
    small_blocks_of_an_hour_are_joined_and_nothing_is_lost
    joining_brings_nothing_back_that_was_erased
    a_block_that_is_appended_again_after_a_failure_is_there_once
}

pub(super) fn request(id: &str, key: &str, user: &str, at_ms: i64) -> LoggedRequest {
    LoggedRequest {
        request_id: id.to_owned(),
        at_ms,
        subject: Arc::new(Subject {
            key_id: key.to_owned(),
            key_name: format!("name of {key}"),
            user_id: user.to_owned(),
            tags: vec!["batch".to_owned()],
            ..Subject::default()
        }),
        operation: "chat".into(),
        status: 200,
        attempts: 2,
        duration_ms: 840,
        first_token_ms: Some(120),
        usage: Usage { prompt: 9, completion: 3, ..Usage::default() },
        cost: Micros(12),
        ..LoggedRequest::default()
    }
}

pub(super) async fn append(store: &Store, requests: &[LoggedRequest]) {
    store.request_log().append(&RequestBlock::of(requests.to_vec()).unwrap()).await.unwrap();
}

/// All that match, page by page, and how many pages that were.
async fn all(store: &Store, filter: &RequestFilter, limit: u32) -> (Vec<LoggedRequest>, usize) {
    let (mut found, mut pages, mut filter) = (Vec::new(), 0, filter.clone());
    loop {
        let page = store.request_log().list(&filter, limit).await.unwrap();
        assert!(page.requests.len() <= limit as usize);
        found.extend(page.requests);
        pages += 1;
        if page.next.is_none() {
            return (found, pages);
        }
        assert!(filter.before.is_none() || page.next < filter.before, "it goes on: {:?}", page.next);
        filter.before = page.next;
    }
}

fn ids(requests: &[LoggedRequest]) -> Vec<&str> {
    requests.iter().map(|request| request.request_id.as_str()).collect()
}

async fn left(store: &Store) -> Vec<String> {
    let (found, _) = all(store, &RequestFilter::default(), 1_000).await;
    found.into_iter().map(|request| request.request_id).collect()
}

pub(super) async fn count(place: &Place, sql: &'static str) -> i64 {
    use sqlx::{Connection as _, Row as _};
    if place.is_sqlite() {
        let mut connection = sqlx::SqliteConnection::connect(&place.url).await.unwrap();
        sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0)
    } else {
        let mut connection = sqlx::PgConnection::connect(&place.url).await.unwrap();
        sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0)
    }
}

async fn blocks(place: &Place) -> i64 {
    count(place, "SELECT COUNT(*) FROM request_blocks").await
}

async fn requests_are_listed_newest_first(place: &Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..5).map(|n| request(&format!("r{n}"), "k1", "u1", NOON + n / 2)).collect();
    let log = store.request_log();
    append(&store, &rows).await;
    append(&store, &[request("x", "k2", "u2", NOON)]).await;
    let of_key = RequestFilter { key_id: Some("k1".to_owned()), ..RequestFilter::default() };
    let newest = log.list(&of_key, 3).await.unwrap();
    assert_eq!(newest.requests, [rows[4].clone(), rows[3].clone(), rows[2].clone()]);
    let older = RequestFilter { before: newest.next, ..of_key };
    let rest = log.list(&older, 9).await.unwrap();
    assert_eq!((rest.requests, rest.next), (vec![rows[1].clone(), rows[0].clone()], None));
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap().requests.len(), 6);
    assert_eq!(log.list(&RequestFilter::default(), 0).await.unwrap().requests, []);
}

async fn pages_of_blocks_that_overlap_have_each_request_once_and_in_order(place: &Place) {
    let store = place.open().await;
    // Each writing has requests that ended then, of which some took up to ten minutes.
    let mut rows = Vec::new();
    for writing in 0..40_i64 {
        let ended = NOON + writing * 7_000;
        let batch: Vec<_> = (0..9_i64)
            .map(|n| {
                let took = (writing * 9 + n) * 7_919 % if n == 0 { 600_000 } else { 20_000 };
                request(&format!("r{writing}-{n}"), "k1", "u1", ended - took)
            })
            .collect();
        append(&store, &batch).await;
        rows.extend(batch);
    }
    rows.sort_by(|one, other| (other.at_ms, &other.request_id).cmp(&(one.at_ms, &one.request_id)));
    for limit in [1_000, 50, 7] {
        let (found, _) = all(&store, &RequestFilter::default(), limit).await;
        assert_eq!(ids(&found), ids(&rows), "{limit}");
    }
    let (from_ms, to_ms) = (Some(rows[300].at_ms), Some(rows[100].at_ms));
    let window = RequestFilter { from_ms, to_ms, ..RequestFilter::default() };
    let within: Vec<_> =
        rows.iter().filter(|row| Some(row.at_ms) >= from_ms && Some(row.at_ms) < to_ms).cloned().collect();
    assert_eq!(all(&store, &window, 11).await.0, within);
}

async fn each_filter_finds_what_fits_and_nothing_else(place: &Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..24_i64)
        .map(|n| {
            let mut row = request(&format!("r{n:02}"), &format!("k{}", n % 2), "u1", NOON + n * 60_000);
            let subject = Arc::make_mut(&mut row.subject);
            subject.team_id = format!("t{}", n % 3);
            subject.user_id = format!("u{}", n % 4);
            subject.model = format!("m{}", n % 6);
            row.status = 200 + u16::try_from(n % 8).unwrap();
            row
        })
        .collect();
    append(&store, &rows).await;
    assert_eq!(blocks(place).await, 24, "a block for each minute");
    let named = |text: &str| Some(text.to_owned());
    let none = RequestFilter::default();
    for (filter, wanted) in [
        (RequestFilter { key_id: named("k1"), ..none.clone() }, 12),
        (RequestFilter { team_id: named("t2"), ..none.clone() }, 8),
        (RequestFilter { user_id: named("u3"), ..none.clone() }, 6),
        (RequestFilter { model: named("m5"), ..none.clone() }, 4),
        (RequestFilter { status: Some(207), ..none.clone() }, 3),
        (RequestFilter { request_id: named("r11"), ..none.clone() }, 1),
        (RequestFilter { request_id: named("r11"), key_id: named("k0"), ..none.clone() }, 0),
        (RequestFilter { key_id: named("k9"), ..none.clone() }, 0),
    ] {
        let (found, _) = all(&store, &filter, 5).await;
        assert_eq!(found.len(), wanted, "{filter:?}: {:?}", ids(&found));
    }
    assert_eq!(store.request_log().list(&none, 24).await.unwrap().requests[0], rows[23], "all that it had");
}

async fn a_search_that_finds_little_ends_after_some_blocks_and_is_continued(place: &Place) {
    let store = place.open().await;
    // Each block has the key and the model, but no request has both.
    for hour in 0..150_i64 {
        let mut other = request(&format!("b{hour}"), "k2", "u1", NOON + hour * HOUR + 1);
        Arc::make_mut(&mut other.subject).model = "large".to_owned();
        append(&store, &[request(&format!("a{hour}"), "k1", "u1", NOON + hour * HOUR), other]).await;
    }
    let mut oldest = request("wanted", "k1", "u1", NOON - HOUR);
    Arc::make_mut(&mut oldest.subject).model = "large".to_owned();
    append(&store, std::slice::from_ref(&oldest)).await;
    let filter = RequestFilter {
        key_id: Some("k1".to_owned()),
        model: Some("large".to_owned()),
        ..RequestFilter::default()
    };
    let first = store.request_log().list(&filter, 10).await.unwrap();
    assert!(first.requests.is_empty() && first.next.is_some(), "{first:?}");
    let (found, pages) = all(&store, &filter, 10).await;
    assert_eq!((found, pages), (vec![oldest], 3));
}

async fn requests_are_erased_when_that_is_asked_for_and_come_back_from_no_queue(place: &Place) {
    let store = place.open().await;
    let rows = [("r1", "k1", "u1"), ("r2", "k1", "u2"), ("r3", "k2", "u1"), ("r4", "k2", "u2")];
    let rows = rows.map(|(id, key, user)| request(id, key, user, NOON));
    append(&store, &rows).await;
    let of_user = Erasure { user_id: Some("u2".to_owned()), ..Erasure::default() };
    assert_eq!(store.erasures().erase(&of_user, &change()).await.unwrap().requests, 0);
    assert_eq!(left(&store).await.len(), 4);
    let of_user = Erasure { requests: true, ..of_user };
    assert_eq!(store.erasures().erase(&of_user, &change()).await.unwrap().requests, 2);
    append(&store, &rows[1..2]).await;
    append(&store, &[request("r5", "k3", "u3", NOON), rows[3].clone()]).await;
    assert_eq!(left(&store).await, ["r5", "r3", "r1"]);
    append(&store, &[request("later", "k1", "u2", NOON + 1)]).await;
    assert_eq!(left(&store).await[0], "later");
}

async fn requests_are_erased_out_of_blocks_by_key_team_user_request_and_time(place: &Place) {
    let store = place.open().await;
    let mut rows: Vec<_> =
        (0..10_i64).map(|n| request(&format!("r{n}"), "k1", "u1", NOON + n * 1_000)).collect();
    Arc::make_mut(&mut rows[1].subject).key_id = "k2".to_owned();
    Arc::make_mut(&mut rows[2].subject).team_id = "red".to_owned();
    Arc::make_mut(&mut rows[3].subject).user_id = "ada".to_owned();
    append(&store, &rows).await;
    append(&store, &[request("far", "k1", "u1", NOON - 3 * HOUR)]).await;
    let some = |text: &str| Some(text.to_owned());
    let none = Erasure { requests: true, ..Erasure::default() };
    for (what, erased, lives) in [
        (Erasure { key_id: some("k2"), ..none.clone() }, 1, 10),
        (Erasure { key_id: some("k2"), ..none.clone() }, 0, 10),
        (Erasure { team_id: some("red"), ..none.clone() }, 1, 9),
        (Erasure { user_id: some("ada"), key_id: some("k9"), ..none.clone() }, 0, 9),
        (Erasure { user_id: some("ada"), ..none.clone() }, 1, 8),
        (Erasure { request_id: some("r4"), ..none.clone() }, 1, 7),
        (Erasure { key_id: some("k1"), before_ms: Some(NOON), ..none.clone() }, 1, 6),
        (Erasure { before_ms: Some(NOON + 6_000), ..none.clone() }, 2, 4),
        (Erasure { key_id: some("k1"), ..none.clone() }, 4, 0),
    ] {
        assert_eq!(store.erasures().erase(&what, &change()).await.unwrap().requests, erased, "{what:?}");
        assert_eq!(left(&store).await.len(), lives, "{what:?}");
    }
    assert_eq!(blocks(place).await, 0);
}

async fn retention_erases_to_the_millisecond_and_mostly_whole_blocks(place: &Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..230).map(|n| request(&format!("{n:04}"), "k1", "u1", NOON + n * 60_000)).collect();
    append(&store, &rows).await;
    let busy: Vec<_> =
        (0..1_000).map(|n| request(&format!("b{n:04}"), "k1", "u1", NOON + 200 * 60_000 + n)).collect();
    append(&store, &busy).await;
    let log = store.request_log();
    assert_eq!(log.erase_before(NOON + 200 * 60_000 + 300).await.unwrap(), 201 + 300);
    let left = left(&store).await;
    assert_eq!((left.len(), left.last().map(String::as_str)), (700 + 29, Some("b0300")));
    assert_eq!(log.erase_before(NOON + 200 * 60_000 + 300).await.unwrap(), 0);
}

/// As version 5 wrote it.
pub(super) const OLD_ROW: &str = "INSERT INTO request_log VALUES ('old', 1767324600000, 'k1', 'dev', 't1', 'u1', 'chat', 'small', \
     'openai/gpt', 'openai', 200, '', 'miss', 2, 840, NULL, 9, 3, 1, 0, 0, 12, '[\"batch\"]')";

async fn rows_of_older_versions_are_moved_into_blocks(place: &Place) {
    let store = place.open().await;
    place.run(OLD_ROW).await;
    let log = store.request_log();
    assert_eq!((log.move_rows().await.unwrap(), log.move_rows().await.unwrap()), (1, 0));
    let subject = Subject {
        key_name: "dev".to_owned(),
        team_id: "t1".to_owned(),
        model: "small".to_owned(),
        deployment: "openai/gpt".to_owned(),
        provider: "openai".to_owned(),
        ..(*request("", "k1", "u1", 0).subject).clone()
    };
    let moved = LoggedRequest {
        subject: Arc::new(subject),
        cache: "miss".into(),
        first_token_ms: None,
        usage: Usage { prompt: 9, completion: 3, cached: 1, ..Usage::default() },
        ..request("old", "k1", "u1", NOON)
    };
    assert_eq!(log.list(&RequestFilter::default(), 9).await.unwrap().requests, [moved]);
    // An older gateway writes on, and what it wrote is erased too.
    place.run("INSERT INTO request_log SELECT 'late', at, key_id, key_name, team_id, user_id, operation, model, deployment, provider, status, error, cache, attempts, duration_ms, first_token_ms, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, cost_micros, tags FROM (SELECT 1767324600000 AS at, 'k2' AS key_id, '' AS key_name, '' AS team_id, 'u9' AS user_id, '' AS operation, '' AS model, '' AS deployment, '' AS provider, 200 AS status, '' AS error, '' AS cache, 1 AS attempts, 1 AS duration_ms, 1 AS first_token_ms, 1 AS input_tokens, 1 AS output_tokens, 0 AS cached_tokens, 0 AS cache_write_tokens, 0 AS reasoning_tokens, 0 AS cost_micros, '[]' AS tags) late").await;
    let of_user = Erasure { user_id: Some("u9".to_owned()), requests: true, ..Erasure::default() };
    assert_eq!(store.erasures().erase(&of_user, &change()).await.unwrap().requests, 1);
    assert_eq!(
        (left(&store).await, count(place, "SELECT COUNT(*) FROM request_log").await),
        (vec!["old".to_owned()], 0)
    );
}

async fn small_blocks_of_an_hour_are_joined_and_nothing_is_lost(place: &Place) {
    let store = place.open().await;
    let mut rows = Vec::new();
    for n in 0..200_i64 {
        // An hour begins within them; each has a subject of its own.
        let row = request(&format!("r{n:03}"), "k1", "u1", NOON + n * 20_000);
        append(&store, std::slice::from_ref(&row)).await;
        rows.insert(0, row);
    }
    let log = store.request_log();
    let mut joins = 0;
    while log.join_blocks(NOON + 150 * 20_000).await.unwrap() {
        joins += 1;
        assert!(joins < 20, "it comes to an end");
    }
    assert!(joins > 1);
    assert_eq!(blocks(place).await, 2 + 50, "one for each hour, and those that are too young");
    for limit in [1_000, 13] {
        assert_eq!(all(&store, &RequestFilter::default(), limit).await.0, rows);
    }
    let one = RequestFilter { request_id: Some("r017".to_owned()), ..RequestFilter::default() };
    assert_eq!(all(&store, &one, 1).await.0.len(), 1);
}

async fn joining_brings_nothing_back_that_was_erased(place: &Place) {
    let store = place.open().await;
    // Erased since, but still there: as a gateway finds it that reads while another one erases.
    for n in 0..4_i64 {
        let user = if n == 1 { "u2" } else { "u1" };
        append(&store, &[request(&format!("r{n}"), "k1", user, NOON + n)]).await;
    }
    place
        .run("INSERT INTO erasures (id, number, until, key_id, team_id, user_id, request_id, requests) VALUES ('e', 1, 9999999999999, '', '', 'u2', '', TRUE)")
        .await;
    assert!(store.request_log().join_blocks(NOON + HOUR).await.unwrap());
    assert_eq!(left(&store).await, ["r3", "r2", "r0"]);
}

async fn a_block_that_is_appended_again_after_a_failure_is_there_once(place: &Place) {
    let store = place.open().await;
    let blocks = RequestBlock::of(vec![request("r1", "k1", "u1", NOON)]).unwrap();
    store.request_log().append(&blocks).await.unwrap();
    store.request_log().append(&blocks).await.unwrap();
    store.request_log().append(&[]).await.unwrap();
    assert_eq!(left(&store).await, ["r1"]);
}

#[tokio::test]
async fn postgresql_has_the_space_of_what_was_erased_back_at_once() {
    let place = Place::postgres();
    let store = place.open().await;
    for n in 0..20_i64 {
        append(&store, &[request(&format!("r{n}"), "k1", "u1", NOON + n * HOUR)]).await;
    }
    assert!(count(&place, "SELECT pg_relation_size('request_blocks')").await > 0);
    let everything = Erasure { before_ms: Some(i64::MAX), requests: true, ..Erasure::default() };
    assert_eq!(store.erasures().erase(&everything, &change()).await.unwrap().requests, 20);
    store.erasures().free_space().await.unwrap();
    assert_eq!(count(&place, "SELECT pg_relation_size('request_blocks')").await, 0);
    Place::sqlite().open().await.erasures().free_space().await.unwrap();
}
