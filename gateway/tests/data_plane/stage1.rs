//! The transformer behind the classifier: when it is asked, what it changes, and that nobody's request fails or waits
//! because of it.

use crate::gateway::Gateway;
use crate::onnx::ask;

fn models(route: &str, stage1: &str) -> String {
    format!(
        "  large: {{deployments: [{{provider: mock, model: large-upstream}}]}}\n  small: {{deployments: [{{provider: mock, \
         model: small-upstream}}]}}\n  auto:\n    route: {{strong: large, weak: small, threshold: 0.5{route}}}\n\
         router: {{stage1: {{{stage1}}}}}\n"
    )
}

#[tokio::test]
async fn without_the_transformer_the_classifier_decides_alone() {
    let gateway = Gateway::start(&models("", "model: /nowhere/stage1"), "").await;
    let route = ask(&gateway, "Name three colours.").await;
    assert!(route.contains("; reason=classifier; win=0.") && route.contains("; stage1=down;"), "{route}");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("signalbox_route_stage1_up 0"), "{metrics}");
    assert!(metrics.contains("signalbox_route_stage1_total{model=\"auto\",outcome=\"down\"} 1"), "{metrics}");
}

/// With the library, which `ORT_DYLIB_PATH` names.
#[cfg(feature = "onnxruntime-tests")]
mod with_the_library {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::small_model::SmallModel;

    /// What the heads say of a text with these words: `hard` is for the strong model, `easy` is not.
    const WORDS: &[(&str, [f32; 2])] =
        &[("hard", [-400.0, 400.0]), ("easy", [400.0, -400.0]), ("odd", [f32::NAN, 0.0])];
    const CARD: &str = "{\"heads\": [\"weak\", \"strong\"], \"blend\": 0.5, \"max_tokens\": 64}";

    /// A folder with such a model and the models of the configuration that use it.
    fn folder(model: &SmallModel<'_>, card: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        model.write(folder.path());
        std::fs::write(folder.path().join("card.json"), card).unwrap();
        folder
    }

    fn of(folder: &Path, more: &str) -> String {
        format!("model: {}, deadline: 1s, unsure: 1{more}", folder.display())
    }

    fn number(route: &str, name: &str) -> f64 {
        let at = route.find(&format!("; {name}=")).unwrap_or_else(|| panic!("{name} in {route}"));
        route[at + name.len() + 3..].split(';').next().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn both_scores_are_blended_and_the_transformer_can_turn_the_decision() {
        let folder = folder(&SmallModel::classifier(WORDS), CARD);
        let gateway = Gateway::start(&models("", &of(folder.path(), "")), "").await;
        let alone = Gateway::start(&models("", "model: /nowhere/stage1"), "").await;
        for (prompt, model, theirs) in [("hard", "large", 1.0), ("easy", "small", 0.0)] {
            let route = ask(&gateway, prompt).await;
            assert!(route.starts_with(&format!("{model}; reason=classifier; win=")), "{route}");
            assert!((number(&route, "stage1_win") - theirs).abs() < 1e-3, "{route}");
            let mean = (number(&ask(&alone, prompt).await, "win") + theirs) / 2.0;
            assert!((number(&route, "win") - mean).abs() < 1e-3, "{route}");
        }
        let metrics = gateway.metrics().await;
        assert!(metrics.contains("signalbox_route_stage1_up 1"), "{metrics}");
        assert!(
            metrics.contains("signalbox_route_stage1_total{model=\"auto\",outcome=\"scored\"} 2"),
            "{metrics}"
        );
    }

    #[tokio::test]
    async fn a_transformer_with_fewer_heads_counts_for_those_it_has() {
        let card = CARD.replace("\"strong\"", "\"nobody\"");
        let folder = folder(&SmallModel::classifier(WORDS), &card);
        let gateway = Gateway::start(&models("", &of(folder.path(), "")), "").await;
        let (hard, easy) = (ask(&gateway, "hard").await, ask(&gateway, "easy").await);
        assert!(hard.contains("stage1=scored;") && !hard.contains("stage1_win"), "{hard}");
        assert!(number(&hard, "win") > number(&easy, "win") + 0.2, "{hard} {easy}");
    }

    #[tokio::test]
    async fn it_is_asked_only_when_that_is_worth_it() {
        let folder = folder(&SmallModel::classifier(WORDS), CARD);
        let rule = ", rules: [{name: hi, when: {keywords: [ahoy]}, use: small}]";
        for (route, stage1, prompt, outcome) in [
            ("", ", max_tokens: 4", "hard and longer than that", "long"),
            (", max_latency: 500ms", "", "hard", "no_time"),
            (", max_latency: 5s", "", "hard", "scored"),
            (rule, "", "Ahoy", "settled"),
        ] {
            let gateway = Gateway::start(&models(route, &of(folder.path(), stage1)), "").await;
            let told = ask(&gateway, prompt).await;
            assert!(told.contains(&format!("stage1={outcome}")), "{outcome}: {told}");
        }
        let sure = of(folder.path(), "").replace("unsure: 1", "unsure: 0");
        let gateway = Gateway::start(&models("", &sure), "").await;
        assert!(ask(&gateway, "hard").await.contains("stage1=sure"));
    }

    #[tokio::test]
    async fn models_that_are_damaged_or_give_no_probabilities_leave_it_to_the_classifier() {
        let right = SmallModel::classifier(WORDS);
        for (model, card) in [
            (SmallModel { opset: 100, ..right.clone() }, CARD.to_owned()),
            (SmallModel { output: "logits", ..right.clone() }, CARD.to_owned()),
            (right.clone(), CARD.replace("\"weak\", ", "")),
            (right.clone(), CARD.replace("weak", "nobody").replace("strong", "nobody-else")),
            (right.clone(), "{}".to_owned()),
        ] {
            let folder = folder(&model, &card);
            let gateway = Gateway::start(&models("", &of(folder.path(), "")), "").await;
            assert!(ask(&gateway, "hard").await.contains("stage1=down"), "{card}");
        }
        let folder = folder(&right, CARD);
        let gateway = Gateway::start(&models("", &of(folder.path(), "")), "").await;
        let route = ask(&gateway, "odd").await;
        assert!(
            route.contains("; reason=classifier; win=0.") && route.contains("; stage1=failed;"),
            "{route}"
        );
        assert!(ask(&gateway, "hard").await.contains("stage1=scored"));
    }

    #[tokio::test]
    async fn sixteen_prompts_of_512_tokens_at_once_keep_the_deadline() {
        let card = CARD.replace("64", "512");
        let folder = folder(&SmallModel { rounds: 400, ..SmallModel::classifier(WORDS) }, &card);
        let stage1 = of(folder.path(), ", max_tokens: 2000").replace("deadline: 1s", "deadline: 15ms");
        let gateway = Gateway::start(&models("", &stage1), "").await;
        // A token each, and the mark.
        let prompt = "hard . ".repeat(256);
        let routes = futures_util::future::join_all((0..16).map(|_| ask(&gateway, &prompt))).await;
        let without = |route: &&String| route.contains("stage1=late") || route.contains("stage1=busy");
        for route in &routes {
            assert!(without(&route) || route.contains("stage1=scored"), "{route}");
        }
        assert!(routes.iter().filter(without).count() >= 8, "{routes:?}");
        let metrics = gateway.metrics().await;
        let count = |line: &str| {
            let line = metrics.lines().find_map(|known| known.strip_prefix(line)).unwrap();
            line.trim().parse::<f64>().unwrap()
        };
        // Busy machines schedule late; what is waited for beyond the deadline is not the transformer.
        let within = count("signalbox_route_stage1_seconds_bucket{model=\"auto\",le=\"0.1\"}");
        let (all, sum) = (
            count("signalbox_route_stage1_seconds_count{model=\"auto\"}"),
            count("signalbox_route_stage1_seconds_sum{model=\"auto\"}"),
        );
        println!("{all} waited {:.1} ms on the average, {within} below 100 ms", sum / all * 1e3);
        assert!(all >= 1.0 && within == all, "{metrics}");
    }

    #[tokio::test]
    async fn what_it_said_is_in_the_log_and_its_decisions_can_be_replayed() {
        let folder = folder(&SmallModel::classifier(WORDS), CARD);
        let models = models("", &of(folder.path(), ""));
        let gateway = Gateway::start(&models, "\nlog: {access: access.log, level: error}").await;
        for prompt in ["hard", "easy", "odd"] {
            ask(&gateway, prompt).await;
        }
        let path = gateway.folder.join("access.log");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        crate::gateway::eventually("the log is written", || read().matches("\"decision\":").count() == 3)
            .await;
        let log = read();
        assert!(log.contains("\"stage1\":{\"outcome\":\"scored\",\"margin\":"), "{log}");
        assert!(log.contains("\"stage1\":{\"outcome\":\"failed\""), "{log}");
        let program = env!("CARGO_BIN_EXE_signalbox");
        let output = Command::new(program).args(["router", "replay"]).arg(&path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "3 decisions, 3 reproduced, 0 different\n");
    }
}
