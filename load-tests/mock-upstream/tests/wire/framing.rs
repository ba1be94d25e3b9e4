//! HTTP/1.1 itself: bodies of every size and framing, kept connections, pipelines.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::client::{chat, connect, decode, exchange, mock, read_until, request, start, streamed};
use mock_upstream::{Mock, Options};

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\n";

fn last_body(mock: &Mock) -> (usize, String) {
    let recorded = mock.requests().pop().unwrap();
    (recorded.body_len, recorded.body_sha256)
}

fn sha256(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn bodies_up_to_16_mib_arrive_whole_in_either_framing() {
    let mock = mock().await;
    for size in [1 << 10, 66 << 10, 2 << 20, 16 << 20] {
        let body = chat("m", &"x".repeat(size)).to_string();
        let answer =
            decode(&exchange(&mock, &request("POST", "/v1/chat/completions", &[], &body)).await.unwrap());
        assert_eq!(answer.status, 200, "{size} with Content-Length");
        assert_eq!(last_body(&mock), (body.len(), sha256(body.as_bytes())));

        let mut raw = format!("{HEAD}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in body.as_bytes().chunks(10_007) {
            raw.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            raw.extend_from_slice(chunk);
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"0\r\n\r\n");
        let answer = decode(&exchange(&mock, &raw).await.unwrap());
        assert_eq!(answer.status, 200, "{size} chunked");
        assert_eq!(last_body(&mock), (body.len(), sha256(body.as_bytes())));
    }
}

#[tokio::test]
async fn a_body_above_64_mib_is_refused_with_413() {
    let mock = mock().await;
    let mut stream = connect(&mock).await;
    stream.write_all(format!("{HEAD}Content-Length: 70000000\r\n\r\n").as_bytes()).await.unwrap();
    let text = read_until(&mut stream, |text| text.contains("64 MiB")).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let mock = mock().await;
    let mut stream = connect(&mock).await;
    let body = chat("m", "hi").to_string();
    let head = format!("{HEAD}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, |text| text.ends_with("\r\n\r\n")).await;
    assert_eq!(text, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, |text| text.ends_with('}')).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}

#[tokio::test]
async fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    let mock = mock().await;
    let mut stream = connect(&mock).await;
    let mut raw = String::new();
    for word in ["first", "second", "third"] {
        let body = if word == "second" { streamed("m;gap=5ms", word) } else { chat("m", word) }.to_string();
        raw.push_str(&format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len()));
    }
    stream.write_all(raw.as_bytes()).await.unwrap();
    let done = |text: &str| text.matches("HTTP/1.1 200").count() == 3 && text.contains("third");
    let text = read_until(&mut stream, done).await;
    let places = ["first", "[DONE]", "third"].map(|word| text.find(word).unwrap());
    assert!(places.is_sorted());
    assert_eq!(mock.stats().accepted_connections, 1);
}

#[tokio::test]
async fn a_refused_request_keeps_its_connection() {
    let mock = mock().await;
    let mut stream = connect(&mock).await;
    for (body, status) in [("{", "400"), (r#"{"model":"m;status=429","messages":[{"role":"user"}]}"#, "429")]
    {
        let raw = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(raw.as_bytes()).await.unwrap();
        let text = read_until(&mut stream, |text| text.ends_with("}}")).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}

#[tokio::test]
async fn a_request_that_arrives_byte_by_byte_is_understood() {
    let mock = mock().await;
    let mut stream = connect(&mock).await;
    stream.set_nodelay(true).unwrap();
    let body = chat("m", "slow").to_string();
    for byte in format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(read_until(&mut stream, |text| text.ends_with('}')).await.contains("slow"));
}

#[tokio::test]
async fn http_1_0_gets_no_chunks_and_a_close() {
    let mock = mock().await;
    let body = streamed("m", "one two").to_string();
    let raw = format!("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = decode(&exchange(&mock, raw.as_bytes()).await.unwrap());
    assert!(answer.header("transfer-encoding").is_none());
    assert_eq!((answer.streamed_text().as_str(), answer.events().last()), ("one two", Some(&"[DONE]")));
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_closed() {
    let mock = mock().await;
    let answer = decode(&exchange(&mock, b"\x16\x03\x01 hello\r\n\r\n").await.unwrap());
    assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
    let smuggled = format!("{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(decode(&exchange(&mock, smuggled.as_bytes()).await.unwrap()).status, 400);
}

#[tokio::test]
async fn every_chunk_of_a_stream_is_a_write_of_its_own() {
    let mock = mock().await;
    let mut stream = connect(&mock).await;
    let body = streamed("m;gap=10ms;chunks=10", "w").to_string();
    stream.write_all(&request("POST", "/v1/chat/completions", &[], &body)).await.unwrap();
    let mut reads = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = timeout(Duration::from_secs(5), stream.read(&mut piece)).await.unwrap().unwrap();
        if read == 0 {
            break;
        }
        reads.push(String::from_utf8_lossy(&piece[..read]).matches(r#""delta":{"content":"#).count());
    }
    // The first content chunk may share a read with the role chunk before it; no two ever share one.
    assert!(reads.iter().sum::<usize>() == 10 && reads.iter().all(|contents| *contents <= 1), "{reads:?}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let mock = start(Options { idle_timeout: Duration::from_millis(50), ..Options::default() }).await;
    let mut stream = connect(&mock).await;
    assert_eq!(timeout(Duration::from_secs(5), stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}
