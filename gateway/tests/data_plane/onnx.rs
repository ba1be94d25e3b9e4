//! ONNX Runtime under a route: without its library, and with models that are damaged, nobody's request fails.

use std::path::PathBuf;

use serde_json::json;

use crate::gateway::Gateway;

fn models(classifier: &str, router: &str) -> String {
    format!(
        "  large: {{deployments: [{{provider: mock, model: large-upstream}}]}}\n  small: {{deployments: [{{provider: mock, \
         model: small-upstream}}]}}\n  auto:\n    route: {{strong: large, weak: small, share: 0, classifier: {classifier}, \
         rules: [{{name: hi, when: {{keywords: [ahoy]}}, use: small}}]}}\nrouter: {{{router}}}\n"
    )
}

pub(crate) async fn ask(gateway: &Gateway, prompt: &str) -> String {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": prompt}]});
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    assert_eq!(answer.status(), 200);
    answer.headers()["x-signalbox-route"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_a_library_that_can_be_loaded_the_built_in_evaluator_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("libonnxruntime.so");
    std::fs::write(&damaged, "this is no library").unwrap();
    for library in [PathBuf::from("/nowhere/libonnxruntime.so"), damaged] {
        let router = format!("runtime: onnx, library: {}", library.display());
        let nothing = [("ORT_DYLIB_PATH", PathBuf::new())];
        let gateway = Gateway::start_with_environment(&models("builtin", &router), &nothing).await;
        let route = ask(&gateway, "Name three colours.").await;
        assert!(route.starts_with("small; reason=classifier; win=0."), "{route}");
        let metrics = gateway.metrics().await;
        assert!(metrics.contains("signalbox_route_onnx_up{classifier=\"builtin\"} 0"), "{metrics}");
        assert!(metrics.contains("signalbox_route_classifier_up{classifier=\"builtin\"} 1"), "{metrics}");
    }
}

/// With the library, which `ORT_DYLIB_PATH` names.
#[cfg(feature = "onnxruntime-tests")]
mod with_the_library {
    use std::path::Path;

    use super::*;

    const SBM: &[u8] = include_bytes!("../../../router-model/models/lexical-v1.sbm");
    const ONNX: &[u8] = include_bytes!("../../../router-model/models/lexical-v1.onnx");

    /// A classifier's two files; its name.
    fn classifier(folder: &Path, onnx: &[u8]) -> String {
        std::fs::write(folder.join("mine.sbm"), SBM).unwrap();
        std::fs::write(folder.join("mine.onnx"), onnx).unwrap();
        folder.join("mine.sbm").display().to_string()
    }

    #[tokio::test]
    async fn both_evaluators_decide_alike() {
        let through_onnx = Gateway::start(&models("builtin", "runtime: onnx, deadline: 1s"), "").await;
        let built_in = Gateway::start(&models("builtin", "runtime: builtin"), "").await;
        assert!(through_onnx.metrics().await.contains("signalbox_route_onnx_up{classifier=\"builtin\"} 1"));
        for prompt in ["What is 2+2?", "Prove it.", "def f(x): return x", "Straße, 日本?"] {
            assert_eq!(ask(&through_onnx, prompt).await, ask(&built_in, prompt).await);
        }
    }

    #[tokio::test]
    async fn a_damaged_model_and_one_of_another_opset_leave_it_to_the_built_in_evaluator() {
        let mut opset = ONNX.to_vec();
        let at = opset.windows(4).rposition(|bytes| bytes == [0x0a, 0x00, 0x10, 17]).unwrap();
        opset[at + 3] = 100;
        for onnx in [b"this is no model".to_vec(), ONNX[..1_000].to_vec(), opset] {
            let folder = tempfile::tempdir().unwrap();
            let name = classifier(folder.path(), &onnx);
            let gateway = Gateway::start(&models(&name, "runtime: onnx"), "").await;
            assert!(ask(&gateway, "What is 2+2?").await.starts_with("small; reason=classifier"));
            let down = format!("signalbox_route_onnx_up{{classifier=\"{name}\"}} 0");
            assert!(gateway.metrics().await.contains(&down));
        }
    }

    #[tokio::test]
    async fn scores_that_are_no_numbers_leave_it_to_rules_and_the_default() {
        let heads = router_model::score::RouteModel::shipped().unwrap().heads().len();
        let bias = &SBM[SBM.len() - 32 - heads * 4..SBM.len() - 32];
        let mut onnx = ONNX.to_vec();
        let at = onnx.windows(bias.len()).position(|bytes| bytes == bias).unwrap();
        onnx[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        let folder = tempfile::tempdir().unwrap();
        let name = classifier(folder.path(), &onnx);
        let gateway = Gateway::start(&models(&name, "runtime: onnx, deadline: 1s"), "").await;
        assert!(ask(&gateway, "What is 2+2?").await.starts_with("large; reason=bad_score"));
        assert!(ask(&gateway, "Ahoy!").await.starts_with("small; reason=rule"));
        let line = "signalbox_route_decisions_total{chosen=\"large\",model=\"auto\",reason=\"bad_score\"} 1";
        assert!(gateway.metrics().await.contains(line));
    }

    #[tokio::test]
    async fn who_would_wait_too_long_goes_to_the_default() {
        let gateway = Gateway::start(&models("builtin", "runtime: onnx, queue: 1, deadline: 1ms"), "").await;
        let prompt = "word and number 42, ".repeat(2_000);
        let asked = (0..64).map(|_| ask(&gateway, &prompt));
        let routes = futures_util::future::join_all(asked).await;
        for route in &routes {
            let is_fine =
                route.starts_with("small; reason=classifier") || route.starts_with("large; reason=late");
            assert!(is_fine, "{route}");
        }
        assert!(routes.iter().any(|route| route.contains("reason=late")), "{routes:?}");
    }
}
