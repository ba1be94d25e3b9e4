//! What the mock remembers, and what it notices of a client that leaves.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{
    PATIENCE, ask_chat, chat, connect, exchange, get, mock, read_until, request, start, streamed,
};
use mock_upstream::{Mock, Options};

async fn begin_stream(mock: &Mock, model: &str) -> TcpStream {
    let mut stream = connect(mock).await;
    let body = streamed(model, "w").to_string();
    stream.write_all(&request("POST", "/v1/chat/completions", &[], &body)).await.unwrap();
    stream
}

/// Lets the mock run until `seen` holds; returns how long that took.
async fn wait_until(mock: &Mock, seen: impl Fn(&Mock) -> bool) -> Duration {
    let begun = Instant::now();
    while !seen(mock) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", mock.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}

#[tokio::test]
async fn requests_are_recorded_with_headers_body_and_hash() {
    let mock = mock().await;
    let body = chat("m", "hi").to_string();
    let headers = [("Authorization", "Bearer k"), ("X-Twice", "1"), ("X-Twice", "2")];
    exchange(&mock, &request("POST", "/p/v1/chat/completions?x=1", &headers, &body)).await.unwrap();
    // The answer is on the wire before its end is noted.
    wait_until(&mock, |mock| mock.requests()[0].completed).await;
    let recorded = mock.requests().remove(0);
    assert_eq!((recorded.method.as_str(), recorded.path.as_str()), ("POST", "/p/v1/chat/completions?x=1"));
    assert_eq!(recorded.header("authorization"), Some("Bearer k"));
    assert_eq!(recorded.headers.iter().filter(|(name, _)| name == "X-Twice").count(), 2);
    assert_eq!((recorded.body.as_ref(), recorded.body_len), (body.as_bytes(), body.len()));
    assert_eq!(recorded.aborted_after_events, None);
}

#[tokio::test]
async fn beyond_its_capacity_requests_wait_in_line_and_one_that_left_gives_its_place_on() {
    let mock = start(Options { capacity: Some(1), ..Options::default() }).await;
    let (first, second) = (begin_stream(&mock, "m;ttft=60s").await, begin_stream(&mock, "m;ttft=60s").await);
    wait_until(&mock, |mock| mock.stats().in_flight == 2).await;
    drop((first, second));
    let begun = Instant::now();
    let body = chat("m;ttft=100ms", "hi");
    tokio::join!(ask_chat(&mock, &body), ask_chat(&mock, &body));
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn only_the_latest_requests_are_kept_and_large_bodies_are_not() {
    let mock = start(Options { record: 2, ..Options::default() }).await;
    for text in ["a", "b", "c"] {
        ask_chat(&mock, &chat("m", text)).await;
    }
    let bodies: Vec<_> =
        mock.requests().iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect();
    assert!(bodies.len() == 2 && bodies[0].contains("\"b\"") && bodies[1].contains("\"c\""));
    ask_chat(&mock, &chat("m", &"x".repeat(2 << 20))).await;
    let large = mock.requests().pop().unwrap();
    assert!(large.body.is_empty() && large.body_len > 2 << 20 && large.body_sha256.len() == 64);
    mock.clear();
    assert!(mock.requests().is_empty());
    assert_eq!(mock.stats().requests, 0);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_noticed_within_one_gap() {
    let mock = mock().await;
    let mut stream = begin_stream(&mock, "m;chunks=50;gap=400ms").await;
    read_until(&mut stream, |text| text.matches(r#""content":"#).count() == 2).await;
    assert_eq!(mock.stats().open_streams, 1);
    drop(stream);
    let noticed = wait_until(&mock, |mock| mock.stats().aborted_streams == 1).await;
    assert!(noticed < Duration::from_millis(400), "{noticed:?}");
    wait_until(&mock, |mock| mock.requests()[0].aborted_after_events == Some(1)).await;
    wait_until(&mock, |mock| mock.stats().open_connections == 0).await;
    assert!(!mock.requests()[0].completed);
    assert_eq!(mock.stats().open_streams, 0);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_or_during_a_hang_is_noticed() {
    let mock = mock().await;
    for model in ["m;ttft=30s", "m;fault=hang", "m;fault=hang;after=0;chunks=3"] {
        mock.clear();
        let stream = begin_stream(&mock, model).await;
        wait_until(&mock, |mock| mock.stats().open_streams == 1).await;
        drop(stream);
        wait_until(&mock, |mock| mock.stats().aborted_streams == 1).await;
        wait_until(&mock, |mock| mock.requests()[0].aborted_after_events == Some(0)).await;
    }
}

#[tokio::test]
async fn stats_count_what_runs_at_the_same_time() {
    let mock = mock().await;
    let streams = [begin_stream(&mock, "m;ttft=30s").await, begin_stream(&mock, "m;ttft=30s").await];
    wait_until(&mock, |mock| mock.stats().in_flight == 2).await;
    drop(streams);
    wait_until(&mock, |mock| mock.stats().open_connections == 0).await;
    let stats = mock.stats();
    assert_eq!((stats.accepted_connections, stats.requests, stats.max_in_flight), (2, 2, 2));
    assert_eq!((stats.in_flight, stats.open_streams), (0, 0));
}

#[tokio::test]
async fn the_same_is_told_over_http_without_recording_itself() {
    let mock = mock().await;
    ask_chat(&mock, &chat("m", "hi")).await;
    let requests = get(&mock, "/_mock/requests").await.json();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    assert_eq!(requests[0]["method"], "POST");
    assert!(requests[0]["body"].as_str().unwrap().contains("\"hi\""));
    assert_eq!(get(&mock, "/_mock/stats").await.json()["requests"], 3);
    assert_eq!(get(&mock, "/health").await.json(), json!({"status": "ok"}));
    exchange(&mock, &request("POST", "/_mock/clear", &[], "")).await.unwrap();
    assert_eq!(get(&mock, "/_mock/requests").await.json(), json!([]));
}

#[tokio::test]
async fn several_workers_share_one_port_and_one_memory() {
    let mock = start(Options { workers: 3, record: 64, ..Options::default() }).await;
    for _ in 0..20 {
        assert_eq!(ask_chat(&mock, &chat("m", "hi")).await.status, 200);
    }
    assert_eq!((mock.requests().len(), mock.stats().requests), (20, 20));
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_port_and_the_connections() {
    let mock = mock().await;
    let address = mock.address();
    let mut stream = begin_stream(&mock, "m;ttft=30s").await;
    wait_until(&mock, |mock| mock.stats().open_streams == 1).await;
    drop(mock);
    let mut rest = Vec::new();
    let closed = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    let closed = tokio::time::timeout(PATIENCE, closed).await.expect("closed in time");
    assert!(closed.is_err() || rest.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}
