//! The model through ONNX Runtime: `scripts/fetch-onnxruntime`, then
//! `ORT_DYLIB_PATH=… cargo test -p router-model --features onnxruntime-tests`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must end there"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use router_model::runtime::Runtime;
use router_model::score::onnx::{OnnxError, OnnxScorer, shipped};
use router_model::score::{RouteModel, ScoreError, Scores};

fn runtime() -> &'static Runtime {
    let library =
        std::env::var_os("ORT_DYLIB_PATH").unwrap_or_else(|| panic!("set ORT_DYLIB_PATH to the library"));
    Runtime::load(&[PathBuf::from(library)]).unwrap()
}

fn start(model: &[u8]) -> Result<OnnxScorer, OnnxError> {
    OnnxScorer::start(runtime(), model, &Arc::new(RouteModel::shipped().unwrap()), 1, 4)
}

async fn score(scorer: &OnnxScorer, prompt: &str) -> Result<Scores, ScoreError> {
    scorer.score(prompt, Instant::now() + Duration::from_secs(60)).await.unwrap()
}

/// Prompts of many lengths and alphabets; the empty one has no words at all.
fn prompts() -> Vec<String> {
    let words = ["prove", "x^2", "Straße", "def f():", "why?", "A.", "42", "日本", "not", "\n"];
    let mut prompts = vec![String::new(), "?".to_owned(), "word ".repeat(5_000)];
    let mut state = 7_u64;
    for length in 1..400 {
        let mut prompt = String::new();
        for _ in 0..length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            prompt.push_str(words[usize::try_from(state >> 33).unwrap() % words.len()]);
            prompt.push(' ');
        }
        prompts.push(prompt);
    }
    prompts
}

#[tokio::test]
async fn both_evaluators_agree_to_a_hundred_thousandth() {
    let (model, scorer) = (RouteModel::shipped().unwrap(), start(shipped()).unwrap());
    let mut worst = 0.0_f32;
    for prompt in prompts() {
        let (ours, theirs) = (model.score(&prompt).unwrap(), score(&scorer, &prompt).await.unwrap());
        for (ours, theirs) in ours.quality().iter().zip(theirs.quality()) {
            worst = worst.max((ours - theirs).abs());
        }
    }
    assert!(worst <= 1e-5, "{worst}");
    println!("largest difference {worst:e}");
}

#[test]
fn a_damaged_model_and_one_of_another_opset_are_refused_with_a_reason() {
    let mut opset = shipped().to_vec();
    // The last field of the file but the metadata: opset_import {version: 17}.
    let at = opset.windows(4).rposition(|bytes| bytes == [0x0a, 0x00, 0x10, 17]).unwrap();
    opset[at + 3] = 100;
    for model in [b"this is no model".to_vec(), shipped()[..700_000].to_vec(), opset] {
        match start(&model) {
            Err(OnnxError::Refused(why)) => assert!(!why.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_model_that_gives_no_numbers_scores_nothing() {
    let mut model = shipped().to_vec();
    let shipped = include_bytes!("../models/lexical-v1.sbm");
    let heads = RouteModel::shipped().unwrap().heads().len();
    let bias = &shipped[shipped.len() - 32 - heads * 4..shipped.len() - 32];
    let at = model.windows(bias.len()).position(|bytes| bytes == bias).unwrap();
    model[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let scorer = start(&model).unwrap();
    assert!(matches!(score(&scorer, "hello").await, Err(ScoreError::NotAProbability { .. })));
}
