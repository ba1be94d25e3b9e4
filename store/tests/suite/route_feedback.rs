//! Judgements of routed answers: which are kept, and in which order they come back.

use std::collections::BTreeMap;

use store::{RouteJudgement, Store};

use crate::databases::Place;
use crate::sample::NOON;

on_both! {
    judgements_come_back_newest_first_page_by_page
    of_each_tenant_the_newest_stay
    old_judgements_are_erased
}

pub(super) fn judgement(tenant: &str, score: i64, at_ms: i64) -> RouteJudgement {
    RouteJudgement {
        id: store::new_id(),
        at_ms,
        tenant: tenant.to_owned(),
        model: "small".to_owned(),
        logit_millionths: -1_250_000,
        score_millionths: score,
    }
}

async fn scores(store: &Store, tenant: &str) -> Vec<i64> {
    let all = store.route_feedback().newest("", 1_000).await.unwrap();
    all.into_iter().filter(|it| it.tenant == tenant).map(|it| it.score_millionths).collect()
}

fn most(tenant: &str, most: u32) -> BTreeMap<String, u32> {
    BTreeMap::from([(tenant.to_owned(), most)])
}

async fn judgements_come_back_newest_first_page_by_page(place: &Place) {
    let store = place.open().await;
    let mut all: Vec<_> = (0..7).map(|score| judgement("one", score, NOON)).collect();
    store.route_feedback().append(&all, &BTreeMap::new()).await.unwrap();
    store.route_feedback().append(&all, &BTreeMap::new()).await.unwrap();
    all.reverse();
    let first = store.route_feedback().newest("", 4).await.unwrap();
    assert_eq!(first, all[..4]);
    assert_eq!(store.route_feedback().newest(&first[3].id, 4).await.unwrap(), all[4..]);
}

async fn of_each_tenant_the_newest_stay(place: &Place) {
    let store = place.open().await;
    let both: Vec<_> =
        (0..5).flat_map(|score| ["one", "two"].map(|tenant| judgement(tenant, score, NOON))).collect();
    store.route_feedback().append(&both, &most("one", 5)).await.unwrap();
    assert_eq!(scores(&store, "one").await, [4, 3, 2, 1, 0]);
    store.route_feedback().append(&[judgement("one", 5, NOON)], &most("one", 2)).await.unwrap();
    assert_eq!(scores(&store, "one").await, [5, 4]);
    assert_eq!(scores(&store, "two").await, [4, 3, 2, 1, 0], "another tenant keeps its own");
    store.route_feedback().append(&[], &most("two", 0)).await.unwrap();
    assert_eq!(scores(&store, "two").await, [] as [i64; 0]);
}

async fn old_judgements_are_erased(place: &Place) {
    let store = place.open().await;
    let both = [judgement("one", 0, NOON), judgement("one", 1, NOON + 1)];
    store.route_feedback().append(&both, &BTreeMap::new()).await.unwrap();
    store.route_feedback().erase_before(NOON + 1).await.unwrap();
    assert_eq!(scores(&store, "one").await, [1]);
}
