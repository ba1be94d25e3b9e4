//! A provider in OpenAI's format that repeats the prompt in its answer, whole, streamed or as an error.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What stands before the prompt in every answer.
pub(super) const ANSWERS: &str = "answer-8d2b-";

/// Ends with the test.
pub(super) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A model `fails` refuses the request.
async fn serve(mut stream: TcpStream) {
    let mut inbox = Vec::new();
    let (head, body) = loop {
        let mut piece = [0; 16 << 10];
        let Ok(length @ 1..) = stream.read(&mut piece).await else { return };
        inbox.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&inbox).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let prompt = asked["messages"][0]["content"].as_str().unwrap_or(&head).to_owned();
    let said = format!("{ANSWERS}{prompt}");
    let (status, kind, body) = match asked["model"].as_str() {
        Some("fails") => {
            (400, "application/json", json!({"error": {"message": said, "type": "x"}}).to_string())
        }
        _ if asked["stream"] == true => (200, "text/event-stream", events(&said)),
        _ => (200, "application/json", whole(&said).to_string()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

fn whole(said: &str) -> Value {
    let message = json!({"role": "assistant", "content": said});
    json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    })
}

fn events(said: &str) -> String {
    let event = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    event(json!({"role": "assistant", "content": said}), Value::Null)
        + &event(json!({}), "stop".into())
        + "data: [DONE]\n\n"
}
