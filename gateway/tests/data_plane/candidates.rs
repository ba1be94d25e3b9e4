//! Routes over several models: what keeps a model away, what decides among the rest, and what is said of it.

use std::process::Command;

use reqwest::Response;
use serde_json::{Value, json};

use crate::gateway::{Gateway, KEY};

/// Three models of the mock with prices and qualities that do not depend on the prompt, and one that the classifier knows.
fn models(route: &str) -> String {
    let model = |name: &str, price: u32| {
        format!(
            "  {name}:\n    deployments: [{{provider: mock, model: {name}-upstream, price: {{input: {price}, output: {price}, \
             cached_input: {}}}}}]\n",
            f64::from(price) / 10.0
        )
    };
    format!(
        "{}{}{}  auto:\n    route: {{{route}}}\n",
        model("cheap", 1),
        model("middle", 10),
        model("dear", 100)
    )
}

const CANDIDATES: &str = "candidates: [{model: dear, quality: 0.95}, {model: middle, quality: 0.85}, \
                          {model: cheap, quality: 0.5, tools: false, vision: false, context: 2000}]";

fn chat(content: impl Into<Value>) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": content.into()}]})
}

fn route_of(answer: &Response) -> String {
    assert_eq!(answer.status(), 200);
    answer.headers()["x-signalbox-route"].to_str().unwrap().to_owned()
}

async fn ask(gateway: &Gateway, body: &Value) -> String {
    route_of(&gateway.post("/v1/chat/completions", body.to_string()).await)
}

#[tokio::test]
async fn the_objective_picks_among_several_and_the_rest_are_its_fallbacks() {
    for (policy, chosen) in [
        ("target_quality: 0.8", "middle; reason=policy; quality=0.8500; cost_usd=0."),
        ("target_quality: 0.99", "dear; reason=policy; quality=0.9500"),
        ("weights: {quality: 1, cost: 0.2}", "middle; reason=policy"),
        ("weights: {quality: 1, cost: 10}", "cheap; reason=policy"),
        ("max_cost: 0.004", "middle; reason=policy"),
        ("max_cost: 0.0004", "cheap; reason=constraint"),
    ] {
        let gateway = Gateway::start(&models(&format!("{CANDIDATES}, {policy}")), "").await;
        let route = ask(&gateway, &chat("hello")).await;
        assert!(route.starts_with(chosen), "{policy}: {route}");
    }
}

#[tokio::test]
async fn a_model_that_fails_leaves_the_request_to_the_next_candidate() {
    let broken = models(&format!("{CANDIDATES}, target_quality: 0.8"))
        .replace("provider: mock, model: middle-upstream", "provider: dead, model: middle-upstream");
    let gateway = Gateway::start(&broken, "").await;
    let answer = gateway.post("/v1/chat/completions", chat("hello").to_string()).await;
    assert_eq!(answer.headers()["x-signalbox-fallback"], "true");
    assert!(route_of(&answer).starts_with("middle"));
    let asked: Value = serde_json::from_slice(&gateway.mock.requests().last().unwrap().body).unwrap();
    assert_eq!(asked["model"], "dear-upstream", "the next that is good enough");
}

#[tokio::test]
async fn a_request_goes_only_where_it_can_be_taken() {
    let gateway = Gateway::start(&models(&format!("{CANDIDATES}, target_quality: 0.1")), "").await;
    assert!(ask(&gateway, &chat("hello")).await.starts_with("cheap"));
    let mut tools = chat("hello");
    tools["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    assert!(ask(&gateway, &tools).await.starts_with("middle"));
    tools["tools"] = json!([]);
    assert!(ask(&gateway, &tools).await.starts_with("cheap"), "an empty list offers none");
    let image = json!([{"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    assert!(ask(&gateway, &chat(image)).await.starts_with("middle"));
    assert!(ask(&gateway, &chat("long ".repeat(2_000))).await.starts_with("middle"));
}

#[tokio::test]
async fn rules_come_before_the_classifier() {
    let rules = "rules: [\
        {name: sql, when: {keywords: [SQL]}, use: dear}, \
        {name: gold, when: {metadata: {tier: gold}}, use: middle}, \
        {name: stuck, when: {errors: {min: 2}}, use: dear}, \
        {name: step, when: {after_tool: true}, use: cheap}]";
    let gateway = Gateway::start(&models(&format!("{CANDIDATES}, target_quality: 0.8, {rules}")), "").await;
    assert!(ask(&gateway, &chat("tune this sql")).await.starts_with("dear; reason=rule; rule=sql"));
    let mut gold = chat("hello");
    gold["metadata"] = json!({"tier": "gold"});
    assert!(ask(&gateway, &gold).await.starts_with("middle; reason=rule; rule=gold"));
    let step = |results: &[&str]| {
        let mut body = chat("hello");
        let messages = body["messages"].as_array_mut().unwrap();
        let calls: Vec<Value> = (0..results.len())
            .map(|at| json!({"id": format!("c{at}"), "type": "function", "function": {"name": "f", "arguments": "{}"}}))
            .collect();
        messages.push(json!({"role": "assistant", "tool_calls": calls}));
        for (at, result) in results.iter().enumerate() {
            messages.push(json!({"role": "tool", "tool_call_id": format!("c{at}"), "content": result}));
        }
        body
    };
    assert!(ask(&gateway, &step(&["42"])).await.starts_with("cheap; reason=rule; rule=step"));
    let stuck = step(&["Error: no such file", "Traceback (most recent call last)"]);
    assert!(ask(&gateway, &stuck).await.starts_with("dear; reason=rule; rule=stuck"));
    assert!(ask(&gateway, &chat("hello")).await.starts_with("middle; reason=policy"));
}

#[tokio::test]
async fn a_conversation_that_grows_at_once_can_have_its_own_model() {
    let rules = "rules: [{name: grown, when: {growth: {min: 500}}, use: dear}]";
    let route = format!("{CANDIDATES}, target_quality: 0.8, {rules}");
    let gateway = Gateway::start(&models(&route), "").await;
    let with = |last: &str| {
        let mut body = chat("hello");
        let said = [json!({"role": "assistant", "content": "hi"}), json!({"role": "user", "content": last})];
        body["messages"].as_array_mut().unwrap().extend(said);
        body
    };
    assert!(ask(&gateway, &chat("hello")).await.starts_with("middle; reason=policy"));
    assert!(ask(&gateway, &with("and now?")).await.starts_with("middle; reason=policy"));
    let grown = with(&"line of a long result ".repeat(200));
    assert!(ask(&gateway, &grown).await.starts_with("dear; reason=rule; rule=grown"));
    let first = chat("another beginning ".repeat(300));
    assert!(ask(&gateway, &first).await.starts_with("middle; reason=policy"), "nothing is known of it");
}

#[tokio::test]
async fn a_conversation_stays_with_its_model_while_leaving_costs_its_prompt_cache() {
    let long = "word ".repeat(4_000);
    let body = |last: &str| {
        json!({"model": "auto", "max_tokens": 10, "messages": [{"role": "system", "content": long},
            {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": last}]})
    };
    let rules = "rules: [{name: sql, when: {keywords: [sql]}, use: dear}]";
    let pair = "candidates: [{model: dear, quality: 0.95}, {model: middle, quality: 0.85}]";
    // Cached, a dear prompt costs as much as a middling one that is not.
    for (sticky, price, chosen) in [
        ("priced", 100, "middle; reason=policy"),
        ("priced", 60, "dear; reason=policy"),
        ("off", 60, "middle; reason=policy"),
        ("hold", 100, "dear; reason=sticky"),
    ] {
        let route = format!("{pair}, target_quality: 0.8, {rules}, sticky: {sticky}");
        let models = models(&route).replace(
            "input: 100, output: 100, cached_input: 10",
            &format!("input: {price}, output: 10, cached_input: 6"),
        );
        let models =
            if price == 100 { models.replace("cached_input: 6", "cached_input: 60") } else { models };
        let gateway = Gateway::start(&models, "").await;
        assert!(ask(&gateway, &body("first the sql")).await.starts_with("dear; reason=rule"));
        let route = ask(&gateway, &body("and now?")).await;
        assert!(route.starts_with(chosen), "{sticky} {price}: {route}");
    }
}

#[tokio::test]
async fn a_key_that_may_not_name_a_model_is_not_led_to_it_where_that_is_wanted() {
    let keys = "  - {name: small, key: sk-small-key, models: [auto, cheap]}\n  - {name: all, key: sk-all-key, models: [auto]}\n";
    let ask = async |gateway: &Gateway, key: &str| {
        let body = chat("hello").to_string();
        let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key).body(body);
        request.send().await.unwrap()
    };
    let route = format!("{CANDIDATES}, target_quality: 0.8");
    let gateway = Gateway::start(&models(&route), keys).await;
    assert!(route_of(&ask(&gateway, "sk-small-key").await).starts_with("middle"));
    let gateway = Gateway::start(&models(&format!("{route}, respect_keys: true")), keys).await;
    assert!(route_of(&ask(&gateway, "sk-small-key").await).starts_with("cheap; reason=constraint"));
    assert_eq!(ask(&gateway, "sk-all-key").await.status(), 403, "it may have none of them");
}

#[tokio::test]
async fn every_decision_of_the_log_can_be_replayed() {
    let route = "candidates: [{model: dear, head: strong}, {model: middle, head: weak}, {model: cheap, quality: 0.5}], \
                 weights: {quality: 1, cost: 0.3, latency: 0.1}";
    let gateway = Gateway::start(&models(route), "\nlog: {access: access.log, level: error}").await;
    let prompts = ["hello", "Prove that there are infinitely many primes.", "2+2?", "SECRET-WORD in a poem"];
    for prompt in prompts {
        ask(&gateway, &chat(prompt)).await;
    }
    let path = gateway.folder.join("access.log");
    let decisions = || std::fs::read_to_string(&path).unwrap_or_default().matches("\"decision\":").count();
    crate::gateway::eventually("the log is written", || decisions() == prompts.len()).await;
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(!log.contains("SECRET-WORD") && !log.contains("primes"), "{log}");
    let replay = |path: &std::path::Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_signalbox"))
            .args(["router", "replay"])
            .arg(path)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(replay(&path), (true, "4 decisions, 4 reproduced, 0 different\n".to_owned()));
    // A log that was tampered with shows.
    let other = gateway.folder.join("other.log");
    let first = log.lines().find(|line| line.contains("\"decision\":")).unwrap();
    let order = first.find("\"order\":[").unwrap() + "\"order\":[".len();
    let mut changed = first.to_owned();
    changed.replace_range(order..=order, if &first[order..=order] == "0" { "1" } else { "0" });
    std::fs::write(&other, changed).unwrap();
    let (is_same, text) = replay(&other);
    assert!(!is_same && text.contains("1 different"), "{text}");
}

#[tokio::test]
async fn a_wrong_route_is_refused_with_its_path() {
    for (route, said) in [
        ("candidates: [{model: dear}]", "models.auto.route.candidates[0].head"),
        ("candidates: [{model: nobody, quality: 1}]", "models.auto.route.candidates[0].model"),
        ("candidates: [{model: dear, quality: 1}], threshold: 0.5", "for `strong` and `weak`"),
        ("strong: dear, weak: cheap", "neither a threshold nor a share"),
        ("strong: dear, threshold: 1", "add the other"),
        ("strong: dear, weak: cheap, threshold: 1, target_quality: 1", "keep one of them"),
        (
            "strong: dear, weak: cheap, share: 1, rules: [{name: a, use: middle}]",
            "models.auto.route.rules[0].use",
        ),
        (
            "strong: dear, weak: cheap, share: 1, rules: [{name: a, use: cheap, when: {hours: noon}}]",
            "22:00-06:00",
        ),
        (
            "strong: dear, weak: cheap, share: 1, external: {kind: routellm}",
            "models.auto.route.external.base_url",
        ),
    ] {
        let text = format!(
            "providers: {{mock: {{kind: openai, api_key: k}}}}\nmodels:\n{}keys: [{{name: k, key: {KEY}}}]\n",
            models(route)
        );
        let path = std::env::temp_dir().join(format!("signalbox-route-{}.yaml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_signalbox"))
            .args(["check", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && told.contains(said), "{route}: {told}");
    }
}

#[tokio::test]
async fn a_virtual_model_of_a_pair_stands_for_its_default() {
    let models = format!(
        "{}  outer:\n    route: {{strong: auto, weak: cheap, threshold: 0}}\n",
        models("strong: dear, weak: middle, share: 0")
    );
    let gateway = Gateway::start(&models, "").await;
    let mut body = chat("hello");
    body["model"] = json!("outer");
    assert!(ask(&gateway, &body).await.starts_with("auto; reason=classifier"));
    let asked: Value = serde_json::from_slice(&gateway.mock.requests().last().unwrap().body).unwrap();
    assert_eq!(asked["model"], "dear-upstream");
}
