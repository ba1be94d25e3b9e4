//! More to do than can be done: who waits, who is refused, and that nothing is left behind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::gateway::{Gateway, KEY, chat, eventually};

const KEYS: &str = "
  - {name: urgent, key: sk-urgent-key, priority: high}
  - {name: batch, key: sk-batch-key, priority: low}
";

/// One place, an answer that takes `ttft`, and a queue.
fn one_at_a_time(ttft: &str, queue: &str) -> String {
    format!(
        "
  busy:
    deployments: [{{provider: mock, model: m;ttft={ttft}}}]
    max_in_flight: 1
    queue: {queue}
"
    )
}

fn ask(
    gateway: &Gateway,
    key: &str,
    model: &str,
) -> impl Future<Output = reqwest::Result<reqwest::Response>> + use<> {
    let url = gateway.url("/v1/chat/completions");
    gateway.client.post(url).bearer_auth(key).body(chat(model, false).to_string()).send()
}

/// A metric's value, the sum over its labels that contain `label`.
async fn metric(gateway: &Gateway, name: &str, label: &str) -> f64 {
    let text = gateway.metrics().await;
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn beyond_the_limit_requests_wait_then_are_shed_within_50_ms() {
    let gateway = Gateway::start(&one_at_a_time("400ms", "{length: 2, wait: 30ms}"), KEYS).await;
    let first = tokio::spawn(ask(&gateway, KEY, "busy"));
    eventually("the first is on its way", || !gateway.mock.requests().is_empty()).await;
    let mut tasks = Vec::new();
    for _ in 0..10 {
        let asked = ask(&gateway, KEY, "busy");
        tasks.push(tokio::spawn(async move {
            let began = Instant::now();
            (asked.await.unwrap(), began.elapsed())
        }));
    }
    for task in tasks {
        let (answer, took) = task.await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert!(answer.text().await.unwrap().contains("\"code\":\"overloaded\""));
        assert!(took < Duration::from_millis(100), "{took:?}, of which the client has its share");
    }
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    let full = metric(&gateway, "signalbox_shed_total", "queue_full").await;
    let waited = metric(&gateway, "signalbox_shed_total", "queue_wait").await;
    // A place in the queue is free again after 30 ms, which a slow client may come to late.
    assert!(full >= 1.0 && waited >= 2.0 && full + waited >= 10.0, "{full} and {waited}");
    assert!(metric(&gateway, "signalbox_in_flight_limit", "busy").await >= 1.0);
}

#[tokio::test]
async fn a_request_in_the_queue_is_served_when_a_place_is_free() {
    let gateway = Gateway::start(&one_at_a_time("50ms", "{length: 2, wait: 5s}"), KEYS).await;
    let all: Vec<_> = (0..3).map(|_| tokio::spawn(ask(&gateway, KEY, "busy"))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn high_priority_goes_first() {
    let gateway = Gateway::start(&one_at_a_time("200ms", "{length: 10, wait: 20s}"), KEYS).await;
    let first = tokio::spawn(ask(&gateway, KEY, "busy"));
    eventually("the first is on its way", || gateway.mock.requests().len() == 1).await;
    let mut order = Vec::new();
    let mut waiting = futures_util::stream::FuturesUnordered::new();
    for (place, key) in ["sk-batch-key", KEY, "sk-urgent-key"].into_iter().enumerate() {
        let asked = tokio::spawn(ask(&gateway, key, "busy"));
        waiting.push(async move { (key, asked.await.unwrap().unwrap().status()) });
        wait_for_depth(&gateway, place + 1).await;
    }
    while let Some((key, status)) = futures_util::StreamExt::next(&mut waiting).await {
        assert_eq!(status, 200);
        order.push(key);
    }
    assert_eq!(order, ["sk-urgent-key", KEY, "sk-batch-key"]);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
async fn wait_for_depth(gateway: &Gateway, depth: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while metric(gateway, "signalbox_queue_depth", "busy").await < depth as f64 {
        assert!(Instant::now() < deadline, "nobody lined up");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_permit_is_returned_when_the_client_leaves() {
    let gateway = Gateway::start(&one_at_a_time("60s", "{length: 5, wait: 60s}"), KEYS).await;
    let runs = tokio::spawn(ask(&gateway, KEY, "busy"));
    eventually("the first is on its way", || gateway.mock.requests().len() == 1).await;
    let waits = tokio::spawn(ask(&gateway, KEY, "busy"));
    wait_for_depth(&gateway, 1).await;
    // Who waits leaves the queue; who runs makes room for the next.
    waits.abort();
    let deadline = Instant::now() + Duration::from_secs(30);
    while metric(&gateway, "signalbox_queue_depth", "busy").await > 0.0 {
        assert!(Instant::now() < deadline, "it is still in line");
    }
    let next = tokio::spawn(ask(&gateway, KEY, "busy"));
    wait_for_depth(&gateway, 1).await;
    runs.abort();
    eventually("the next is on its way", || gateway.mock.requests().len() == 2).await;
    next.abort();
}

#[tokio::test]
async fn a_stream_holds_its_place_until_its_end() {
    let models = "
  busy:
    deployments: [{provider: mock, model: m;chunks=5;gap=60ms}]
    max_in_flight: 1
    queue: {length: 0}
";
    let gateway = Gateway::start(models, "").await;
    let body = chat("busy", true).to_string();
    let mut stream = gateway.post("/v1/chat/completions", body).await;
    stream.chunk().await.unwrap();
    assert_eq!(gateway.chat("busy").await.status(), 503);
    while stream.chunk().await.unwrap().is_some() {}
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.chat("busy").await.status() != 200 {
        assert!(Instant::now() < deadline, "the place was not returned");
    }
}

#[tokio::test]
async fn a_full_model_or_deployment_leaves_the_request_to_the_next() {
    let models = "
  first:
    deployments: [{provider: mock, model: m;ttft=2s}]
    max_in_flight: 1
    queue: {length: 0}
    fallbacks: [second]
  second:
    deployments:
      - {provider: mock, model: n;ttft=2s, weight: 100, max_in_flight: 1}
      - {provider: claude, model: spare}
";
    let gateway = Gateway::start(models, "").await;
    let slow = [tokio::spawn(ask(&gateway, KEY, "first")), tokio::spawn(ask(&gateway, KEY, "second"))];
    eventually("both are on their way", || gateway.mock.requests().len() == 2).await;
    let answer = gateway.chat("first").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-signalbox-deployment"], "claude/spare");
    for one in slow {
        one.abort();
    }
}

#[tokio::test]
async fn a_retry_storm_ends_with_the_budget() {
    let models = "
  m:
    deployments: [{provider: mock, model: m;status=500}]
    retries: {attempts: 2, backoff: {initial: 1ms}}
    cooldown: {failures: 0}
";
    let gateway = Gateway::start(models, "").await;
    for _ in 0..200 {
        assert_eq!(gateway.chat("m").await.status(), 502);
    }
    let attempts = metric(&gateway, "signalbox_attempts_total", "provider=\"mock\"").await;
    assert!((300.0..=345.0).contains(&attempts), "{attempts}: 200, the floor of 100, a fifth of 200");
    assert!(metric(&gateway, "signalbox_retry_budget_exhausted_total", "").await >= 55.0);
}

#[tokio::test]
async fn a_primary_that_dies_under_load_costs_no_request_though_the_budget_is_empty() {
    let models = "
  m:
    deployments: [{provider: mock, model: m;ttft=400ms;status=500, weight: 1000}, {provider: claude, model: spare}]
    retries: {attempts: 1}
    cooldown: {failures: 0}
";
    let gateway = Gateway::start(models, "").await;
    let all: Vec<_> = (0..300).map(|_| tokio::spawn(ask(&gateway, KEY, "m"))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn late_workers_shed_before_the_body_is_read_and_keep_the_connection() {
    let models = "  slow: {deployments: [{provider: mock, model: m;ttft=3s}]}";
    // No worker is ever in time to the microsecond.
    let gateway = Gateway::start(models, &format!("{KEYS}limits: {{shed_lag: 0.001ms}}")).await;
    let running: Vec<_> = (0..50).map(|_| tokio::spawn(ask(&gateway, KEY, "slow"))).collect();
    eventually("many are on their way", || gateway.mock.requests().len() > 32).await;
    let mut client = Raw::connect(gateway.address).await;
    let body = chat("plain", false).to_string();
    let request = head("sk-batch-key", body.len()) + &body;
    let deadline = Instant::now() + Duration::from_secs(2);
    // A few are always let in, so that a window which admits nobody learns nothing.
    let refusal = loop {
        client.send(&request).await;
        let (status, text) = client.answer().await;
        if status == 503 {
            break text;
        }
        assert_eq!(status, 200, "{text}");
        assert!(Instant::now() < deadline, "nobody is refused");
    };
    assert!(refusal.contains("retry-after: 1"), "{refusal}");
    assert!(metric(&gateway, "signalbox_admission_limit", "").await >= 1.0);
    // A body that does not come holds the refusal up for no longer than it may take.
    let mut soonest = Duration::MAX;
    for _ in 0..20 {
        let mut without_body = Raw::connect(gateway.address).await;
        without_body.send(&head("sk-batch-key", body.len())).await;
        let began = Instant::now();
        let answer = tokio::time::timeout(Duration::from_millis(100), without_body.answer()).await;
        if answer.is_ok_and(|(status, _)| status == 503) {
            soonest = soonest.min(began.elapsed());
        }
    }
    assert!(soonest < Duration::from_millis(100), "none of them was refused in time");
    // The same connection serves the next request once the rush is over.
    for one in running {
        one.await.unwrap().unwrap();
    }
    client.send(&(head(KEY, body.len()) + &body)).await;
    assert_eq!(client.answer().await.0, 200);
    assert!(metric(&gateway, "signalbox_shed_total", "lag").await >= 1.0);
}

pub(crate) fn head(key: &str, length: usize) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// A client that sends what it likes.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Status and head of an answer with a length; its body is read and dropped.
    pub(crate) async fn answer(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        self.0.read_exact(&mut vec![0; length.parse().unwrap()]).await.unwrap();
        (head[9..12].parse().unwrap(), head)
    }

    /// A chunked answer in lower case, its head included.
    pub(crate) async fn chunked_answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            answer.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(answer).unwrap().to_lowercase()
    }

    /// How long until the gateway closes the connection; whatever it says before is thrown away.
    pub(crate) async fn closed(&mut self) -> Duration {
        let began = Instant::now();
        let mut rest = [0; 4096];
        while self.0.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        began.elapsed()
    }
}

#[tokio::test]
async fn a_header_that_trickles_in_and_an_idle_connection_are_closed_in_time() {
    let models = "  slow: {deployments: [{provider: mock, model: m;ttft=900ms}]}";
    let limits = "limits: {header_time: 300ms, idle_time: 400ms}";
    let gateway = Gateway::start(models, limits).await;
    // Nothing at all, less than HTTP/2's preface, a header that ends never.
    for start in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut client = Raw::connect(gateway.address).await;
        let trickle = async {
            client.send(start).await;
            client.closed().await
        };
        let took = tokio::time::timeout(Duration::from_secs(5), trickle).await.unwrap();
        assert!(took > Duration::from_millis(200), "{took:?}");
    }
    // A request that takes longer than either is none of their business.
    let mut client = Raw::connect(gateway.address).await;
    let body = chat("slow", false).to_string();
    for _ in 0..2 {
        client.send(&(head(KEY, body.len()) + &body)).await;
        assert_eq!(client.answer().await.0, 200);
    }
    let took = tokio::time::timeout(Duration::from_secs(5), client.closed()).await.unwrap();
    assert!(took > Duration::from_millis(300), "{took:?}");
}

#[tokio::test]
async fn a_request_shorter_than_the_preface_of_http_2_is_answered() {
    let gateway = Gateway::start("", "").await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.0, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_of_an_address_are_closed() {
    let gateway = Gateway::start("", "limits: {connections_per_address: 4}").await;
    let health = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut open = Vec::new();
    // The client that asked whether the gateway is ready may still have its own.
    for _ in 0..3 {
        let mut client = Raw::connect(gateway.address).await;
        client.send(health).await;
        assert_eq!(client.answer().await.0, 200);
        open.push(client);
    }
    // Which of two comes first is the gateway's threads' affair.
    let (mut fourth, mut fifth) = (Raw::connect(gateway.address).await, Raw::connect(gateway.address).await);
    let one_is_closed = async {
        tokio::select! {
            _ = fourth.closed() => {}
            _ = fifth.closed() => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(5), one_is_closed).await.unwrap();
    assert!(metric(&gateway, "signalbox_shed_total", "connections").await >= 1.0);
    // The others live on.
    open[0].send(health).await;
    assert_eq!(open[0].answer().await.0, 200);
}

#[tokio::test]
async fn a_client_that_reads_nothing_ends_the_upstream_call() {
    let models = "  endless: {deployments: [{provider: mock, model: m;chunks=100000}]}";
    let gateway = Gateway::start(models, "limits: {write_time: 500ms}").await;
    let body = chat("endless", true).to_string();
    // What the kernels would buffer by themselves takes long to fill.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = Raw(socket.connect(gateway.address).await.unwrap());
    client.send(&(head(KEY, body.len()) + &body)).await;
    eventually("the call is made", || gateway.mock.requests().len() == 1).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while metric(&gateway, "signalbox_requests_total", "client_gone").await < 1.0 {
        assert!(Instant::now() < deadline, "the gateway waits for a client that reads nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_header_of_too_many_bytes_or_fields_is_refused_with_431() {
    let gateway = Gateway::start("", "limits: {header: 4KiB, headers: 20}").await;
    for header in ["x-long: ".to_owned() + &"a".repeat(5_000) + "\r\n", "x-many: a\r\n".repeat(30)] {
        let mut client = Raw::connect(gateway.address).await;
        let request = format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{header}content-length: 0\r\n\r\n");
        client.send(&request).await;
        let (status, head) = client.answer().await;
        assert_eq!(status, 431, "{head}");
    }
}
