//! A transformer behind the semantic cache: it makes the vectors, apart from those of the table; where it is missing or
//! late, no request fails.

use crate::gateway::Gateway;
use crate::semantic::{EASY, MODELS, until_served};

fn cache(minilm: &str) -> String {
    EASY.replace("semantic: {", &format!("semantic: {{embedder: minilm, minilm: {{{minilm}}}, "))
}

#[tokio::test]
async fn without_the_model_the_built_in_table_makes_the_vectors() {
    let gateway = Gateway::start(MODELS, &cache("path: /nowhere/minilm")).await;
    until_served(&gateway).await;
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("signalbox_cache_semantic_encoder_up 0"), "{metrics}");
}

/// With the library, which `ORT_DYLIB_PATH` names, and the model that `SIGNALBOX_MINILM` does.
#[cfg(feature = "onnxruntime-tests")]
mod with_the_library {
    use std::path::Path;

    use super::*;
    use crate::semantic::{ask, end, plain, reworded};
    use crate::small_model::SmallModel;

    fn of(folder: &Path, deadline: &str) -> String {
        cache(&format!("path: {}, deadline: {deadline}", folder.display()))
    }

    /// A metric's value.
    fn value(metrics: &str, name: &str) -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    const MADE: &str = "signalbox_cache_semantic_encodings_total{outcome=\"made\"}";
    const LATE: &str = "signalbox_cache_semantic_encodings_total{outcome=\"late\"}";

    #[tokio::test]
    async fn minilm_itself_finds_another_wording() {
        let folder = std::env::var_os("SIGNALBOX_MINILM").expect("scripts/fetch-minilm brings it");
        let gateway = Gateway::start(MODELS, &of(Path::new(&folder), "1s")).await;
        until_served(&gateway).await;
        let metrics = gateway.metrics().await;
        assert!(metrics.contains("signalbox_cache_semantic_encoder_up 1"), "{metrics}");
        assert!(value(&metrics, MADE) >= 16.0, "{metrics}");
    }

    #[tokio::test]
    async fn what_one_embedder_has_learnt_is_not_used_by_another() {
        let folder = tempfile::tempdir().unwrap();
        SmallModel::embedder().write(folder.path());
        let disk = format!(
            "cache: {{disk: {{path: {}, size: 64MiB}}, semantic:",
            folder.path().join("kept").display()
        );
        let on_disk = |cache: String| cache.replace("cache: {semantic:", &disk);
        let mut gateway = Gateway::start(MODELS, &on_disk(of(folder.path(), "1s"))).await;
        let (at, _) = until_served(&gateway).await;
        for (extra, mark) in [(of(folder.path(), "1s"), "semantic"), (EASY.to_owned(), "miss")] {
            end(&mut gateway).await;
            gateway.reconfigure(MODELS, &on_disk(extra));
            gateway.restart_after_kill().await;
            assert_eq!(ask(&gateway, &reworded(at)).await.mark, mark);
        }
    }

    #[tokio::test]
    async fn a_late_vector_is_a_miss_and_is_made_after_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        SmallModel { rounds: 2_000, ..SmallModel::embedder() }.write(folder.path());
        let gateway = Gateway::start(MODELS, &of(folder.path(), "1ms")).await;
        for at in 0..4 {
            assert_eq!(ask(&gateway, &plain(at)).await.mark, "miss");
            assert_eq!(ask(&gateway, &reworded(at)).await.mark, "miss");
        }
        gateway.until_metric("signalbox_cache_semantic_entries 8").await;
        let metrics = gateway.metrics().await;
        assert!(value(&metrics, LATE) >= 1.0, "{metrics}");
    }

    #[tokio::test]
    async fn a_model_of_the_configuration_chooses_its_own_embedder() {
        let folder = tempfile::tempdir().unwrap();
        SmallModel::embedder().write(folder.path());
        let models = MODELS.replace("other: {", "other: {embedder: static, ");
        let gateway = Gateway::start(&models, &of(folder.path(), "1s")).await;
        let to_other = |mut body: serde_json::Value| {
            body["model"] = "other".into();
            body
        };
        for at in 0..3 {
            ask(&gateway, &to_other(plain(at))).await;
            ask(&gateway, &to_other(reworded(at))).await;
        }
        assert!(value(&gateway.metrics().await, MADE) < 1.0);
        ask(&gateway, &plain(0)).await;
        gateway.until_metric(&format!("{MADE} 1")).await;
    }
}
