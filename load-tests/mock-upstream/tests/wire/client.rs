//! A client that sees every byte: one connection per request, nothing repaired.

use std::io;
use std::time::Duration;

use mock_upstream::{Mock, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any test needs; a test that reaches it has found a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One answer as received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Without chunk framing.
    pub(crate) body: Vec<u8>,
    /// The framing said that this is all.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The `data:` lines of a stream, `[DONE]` included.
    pub(crate) fn events(&self) -> Vec<&str> {
        self.text().lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    /// The events that are JSON.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        self.events().iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
    }

    /// The joined text of an OpenAI stream's first choice.
    pub(crate) fn streamed_text(&self) -> String {
        let delta = |chunk: &Value| chunk.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned);
        let first = |chunk: &&Value| chunk["choices"][0]["index"] == 0;
        self.chunks().iter().filter(first).filter_map(delta).collect()
    }
}

pub(crate) async fn mock() -> Mock {
    start(Options { record: 256, ..Options::default() }).await
}

pub(crate) async fn start(options: Options) -> Mock {
    Mock::start("127.0.0.1:0".parse().unwrap(), options).await.unwrap()
}

pub(crate) fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn streamed(model: &str, text: &str) -> Value {
    let mut body = chat(model, text);
    body["stream"] = json!(true);
    body
}

pub(crate) async fn ask_chat(mock: &Mock, body: &Value) -> Answer {
    ask(mock, "/v1/chat/completions", &[], body).await
}

pub(crate) async fn ask(mock: &Mock, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let raw = exchange(mock, &request("POST", path, headers, &body.to_string())).await.unwrap();
    decode(&raw)
}

pub(crate) async fn get(mock: &Mock, path: &str) -> Answer {
    decode(&exchange(mock, &request("GET", path, &[], "")).await.unwrap())
}

/// A request that asks for the connection to be closed, so that the answer ends with it.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

pub(crate) async fn connect(mock: &Mock) -> TcpStream {
    TcpStream::connect(mock.address()).await.unwrap()
}

/// Sends, and reads until the mock closes. A reset is an error.
pub(crate) async fn exchange(mock: &Mock, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(mock).await;
    stream.write_all(request).await?;
    let mut raw = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut raw)).await??;
    Ok(raw)
}

/// Reads until `done` is satisfied with what has arrived.
pub(crate) async fn read_until(stream: &mut TcpStream, done: impl Fn(&str) -> bool) -> String {
    let mut raw = Vec::new();
    while !done(&String::from_utf8_lossy(&raw)) {
        let read = timeout(PATIENCE, stream.read_buf(&mut raw)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&raw));
    }
    String::from_utf8(raw).unwrap()
}

pub(crate) fn decode(raw: &[u8]) -> Answer {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a complete head") + 4;
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: raw[end..].to_vec(), complete: false };
    if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.complete) = dechunk(&raw[end..]);
    } else if let Some(length) = answer.header("content-length") {
        answer.complete = length.parse::<usize>().unwrap() == answer.body.len();
    }
    answer
}

fn dechunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, raw == b"0\r\n\r\n");
        }
        let Some(chunk) = raw.get(end + 2..end + 2 + size) else { break };
        body.extend_from_slice(chunk);
        raw = &raw[(end + 4 + size).min(raw.len())..];
    }
    (body, false)
}
