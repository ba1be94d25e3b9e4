//! A stream that breaks off after tokens were sent: the client gets the whole answer, or an error in the
//! stream, and never a cut answer that looks whole.

use serde_json::{Value, json};

use crate::gateway::{Gateway, chat};

const FAULTS: [&str; 4] = ["close", "hang", "malformed", "error_event"];

fn models() -> String {
    let mut models = String::from(
        "
  good: {deployments: [{provider: mock, model: good}]}
  good-claude: {deployments: [{provider: claude, model: claude, prefill: true}]}
  other: {deployments: [{provider: mock, model: m;size=4000}]}
  trickle: {deployments: [{provider: mock, model: m;gap=400ms;chunks=100000}], min_chars_per_second: 100, timeouts: {idle: 2s}, resume: off}
",
    );
    for fault in FAULTS {
        for (name, provider, fallback) in [
            ("chat-again", "mock", "good"),
            ("chat-prefill", "mock", "good-claude"),
            ("claude-again", "claude", "good"),
            ("claude-prefill", "claude", "good-claude"),
            ("chat-other", "mock", "other"),
        ] {
            models.push_str(&format!(
                "  {name}-{fault}: {{deployments: [{{provider: {provider}, model: m;fault={fault};after=3}}], \
                 timeouts: {{idle: 300ms}}, fallbacks: [{fallback}]}}\n"
            ));
        }
    }
    models
}

fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn chat_text(text: &str) -> String {
    let events = events(text);
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

fn message_text(text: &str) -> String {
    events(text).iter().filter_map(|event| event["delta"]["text"].as_str()).collect()
}

const PROMPT: &str = "one two three four five six seven eight";

fn request(model: &str) -> Value {
    json!({"model": model, "stream": true, "max_tokens": 100, "messages": [{"role": "user", "content": PROMPT}]})
}

#[tokio::test]
async fn a_broken_chat_stream_goes_on_by_prefill_or_by_a_new_answer() {
    let gateway = Gateway::start(&models(), "").await;
    for fault in FAULTS {
        for name in ["chat-again", "chat-prefill", "claude-again", "claude-prefill"] {
            let model = format!("{name}-{fault}");
            let mut body = request(&model);
            body["stream_options"] = json!({"include_usage": true});
            let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
            let text = answer.text().await.unwrap();
            assert_eq!(chat_text(&text), PROMPT, "{model}: {text}");
            assert!(text.ends_with("data: [DONE]\n\n"), "{model}: {text}");
            assert!(text.contains("\n: x-signalbox-resumed: "), "{model}: {text}");
            let events = events(&text);
            let finished = events.iter().filter(|event| event["choices"][0]["finish_reason"].is_string());
            assert_eq!(finished.count(), 1, "{model}: {text}");
            assert!(events.iter().all(|event| event["id"] == events[0]["id"]), "{model}: {text}");
            assert_eq!(events.last().unwrap()["usage"]["completion_tokens"].as_u64().unwrap(), 8, "{text}");
        }
    }
}

#[tokio::test]
async fn a_broken_message_stream_goes_on_in_its_open_block() {
    let gateway = Gateway::start(&models(), "").await;
    for fault in FAULTS {
        for name in ["chat-again", "chat-prefill", "claude-again", "claude-prefill"] {
            let model = format!("{name}-{fault}");
            let text = gateway.post("/v1/messages", request(&model).to_string()).await.text().await.unwrap();
            assert_eq!(message_text(&text), PROMPT, "{model}: {text}");
            let kinds: Vec<String> =
                events(&text).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
            for once in ["message_start", "content_block_start", "content_block_stop", "message_stop"] {
                assert_eq!(kinds.iter().filter(|kind| *kind == once).count(), 1, "{model}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_prefill_is_sent_as_the_assistants_last_message() {
    let gateway = Gateway::start(&models(), "").await;
    let answer = gateway.post("/v1/chat/completions", request("chat-prefill-close").to_string()).await;
    answer.text().await.unwrap();
    let sent = gateway.mock.requests().pop().unwrap();
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let last = sent["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["role"], "assistant", "{sent}");
}

#[tokio::test]
async fn an_answer_that_turns_out_another_ends_with_an_error() {
    let gateway = Gateway::start(&models(), "").await;
    for fault in FAULTS {
        let model = format!("chat-other-{fault}");
        let mut body = request(&model);
        // The prompt's words are said again and again: the end comes too late.
        body["messages"][0]["content"] = "one two three".into();
        let text = gateway.post("/v1/chat/completions", body.to_string()).await.text().await.unwrap();
        let is_whole = text.contains("[DONE]");
        assert!(is_whole != text.contains("\"error\""), "{model}: {text}");
    }
}

#[tokio::test]
async fn tool_arguments_and_structured_output_are_never_pieced_together() {
    let gateway = Gateway::start(&models(), "").await;
    let mut structured = request("chat-again-close");
    structured["response_format"] = json!({"type": "json_object"});
    let mut tools = request("chat-again-close");
    tools["tools"] = json!([{"type": "function", "function": {"name": "look", "parameters":
        {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}]);
    for body in [structured, tools] {
        let text = gateway.post("/v1/chat/completions", body.to_string()).await.text().await.unwrap();
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
    }
}

#[tokio::test]
async fn a_trickle_counts_as_a_stall() {
    let gateway = Gateway::start(&models(), "").await;
    let answer = gateway.post("/v1/chat/completions", chat("trickle", true).to_string()).await;
    let text = answer.text().await.unwrap();
    assert!(text.contains("min_chars_per_second") && !text.contains("[DONE]"), "{text}");
}
