//! Counts the tokens of an answer that its provider has not counted.

/// Builds the tokenizer on a thread of its own: the first request that needs it would wait for a quarter of a second, in
/// a build without optimisation for a whole one.
pub fn prepare() {
    let building = || {
        providers::count_text("", "a");
    };
    if let Err(error) = std::thread::Builder::new().name("tokenizer".to_owned()).spawn(building) {
        tracing::warn!(%error, "the tokenizer will be built by the first request that needs it");
    }
}

/// On a thread where a long text delays nobody. 0 for no text, and when the process is ending.
pub async fn count(model: String, text: String) -> u64 {
    if text.is_empty() {
        return 0;
    }
    tokio::task::spawn_blocking(move || providers::count_text(&model, &text)).await.unwrap_or(0)
}
