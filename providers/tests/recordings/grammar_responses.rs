//! The grammar of a stream of Responses events, as a strict client reads it: every event numbered, every
//! item announced before its pieces and repeated whole after them, everything once more at the end.

use serde_json::{Value, json};

#[derive(Default)]
struct Item {
    id: Value,
    kind: String,
    part_open: bool,
    part_done: bool,
    text: String,
}

/// Panics where a stream that we wrote breaks the grammar.
pub(crate) fn check_responses(file: &str, stream: &str) {
    let mut numbers = 0..;
    let mut done: Vec<Value> = Vec::new();
    let mut open: Option<Item> = None;
    let mut ended = false;
    for block in stream.split("\n\n").filter(|block| !block.is_empty()) {
        let (name, data) = block.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let kind = event["type"].as_str().unwrap();
        assert_eq!(name.strip_prefix("event: "), Some(kind), "{file}");
        assert_eq!(event["sequence_number"], json!(numbers.next().unwrap()), "{file}: {kind}");
        assert!(!ended, "{file}: {kind} after the end");
        let number = event["sequence_number"].as_u64().unwrap();
        assert_eq!(number == 0, kind == "response.created", "{file}: {kind} as event {number}");
        assert_eq!(number == 1, kind == "response.in_progress", "{file}: {kind} as event {number}");
        match kind {
            "response.created" | "response.in_progress" => {
                assert_eq!(event["response"]["status"], "in_progress", "{file}");
                assert_eq!(event["response"]["output"], json!([]), "{file}");
            }
            "response.output_item.added" => {
                assert!(open.is_none(), "{file}: an item within an item");
                assert_eq!(event["output_index"], json!(done.len()), "{file}");
                let item = &event["item"];
                let kind = item["type"].as_str().unwrap().to_owned();
                open = Some(Item { id: item["id"].clone(), kind, ..Item::default() });
            }
            "response.output_item.done" => {
                let item = open.take().unwrap_or_else(|| panic!("{file}: no item is open"));
                assert_eq!(event["output_index"], json!(done.len()), "{file}");
                check_done(file, &item, &event["item"]);
                done.push(event["item"].clone());
            }
            "response.completed" | "response.incomplete" => {
                ended = true;
                assert!(open.is_none(), "{file}: an item is left open");
                assert_eq!(event["response"]["output"], Value::from(done.clone()), "{file}");
                assert!(event["response"]["usage"]["total_tokens"].is_u64(), "{file}");
                let status = kind.strip_prefix("response.").unwrap();
                assert_eq!(event["response"]["status"], status, "{file}");
            }
            kind => {
                let item = open.as_mut().unwrap_or_else(|| panic!("{file}: {kind} outside an item"));
                assert_eq!(event["item_id"], item.id, "{file}: {kind}");
                assert_eq!(event["output_index"], json!(done.len()), "{file}: {kind}");
                check_piece(file, item, kind, &event);
            }
        }
    }
    assert!(ended, "{file}: no end");
    let ids: std::collections::BTreeSet<_> = done.iter().map(|item| item["id"].to_string()).collect();
    assert_eq!(ids.len(), done.len(), "{file}: an id is used twice");
}

fn check_piece(file: &str, item: &mut Item, kind: &str, event: &Value) {
    let expected = match kind {
        "response.content_part.added" | "response.content_part.done" => "message",
        "response.output_text.delta" | "response.output_text.done" => "message",
        "response.function_call_arguments.delta" | "response.function_call_arguments.done" => "function_call",
        kind if kind.starts_with("response.reasoning_summary_") => "reasoning",
        other => panic!("{file}: {other}"),
    };
    assert_eq!(item.kind, expected, "{file}: {kind}");
    if kind.ends_with("part.added") {
        assert!(!item.part_open && item.text.is_empty(), "{file}: {kind}");
        item.part_open = true;
    } else if kind.ends_with(".delta") {
        assert!(item.part_open || item.kind == "function_call", "{file}: {kind}");
        item.text += event["delta"].as_str().unwrap();
    } else if kind.ends_with("part.done") {
        assert!(item.part_open && !item.part_done, "{file}: {kind}");
        assert_eq!(event["part"]["text"], item.text.as_str(), "{file}");
        item.part_done = true;
    } else {
        let whole = event["text"].as_str().or(event["arguments"].as_str());
        assert_eq!(whole, Some(item.text.as_str()), "{file}: {kind}");
    }
}

fn check_done(file: &str, item: &Item, done: &Value) {
    assert_eq!(done["id"], item.id, "{file}");
    assert_eq!(done["type"], item.kind.as_str(), "{file}");
    assert_eq!(item.part_open, item.part_done, "{file}: a part is left open");
    let whole = match item.kind.as_str() {
        "message" => &done["content"][0]["text"],
        "function_call" => &done["arguments"],
        _ if done["summary"] == json!([]) => return,
        _ => &done["summary"][0]["text"],
    };
    assert_eq!(*whole, item.text.as_str(), "{file}");
}
