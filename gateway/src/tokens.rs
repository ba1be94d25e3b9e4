//! Counts the tokens of an answer that its provider has not counted.

/// On a thread where a long text delays nobody. 0 for no text, and when the process is ending.
pub async fn count(model: String, text: String) -> u64 {
    if text.is_empty() {
        return 0;
    }
    tokio::task::spawn_blocking(move || providers::count_text(&model, &text)).await.unwrap_or(0)
}
