//! One test for each way to misbehave.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::client::{
    PATIENCE, ask, ask_chat, chat, connect, decode, exchange, get, mock, read_until, request, start, streamed,
};
use mock_upstream::{Mock, Options};

async fn raw_chat(mock: &Mock, body: &serde_json::Value) -> std::io::Result<Vec<u8>> {
    exchange(mock, &request("POST", "/v1/chat/completions", &[], &body.to_string())).await
}

#[tokio::test]
async fn ttft_delays_the_first_byte_and_gap_every_chunk() {
    let mock = mock().await;
    let begun = Instant::now();
    ask_chat(&mock, &chat("m;ttft=60ms", "hi")).await;
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let begun = Instant::now();
    ask_chat(&mock, &streamed("m;gap=15ms;chunks=5", "hi")).await;
    assert!(begun.elapsed() >= Duration::from_millis(75), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_status_comes_with_the_openai_envelope_and_the_retry_headers() {
    let mock = mock().await;
    let limited = ask_chat(&mock, &chat("m;status=429;retry_after=2;retry_after_ms=300", "hi")).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("2")));
    assert_eq!(limited.header("retry-after-ms"), Some("300"));
    assert_eq!(limited.json()["error"]["code"], "rate_limit_exceeded");
    let dated = ask_chat(&mock, &chat("m;status=503;retry_after_date=2", "hi")).await;
    assert!(dated.header("retry-after").unwrap().ends_with(" GMT"));
    let unknown = ask_chat(&mock, &chat("m;status=404", "hi")).await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("model_not_found")));
    let long = ask_chat(&mock, &chat("m;status=400;code=context_length_exceeded", "hi")).await;
    assert_eq!(long.json()["error"]["code"], "context_length_exceeded");
    let nearly = ask_chat(&mock, &chat("m;remaining=1", "hi")).await;
    assert_eq!((nearly.status, nearly.header("x-ratelimit-remaining-requests")), (200, Some("1")));
}

#[tokio::test]
async fn an_error_can_be_an_html_page_or_cut_short() {
    let mock = mock().await;
    let page = ask_chat(&mock, &chat("m;status=500;html=1", "hi")).await;
    assert_eq!((page.status, page.header("content-type")), (500, Some("text/html")));
    assert!(page.text().starts_with("<html>") && page.complete);
    let cut = ask_chat(&mock, &chat("m;status=500;truncate=1", "hi")).await;
    assert!(!cut.complete && !cut.body.is_empty());
}

#[tokio::test]
async fn reset_close_and_hang_happen_before_any_byte() {
    let mock = mock().await;
    let reset = raw_chat(&mock, &chat("m;fault=reset", "hi")).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    assert_eq!(raw_chat(&mock, &chat("m;fault=close", "hi")).await.unwrap(), b"");
    let mut stream = connect(&mock).await;
    let body = chat("m;fault=hang", "hi").to_string();
    stream.write_all(&request("POST", "/v1/chat/completions", &[], &body)).await.unwrap();
    let silence = timeout(Duration::from_millis(80), stream.read_u8()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn a_hang_ends_at_its_limit() {
    let mock = start(Options { hang_limit: Duration::from_millis(50), ..Options::default() }).await;
    assert_eq!(raw_chat(&mock, &chat("m;fault=hang", "hi")).await.unwrap(), b"");
}

#[tokio::test]
async fn faults_inside_a_stream_come_after_so_many_content_chunks() {
    let mock = mock().await;
    let closed = ask_chat(&mock, &streamed("m;chunks=5;fault=close;after=2", "w")).await;
    assert_eq!((closed.streamed_text().as_str(), closed.complete), ("w w", false));
    let at_once = ask_chat(&mock, &streamed("m;chunks=5;fault=close;after=0", "w")).await;
    assert_eq!((at_once.streamed_text().as_str(), at_once.chunks().len()), ("", 1));

    let mut stream = connect(&mock).await;
    let body = streamed("m;chunks=5;fault=reset;after=2;gap=5ms", "w").to_string();
    stream.write_all(&request("POST", "/v1/chat/completions", &[], &body)).await.unwrap();
    read_until(&mut stream, |text| text.matches(r#""content":"#).count() == 3).await;
    let mut rest = Vec::new();
    let reset = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);

    let mut stream = connect(&mock).await;
    let body = streamed("m;chunks=5;fault=hang;after=2", "w").to_string();
    stream.write_all(&request("POST", "/v1/chat/completions", &[], &body)).await.unwrap();
    read_until(&mut stream, |text| text.matches(r#""content":"#).count() == 3).await;
    assert!(timeout(Duration::from_millis(60), stream.read_u8()).await.is_err());
}

#[tokio::test]
async fn a_malformed_event_stands_between_whole_ones() {
    let answer = ask_chat(&mock().await, &streamed("m;chunks=3;fault=malformed;after=1", "w")).await;
    let events = answer.events();
    let broken: Vec<_> = events.iter().filter(|event| event.contains("broken")).collect();
    assert_eq!(broken.len(), 1);
    assert!(serde_json::from_str::<serde_json::Value>(broken[0]).is_err());
    assert_eq!(events[2], *broken[0]);
    assert_eq!((answer.streamed_text().as_str(), *events.last().unwrap()), ("w w w", "[DONE]"));
}

#[tokio::test]
async fn no_done_leaves_out_the_marker_or_everything_behind_the_chunks() {
    let mock = mock().await;
    let unmarked = ask_chat(&mock, &streamed("m;chunks=3;fault=no_done", "w")).await;
    assert!(unmarked.complete && !unmarked.text().contains("[DONE]"));
    assert!(unmarked.text().contains(r#""finish_reason":"stop""#));
    let short = ask_chat(&mock, &streamed("m;chunks=3;fault=no_done;after=2", "w")).await;
    assert!(short.complete && !short.text().contains(r#""finish_reason":"stop""#));
    assert_eq!(short.streamed_text(), "w w");
}

#[tokio::test]
async fn an_error_event_ends_the_stream_without_done() {
    let answer = ask_chat(&mock().await, &streamed("m;chunks=3;fault=error_event;after=2", "w")).await;
    let chunks = answer.chunks();
    assert_eq!(chunks.last().unwrap()["error"]["type"], "server_error");
    assert!(answer.complete && !answer.text().contains("[DONE]"));
    assert_eq!(answer.streamed_text(), "w w");
}

#[tokio::test]
async fn whole_answers_break_in_their_own_way() {
    let mock = mock().await;
    let malformed = ask_chat(&mock, &chat("m;fault=malformed", "hi")).await;
    assert!(malformed.complete && serde_json::from_slice::<serde_json::Value>(&malformed.body).is_err());
    let error = ask_chat(&mock, &chat("m;fault=error_event", "hi")).await;
    assert_eq!((error.status, &error.json()["error"]["type"]), (200, &json!("server_error")));
    let half = ask_chat(&mock, &chat("m;fault=close;after=1", "hi")).await;
    assert!(!half.complete && !half.body.is_empty());
}

#[tokio::test]
async fn drip_and_split_change_the_writes_but_not_the_bytes() {
    let mock = mock().await;
    let begun = Instant::now();
    let dripped = ask_chat(&mock, &chat("m;status=400;drip=1;gap=1ms", "hi")).await;
    assert!(dripped.complete && begun.elapsed() >= Duration::from_millis(300));
    let split = ask_chat(&mock, &streamed("m;split=3", "one two")).await;
    assert_eq!((split.streamed_text().as_str(), split.complete), ("one two", true));

    let mut stream = connect(&mock).await;
    let body = chat("m;drip=1;gap=5ms", "hi").to_string();
    stream.write_all(&request("POST", "/v1/chat/completions", &[], &body)).await.unwrap();
    let mut piece = [0; 100];
    assert!(stream.read(&mut piece).await.unwrap() < 10);
}

#[tokio::test]
async fn garbage_and_a_big_header_are_no_answer_a_client_can_use() {
    let mock = mock().await;
    let garbage = raw_chat(&mock, &chat("m;garbage=1", "hi")).await.unwrap();
    assert!(!garbage.is_empty() && !garbage.starts_with(b"HTTP"));
    let big = ask_chat(&mock, &chat("m;big_header=1", "hi")).await;
    assert_eq!(big.header("x-big").unwrap().len(), 128 << 10);
}

#[tokio::test]
async fn gzip_is_sent_unasked_for_whole_answers_and_streams() {
    let mock = mock().await;
    for body in [chat("m;gzip=1", "one two"), streamed("m;gzip=1", "one two")] {
        let answer = ask_chat(&mock, &body).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
        assert!(answer.complete && text.contains("two"), "{text}");
    }
}

#[tokio::test]
async fn crlf_ends_every_line_of_an_event() {
    let answer = ask_chat(&mock().await, &streamed("m;crlf=1", "one two")).await;
    let text = answer.text();
    assert!(text.ends_with("data: [DONE]\r\n\r\n"));
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[tokio::test]
async fn first_limits_the_fault_to_the_first_requests_of_a_name() {
    let mock = mock().await;
    let body = chat("m;status=500;first=2", "hi");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask_chat(&mock, &body).await.status);
    }
    assert_eq!(statuses, [500, 500, 200]);
    let named = ask_chat(&mock, &chat("m;status=500;first=2;id=other", "hi")).await;
    assert_eq!(named.status, 500);
    mock.clear();
    assert_eq!(ask_chat(&mock, &body).await.status, 500);
}

#[tokio::test]
async fn the_header_speaks_the_same_grammar_and_wins() {
    let mock = mock().await;
    let body = chat("m;status=500", "hi");
    let answer = ask(&mock, "/v1/chat/completions", &[("X-Mock", "status=503")], &body).await;
    assert_eq!(answer.status, 503);
    let models = exchange(&mock, &request("GET", "/v1/models", &[("x-mock", "any;status=500")], "")).await;
    assert_eq!(decode(&models.unwrap()).status, 500);
}

#[tokio::test]
async fn unknown_keys_malformed_json_and_missing_fields_are_refused_with_400() {
    let mock = mock().await;
    let unknown = ask_chat(&mock, &chat("m;tfft=1s", "hi")).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("`tfft`") && unknown.text().contains("no_usage"));
    let raw = exchange(&mock, &request("POST", "/v1/chat/completions", &[], "{\"model\":")).await.unwrap();
    let malformed = decode(&raw);
    assert_eq!(
        (malformed.status, &malformed.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    let nameless = ask_chat(&mock, &json!({"messages": [{"role": "user", "content": "hi"}]})).await;
    assert_eq!((nameless.status, &nameless.json()["error"]["param"]), (400, &json!("model")));
    assert_eq!(ask_chat(&mock, &json!({"model": "m"})).await.status, 400);
}

#[tokio::test]
async fn a_wrong_credential_is_refused_with_401() {
    let mock = start(Options { credential: Some("sk-right".into()), ..Options::default() }).await;
    let missing = ask_chat(&mock, &chat("m", "hi")).await;
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    let path = "/v1/chat/completions";
    let right = ask(&mock, path, &[("Authorization", "Bearer sk-right")], &chat("m", "hi")).await;
    assert_eq!(right.status, 200);
    let body = chat("m;credential=sk-other", "hi");
    assert_eq!(ask(&mock, path, &[("Authorization", "Bearer sk-right")], &body).await.status, 401);
    let anthropic = ask(&mock, "/v1/messages", &[("x-api-key", "sk-wrong")], &chat("m", "hi")).await;
    let kind = anthropic.json()["error"]["type"].clone();
    assert_eq!((anthropic.status, kind), (401, json!("authentication_error")));
    assert_eq!(get(&mock, "/health").await.status, 200);
}
