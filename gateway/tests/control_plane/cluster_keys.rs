//! What becomes of a key holds on both gateways of a cluster within a second.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::keys::{text, until};
use crate::operator::{chat, done, start};
use crate::postgres_server::server;
use crate::redis_server::Redis;

const PROMISED: Duration = Duration::from_secs(1);

/// Both have this outcome within the time that is promised, from now on.
async fn soon(gateways: &[Gateway; 2], what: &str, key: &str, outcome: (u16, &str)) {
    let since = Instant::now();
    let [one, two] = gateways;
    tokio::join!(until(one, key, "plain", outcome), until(two, key, "plain", outcome));
    println!("{what} on both gateways after {:?}", since.elapsed());
    assert!(since.elapsed() < PROMISED, "{what} after {:?}", since.elapsed());
}

#[tokio::test]
async fn a_key_is_blocked_and_rotated_on_both_gateways_within_a_second() {
    let redis = Redis::start().await;
    let database = server().url(&server().database());
    let extra =
        format!("store: '{database}'\nkey_hash: a-secret-of-this-installation\ncluster: {}", redis.url());
    let gateways = [start("", &extra).await, start("", &extra).await];
    let made = done(&gateways[0], "POST", "/api/v1/keys", json!({"name": "shop", "rpm": 100_000})).await;
    let (old, path) = (text(&made, "key"), format!("/api/v1/keys/{}", text(&made, "id")));
    soon(&gateways, "a new key works", old, (200, "")).await;
    done(&gateways[1], "POST", &format!("{path}/block"), Value::Null).await;
    soon(&gateways, "a blocked key is refused", old, (401, "key_blocked")).await;
    done(&gateways[0], "POST", &format!("{path}/unblock"), Value::Null).await;
    soon(&gateways, "an unblocked key works", old, (200, "")).await;

    let rotated = Instant::now();
    let next = done(&gateways[1], "POST", &format!("{path}/rotate"), json!({"grace": "3s"})).await;
    soon(&gateways, "the new value works", text(&next, "key"), (200, "")).await;
    for gateway in &gateways {
        let told = chat(gateway, old, "plain").await;
        assert!(told.0 == 200 || rotated.elapsed() >= Duration::from_secs(3), "in its grace: {told:?}");
    }
    tokio::time::sleep_until((rotated + Duration::from_secs(3)).into()).await;
    soon(&gateways, "the old value is refused", old, (401, "key_rotated")).await;
    soon(&gateways, "the new value still works", text(&next, "key"), (200, "")).await;
}
