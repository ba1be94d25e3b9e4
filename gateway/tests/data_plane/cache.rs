//! Answers that are kept: who gets them, in which form, and what passes by.

use serde_json::{Value, json};

use crate::gateway::Gateway;

const MODELS: &str = "
  kept: {deployments: [{provider: mock, model: 'm;chunks=5', price: {input: 1000000, output: 1000000}}]}
  other: {deployments: [{provider: mock, model: 'm;chunks=5'}]}
  never: {deployments: [{provider: mock, model: 'm;chunks=5'}], cache: off}
  cut: {deployments: [{provider: mock, model: 'm;chunks=30;fault=close;after=5'}], resume: off}
  failing: {deployments: [{provider: mock, model: 'm;status=500'}], retries: {attempts: 1}}
";
const CACHE: &str = "cache: {memory: 64MiB, exact: {ttl: 1h}}";

/// The three chat formats: path, a request, where the text of a whole answer is, and how a stream ends.
fn formats(model: &str) -> [(&'static str, Value, &'static str, &'static str); 3] {
    let messages = json!([{"role": "user", "content": "one two three four five"}]);
    [
        (
            "/v1/chat/completions",
            json!({"model": model, "messages": messages}),
            "/choices/0/message/content",
            "data: [DONE]\n\n",
        ),
        (
            "/v1/messages",
            json!({"model": model, "max_tokens": 100, "messages": messages}),
            "/content/0/text",
            "message_stop",
        ),
        (
            "/v1/responses",
            json!({"model": model, "input": "one two three four five"}),
            "/output/0/content/0/text",
            "response.completed",
        ),
    ]
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

/// What the cache says of an answer, and the answer.
async fn asked(gateway: &Gateway, path: &str, body: &Value) -> (String, String) {
    let answer = gateway.post(path, body.to_string()).await;
    assert_eq!(answer.status(), 200, "{path} {body}");
    let mark = answer.headers().get("x-signalbox-cache").map(|mark| mark.to_str().unwrap().to_owned());
    let text = answer.text().await.unwrap();
    // An answer is kept right after its last byte was sent, while its request still runs.
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    (mark.unwrap_or_default(), text)
}

fn chat(model: &str) -> Value {
    formats(model)[0].1.clone()
}

#[tokio::test]
async fn an_answer_is_given_again_as_it_was_whole_or_streamed() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let mut calls = 0;
    for (path, body, ..) in formats("kept") {
        for stream in [false, true] {
            // A second question, so that the other mode's entry is not found.
            let body =
                with(with(body.clone(), "stream", stream), "temperature", f64::from(u8::from(stream)) / 4.0);
            let (first, fresh) = asked(&gateway, path, &body).await;
            calls += 1;
            assert_eq!((first.as_str(), gateway.mock.requests().len()), ("miss", calls));
            let (second, kept) = asked(&gateway, path, &body).await;
            assert_eq!((second.as_str(), gateway.mock.requests().len()), ("hit", calls));
            assert_eq!(kept, fresh, "{path} {stream}");
        }
    }
}

#[tokio::test]
async fn one_entry_answers_whole_and_streamed_in_each_format() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let mut calls = 0;
    for (path, body, text, end) in formats("kept") {
        for stream_first in [false, true] {
            let body = with(body.clone(), "temperature", f64::from(u8::from(stream_first)) / 4.0);
            let (whole, streamed) = (with(body.clone(), "stream", false), with(body, "stream", true));
            let order = if stream_first { [&streamed, &whole] } else { [&whole, &streamed] };
            let (_, one) = asked(&gateway, path, order[0]).await;
            let (mark, other) = asked(&gateway, path, order[1]).await;
            calls += 1;
            assert_eq!((mark.as_str(), gateway.mock.requests().len()), ("hit", calls), "{path}");
            let (stream, whole) = if stream_first { (one, other) } else { (other, one) };
            let whole: Value = serde_json::from_str(&whole).unwrap();
            let text = whole.pointer(text).and_then(Value::as_str).unwrap_or_else(|| panic!("{whole}"));
            assert!(!text.is_empty() && stream.contains(end), "{stream}");
            assert_eq!(streamed_text(&stream), text, "{path}: {stream}");
        }
    }
}

/// The text of a stream in any of the formats.
fn streamed_text(stream: &str) -> String {
    let events = stream.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    let text = |event: Value| {
        let text = if event["type"] == "response.output_text.delta" {
            event["delta"].as_str()
        } else {
            event.pointer("/choices/0/delta/content").or(event.pointer("/delta/text")).and_then(Value::as_str)
        };
        text.map(str::to_owned)
    };
    events.filter_map(text).collect()
}

#[tokio::test]
async fn the_usage_chunk_of_a_kept_stream_is_for_whom_it_was_asked_and_costs_nothing() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let plain = with(chat("kept"), "stream", true);
    let telling = with(plain.clone(), "stream_options", json!({"include_usage": true}));
    let path = "/v1/chat/completions";
    let (_, first) = asked(&gateway, path, &plain).await;
    assert!(!first.contains("\"prompt_tokens\""));
    let (mark, told) = asked(&gateway, path, &telling).await;
    assert_eq!(mark, "hit");
    assert!(told.contains("\"prompt_tokens\"") && told.contains("\"cost\":0"), "{told}");
    assert_eq!(streamed_text(&told), streamed_text(&first));
}

#[tokio::test]
async fn a_hit_says_how_old_it_is_under_which_key_and_that_it_cost_nothing() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    asked(&gateway, "/v1/chat/completions", &chat("kept")).await;
    let hit = gateway.post("/v1/chat/completions", chat("kept").to_string()).await;
    let header = |name: &str| hit.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("x-signalbox-cache"), header("age"), header("x-signalbox-cost-usd")),
        ("hit".into(), "0".into(), "0.000000".into())
    );
    assert!(header("cache-status").starts_with("signalbox; hit; ttl=3"), "{}", header("cache-status"));
    gateway.until_metric("signalbox_cache_hits_total{tier=\"memory\"} 1").await;
    gateway.until_metric("signalbox_cache_misses_total 1").await;
    gateway.until_metric("signalbox_cache_stores_total 1").await;
}

#[tokio::test]
async fn a_request_says_for_itself_whether_it_takes_and_leaves_an_answer() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let path = "/v1/chat/completions";
    let ask = async |headers: &[(&str, &str)], body: Value| {
        let mut request = gateway.client.post(gateway.url(path)).bearer_auth(crate::gateway::KEY);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.headers().get("x-signalbox-cache").map(|mark| mark.to_str().unwrap().to_owned()))
    };
    let said = |mark: &str| (200, Some(mark.to_owned()));
    let body = chat("kept");
    assert_eq!(ask(&[("cache-control", "only-if-cached")], body.clone()).await.0, 504);
    assert_eq!(ask(&[("cache-control", "no-store")], body.clone()).await, said("miss"));
    assert_eq!(ask(&[("x-signalbox-cache", "no-cache")], body.clone()).await, said("bypass"));
    assert_eq!(ask(&[("cache-control", "only-if-cached")], body.clone()).await, said("hit"));
    assert_eq!(ask(&[], with(body.clone(), "cache", json!({"no-cache": true}))).await, said("bypass"));
    assert_eq!(ask(&[], with(body.clone(), "cache", json!({"namespace": "n"}))).await, said("miss"));
    assert_eq!(ask(&[("x-signalbox-cache", "namespace=n")], body.clone()).await, said("hit"));
    assert_eq!(ask(&[("x-signalbox-cache", "off")], body.clone()).await, said("bypass"));
    assert_eq!(ask(&[], with(body.clone(), "cache", json!({"s-maxage": 0}))).await.0, 200);
    // What is for the gateway does not go to the provider.
    for sent in gateway.mock.requests() {
        assert!(!String::from_utf8_lossy(&sent.body).contains("\"cache\""));
    }
}

#[tokio::test]
async fn what_must_not_be_given_again_is_not_kept() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let path = "/v1/chat/completions";
    let tools = json!([{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]);
    for body in [chat("never"), with(chat("kept"), "tools", tools.clone()), with(chat("kept"), "store", true)]
    {
        for _ in 0..2 {
            assert_eq!(asked(&gateway, path, &body).await.0, "bypass", "{body}");
        }
    }
    // Unless the request asks for it.
    let wanted = with(with(chat("kept"), "tools", tools), "cache", json!({"use-cache": true}));
    asked(&gateway, path, &wanted).await;
    assert_eq!(asked(&gateway, path, &wanted).await.0, "hit");
    // A stream that breaks off, and a failure.
    for model in ["cut", "failing"] {
        let before = gateway.mock.requests().len();
        for _ in 0..2 {
            let body = with(chat(model), "stream", true).to_string();
            // The first one broke off, or there is none.
            let _ = gateway.post(path, body).await.text().await;
        }
        assert_eq!(gateway.mock.requests().len(), before + 2, "{model}");
    }
}

#[tokio::test]
async fn models_and_fields_have_entries_of_their_own_and_the_user_has_not() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let path = "/v1/chat/completions";
    asked(&gateway, path, &chat("kept")).await;
    assert_eq!(asked(&gateway, path, &chat("other")).await.0, "miss");
    assert_eq!(asked(&gateway, path, &with(chat("kept"), "top_p", 0.5)).await.0, "miss");
    assert_eq!(asked(&gateway, path, &with(chat("kept"), "user", "u")).await.0, "hit");
    assert_eq!(asked(&gateway, path, &with(chat("kept"), "metadata", json!({"a": "b"}))).await.0, "hit");
}

#[tokio::test]
async fn embeddings_are_kept() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let body = json!({"model": "kept", "input": "hello"});
    let (_, first) = asked(&gateway, "/v1/embeddings", &body).await;
    assert_eq!(asked(&gateway, "/v1/embeddings", &body).await, ("hit".to_owned(), first));
}

#[tokio::test]
async fn without_a_cache_nothing_is_kept_and_nothing_is_said() {
    let gateway = Gateway::start(MODELS, "").await;
    for calls in 1..=2 {
        assert_eq!(asked(&gateway, "/v1/chat/completions", &chat("kept")).await.0, "");
        assert_eq!(gateway.mock.requests().len(), calls);
    }
    assert!(!gateway.metrics().await.contains("signalbox_cache_"));
}

#[tokio::test]
async fn an_old_answer_is_better_than_none() {
    let cache = "cache: {exact: {ttl: 1ms, stale_if_error: 1h}}";
    let models = |provider: &str| {
        format!("  kept: {{deployments: [{{provider: {provider}, model: m}}], retries: {{attempts: 1}}}}")
    };
    let gateway = Gateway::start(&models("mock"), cache).await;
    let path = "/v1/chat/completions";
    let (mark, first) = asked(&gateway, path, &chat("kept")).await;
    assert_eq!(mark, "miss");
    gateway.reconfigure(&models("dead"), cache);
    gateway.reloaded(1).await;
    let answer = gateway.post(path, chat("kept").to_string()).await;
    assert_eq!(answer.status(), 200);
    let status = answer.headers()["cache-status"].to_str().unwrap().to_owned();
    assert!(
        status.starts_with("signalbox; fwd=stale; fwd-status=502; ttl=")
            && status.ends_with("\"stale-if-error\""),
        "{status}"
    );
    assert_eq!(answer.text().await.unwrap(), first);
    // Another question has no old answer.
    let other = gateway.post(path, with(chat("kept"), "top_p", 0.5).to_string()).await;
    assert_eq!(other.status(), 502);
}

#[tokio::test]
async fn an_answer_past_its_time_is_served_while_one_request_fetches_a_new_one() {
    let cache = "cache: {exact: {ttl: 1ms, stale_while_revalidate: 1h}}";
    let gateway =
        Gateway::start("  slow: {deployments: [{provider: mock, model: 'm;ttft=700ms'}]}", cache).await;
    let path = "/v1/chat/completions";
    let (mark, first) = asked(&gateway, path, &chat("slow")).await;
    assert_eq!((mark.as_str(), gateway.mock.requests().len()), ("miss", 1));
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        let answer = gateway.post(path, chat("slow").to_string()).await;
        let status = answer.headers()["cache-status"].to_str().unwrap().to_owned();
        assert!(status.starts_with("signalbox; hit; ttl="), "{status}");
        assert!(status.ends_with("; detail=\"stale-while-revalidate\""), "{status}");
        assert_eq!(answer.text().await.unwrap(), first);
    }
    assert!(begun.elapsed() < std::time::Duration::from_millis(600), "a client waited for the new answer");
    gateway.until_metric("signalbox_cache_stores_total 2").await;
    assert_eq!(gateway.mock.requests().len(), 2, "five who got the old answer make one call");
}

#[tokio::test]
async fn answers_of_a_file_are_there_before_anybody_has_asked() {
    let gateway = Gateway::start(MODELS, "cache: {exact: {scope: global}}").await;
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "kept",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Forty-two."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    });
    let line = |model: &str| json!({"path": "/v1/chat/completions", "scope": "global", "request": chat(model), "answer": answer});
    let file = gateway.folder.join("answers.jsonl");
    std::fs::write(&file, format!("{}\n\n{}\n", line("kept"), line("nobody"))).unwrap();
    let admin = format!("http://{}", gateway.admin);
    let warm = |token: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_signalbox"));
        command.args(["cache", "warm", "--admin", &admin, "--token", token, "--file"]).arg(&file);
        command.output().unwrap()
    };
    // Nobody may without a token.
    assert!(String::from_utf8(warm("wrong").stderr).unwrap().contains("401"));
    let path = gateway.folder.join("signalbox.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("admin: {", "admin: {token: admin-token-1, ", 1)).unwrap();
    gateway.reloaded(1).await;
    let told = warm("admin-token-1");
    let (out, errors) = (String::from_utf8(told.stdout).unwrap(), String::from_utf8(told.stderr).unwrap());
    assert_eq!((out.as_str(), told.status.success()), ("1 answers are kept, 1 are not\n", false), "{errors}");
    assert!(errors.contains("line 3: there is no model `nobody`"), "{errors}");
    for stream in [false, true] {
        let (mark, text) =
            asked(&gateway, "/v1/chat/completions", &with(chat("kept"), "stream", stream)).await;
        assert!(mark == "hit" && text.contains("Forty-two."), "{text}");
    }
    assert_eq!(gateway.mock.requests().len(), 0);
}

#[tokio::test]
async fn only_a_refusal_of_the_request_itself_is_kept_and_not_for_long() {
    let models = "
  wrong: {deployments: [{provider: mock, model: 'm;status=400'}], retries: {attempts: 1}}
  busy: {deployments: [{provider: mock, model: 'm;status=429'}], retries: {attempts: 1}, cooldown: {failures: 100, open: 1ms}}
  broken: {deployments: [{provider: mock, model: 'm;status=500'}], retries: {attempts: 1}, cooldown: {failures: 100, open: 1ms}}
";
    let gateway = Gateway::start(models, "cache: {exact: {negative_ttl: 2s}}").await;
    let path = "/v1/chat/completions";
    let first = gateway.post(path, chat("wrong").to_string()).await;
    let (status, first) = (first.status(), first.json::<Value>().await.unwrap());
    assert_eq!(status, 400);
    let again = gateway.post(path, chat("wrong").to_string()).await;
    let mark = again.headers()["cache-status"].to_str().unwrap().to_owned();
    assert!(mark.starts_with("signalbox; hit; ttl="), "{mark}");
    assert_eq!(
        (again.status(), again.json::<Value>().await.unwrap()["error"]["message"].clone()),
        (status, first["error"]["message"].clone())
    );
    assert_eq!(gateway.mock.requests().len(), 1);
    let mut calls = 1;
    for model in ["busy", "broken"] {
        for _ in 0..2 {
            calls += 1;
            assert!(gateway.post(path, chat(model).to_string()).await.status().as_u16() >= 429);
            assert_eq!(gateway.mock.requests().len(), calls, "{model}");
        }
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while gateway.mock.requests().len() == calls {
        assert!(std::time::Instant::now() < deadline, "the refusal is kept for ever");
        assert_eq!(gateway.post(path, chat("wrong").to_string()).await.status(), 400);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
