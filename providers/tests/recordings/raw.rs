//! Recorded rankings and moderations: the request reaches the provider with nothing changed but the model,
//! the answer the client with nothing changed at all.

use bytes::Bytes;
use providers::{Operation, catalogue, decode_answer, encode_request, read_request_head};
use serde_json::Value;

use crate::recording::{all, text};

#[test]
fn every_recorded_ranking_and_moderation_passes_unchanged() {
    let (mut answers, mut requests) = (0, 0);
    for (file, recording) in all() {
        let operation = match recording["kind"].as_str().unwrap() {
            "rerank" => Operation::Rerank,
            "moderation" => Operation::Moderations,
            "audio_transcription" => Operation::AudioTranscriptions,
            _ => continue,
        };
        let kind = recording["provider"].as_str().unwrap();
        let spec = catalogue().provider(kind).unwrap();
        let whole = |body: &Value| Bytes::from(text(body));
        let Some(body) = recording.get("response_body").filter(|_| recording["response_status"] == 200)
        else {
            continue;
        };
        let answer = decode_answer(operation, spec.format, whole(body)).unwrap();
        assert_eq!(answer.body, whole(body), "{file}");
        let total = body["usage"]["total_tokens"].as_u64();
        assert_eq!(answer.usage.map(|usage| usage.total()), total, "{file}");
        answers += 1;
        let url = recording["request"]["url"].as_str().unwrap();
        let form = &recording["request"]["body_text"];
        let (request, model) = match &recording["request"]["body"] {
            request @ Value::Object(_) => (whole(request), "\"other\""),
            _ if operation.is_form() && form.is_string() => (whole(form), "other"),
            _ => continue,
        };
        // A recorded form may have lost its end with the sound in it.
        let Ok(head) = read_request_head(operation, "", &request) else {
            assert!(operation.is_form(), "{file}");
            continue;
        };
        let sent = encode_request(operation, &head, &request, spec, "other", false).unwrap();
        let span = head.model_span.clone().unwrap();
        let mut expected = request[..span.start].to_vec();
        expected.extend_from_slice(model.as_bytes());
        expected.extend_from_slice(&request[span.end..]);
        assert_eq!(sent.body, expected, "{file}");
        let target = format!("{}{}", spec.base_url.as_deref().unwrap(), sent.path);
        assert_eq!(target, url, "{file}");
        requests += 1;
    }
    println!("{answers} answers and {requests} requests unchanged");
    assert!(answers >= 9 && requests >= 7, "{answers} answers, {requests} requests");
}
