//! Requests that were given another one's answer are in the books: at no cost, with what that saved.

use domain::Micros;
use futures_util::future::join_all;
use serde_json::Value;
use store::{Kind, Owner};

use crate::abandoned::until_ended;
use crate::gateway::{Gateway, chat};
use crate::ledger::{STORE, entries, spend, store};

const SHARED: &str = "  shared: {deployments: [{provider: mock, model: 'm;ttft=400ms', price: {input: 1, output: 1}}], coalesce: all}
  broken: {deployments: [{provider: mock, model: 'm;ttft=400ms;status=500'}], retries: {attempts: 1}, coalesce: all}";

#[tokio::test]
async fn each_follower_of_an_answer_counts_as_a_request_and_saves_what_it_cost() {
    for stream in [false, true] {
        let gateway = Gateway::start(SHARED, STORE).await;
        let body = chat("shared", stream).to_string();
        let herd = join_all((0..5).map(|_| async {
            gateway.post("/v1/chat/completions", body.clone()).await.text().await.unwrap()
        }));
        assert_eq!((herd.await.len(), gateway.mock.requests().len()), (5, 1));
        let store = store(&gateway).await;
        let spent = spend(&store, "test", 5).await;
        let all = entries(&store).await;
        let (followers, leads): (Vec<_>, Vec<_>) =
            all.iter().partition(|entry| entry.kind == Kind::Coalesced);
        assert_eq!((leads.len(), followers.len(), spent.requests), (1, 4, 5), "{all:?}");
        assert!(spent.cost > Micros(0) && spent.cost == leads[0].cost);
        for follower in followers {
            assert_eq!((follower.cost, follower.saved), (Micros(0), spent.cost), "{follower:?}");
            assert!(follower.usage.is_empty() && follower.counts_request && follower.outcome == "ok");
        }
        let now = store.ledger().spend(Owner::Key("test"), 0, i64::MAX / 2).await.unwrap();
        assert_eq!(now.unsettled, Micros(0));
    }
}

#[tokio::test]
async fn followers_of_a_failed_call_are_told_so_and_are_in_no_book() {
    let gateway = Gateway::start(SHARED, STORE).await;
    let herd = join_all((0..3).map(|_| gateway.chat("broken"))).await;
    assert!(herd.iter().all(|answer| answer.status() == 502));
    let error: Value = gateway.chat("broken").await.json().await.unwrap();
    assert!(error["error"]["message"].is_string(), "{error}");
    let (all, _) = until_ended(&store(&gateway).await, "provider").await;
    assert!(all.iter().all(|entry| entry.kind == Kind::Attempt && !entry.counts_request), "{all:?}");
}
