//! Transformers through ONNX Runtime: `ORT_DYLIB_PATH=… cargo test -p router-model --features onnxruntime-tests`; the real
//! MiniLM as well where `SIGNALBOX_MINILM` names the folder of scripts/fetch-minilm.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must end there"
)]

#[path = "support/small_model.rs"]
mod small_model;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use router_model::Unanswered;
use router_model::encoder::{EncodeError, Encoder, EncoderFault, Output, Settings};
use router_model::runtime::Runtime;
use serde::Deserialize;
use small_model::SmallModel;

const LONG: Duration = Duration::from_secs(60);
const WORDS: &[(&str, [f32; 2])] = &[("hard", [-60.0, 20.0]), ("easy", [60.0, 60.0])];

fn runtime() -> &'static Runtime {
    let library =
        std::env::var_os("ORT_DYLIB_PATH").unwrap_or_else(|| panic!("set ORT_DYLIB_PATH to the library"));
    Runtime::load(&[PathBuf::from(library)]).unwrap()
}

fn settings(output: Output) -> Settings {
    Settings { output, max_tokens: 128, threads: 1, queue: 4 }
}

fn open(model: &SmallModel<'_>, output: Output) -> Result<Encoder, EncoderFault> {
    let folder = tempfile::tempdir().unwrap();
    model.write(folder.path());
    Encoder::open(runtime(), folder.path(), settings(output))
}

#[tokio::test]
async fn a_classifier_gives_a_probability_for_each_head() {
    let encoder = open(&SmallModel::classifier(WORDS), Output::Probabilities).unwrap();
    assert_eq!(encoder.width(), 2);
    let hard = encoder.encode("Hard!", LONG).await.unwrap();
    // [CLS], the word, the mark and [SEP]: a mean of four.
    let sigmoid = |logit: f32| 1.0 / (1.0 + (-logit).exp());
    assert!((hard[0] - sigmoid(-15.0)).abs() < 1e-6 && (hard[1] - sigmoid(5.0)).abs() < 1e-6, "{hard:?}");
    assert_eq!(encoder.encode("", LONG).await.unwrap(), [0.5, 0.5]);
}

#[tokio::test]
async fn an_embedder_gives_vectors_of_length_one_and_reads_no_more_than_its_limit() {
    let encoder = open(&SmallModel::embedder(), Output::Embedding).unwrap();
    let vector = encoder.encode("How do I bake cake 7?", LONG).await.unwrap();
    assert_eq!(vector.len(), encoder.width());
    assert!((vector.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    let (long, longer) = ("a b ".repeat(400), "a b ".repeat(500_000));
    assert_eq!(encoder.encode(&long, LONG).await.unwrap(), encoder.encode(&longer, LONG).await.unwrap());
}

#[test]
fn a_model_that_does_not_fit_is_refused_with_its_folder_and_a_reason() {
    let right = SmallModel::classifier(WORDS);
    for (model, output, reason) in [
        (SmallModel { opset: 100, ..right.clone() }, Output::Probabilities, "opset"),
        (
            SmallModel { output: "logits", ..right.clone() },
            Output::Probabilities,
            "no output `probabilities`",
        ),
        (SmallModel { input: "pixels", ..right.clone() }, Output::Probabilities, "an input `pixels`"),
        (SmallModel::embedder(), Output::Probabilities, "no output `probabilities`"),
        (SmallModel { words: &[("which", [f32::NAN, 0.0])], ..right }, Output::Probabilities, "NaN"),
    ] {
        let Err(fault @ EncoderFault::Refused { .. }) = open(&model, output) else { panic!("{reason}") };
        assert!(fault.to_string().contains(reason), "{fault}");
    }
    let folder = tempfile::tempdir().unwrap();
    SmallModel::embedder().write(folder.path());
    let model = folder.path().join("model.onnx");
    let bytes = std::fs::read(&model).unwrap();
    for damaged in [b"this is no model".to_vec(), bytes[..bytes.len() / 2].to_vec()] {
        std::fs::write(&model, damaged).unwrap();
        let opened = Encoder::open(runtime(), folder.path(), settings(Output::Embedding));
        assert!(matches!(opened, Err(EncoderFault::Refused { .. })), "{opened:?}");
    }
    std::fs::remove_file(&model).unwrap();
    let missing = Encoder::open(runtime(), folder.path(), settings(Output::Embedding)).unwrap_err();
    assert!(missing.to_string().contains("model.onnx"), "{missing}");
}

#[tokio::test]
async fn a_text_that_makes_no_number_fails_alone() {
    let encoder = open(&SmallModel::classifier(&[("odd", [f32::NAN, 0.0])]), Output::Probabilities).unwrap();
    assert!(matches!(encoder.encode("odd", LONG).await, Err(EncodeError::Failed(_))));
    assert_eq!(encoder.encode("even", LONG).await.unwrap(), [0.5, 0.5]);
}

#[tokio::test]
async fn sixteen_long_texts_at_once_keep_their_deadline() {
    let folder = tempfile::tempdir().unwrap();
    SmallModel { rounds: 400, ..SmallModel::classifier(WORDS) }.write(folder.path());
    let whole = Settings { max_tokens: 512, ..settings(Output::Probabilities) };
    let encoder = Arc::new(Encoder::open(runtime(), folder.path(), whole).unwrap());
    let text = "hard or easy? ".repeat(128);
    let began = Instant::now();
    encoder.encode(&text, LONG).await.unwrap();
    let one = began.elapsed();
    let patience = one * 2;
    let ask = || {
        let (encoder, text) = (encoder.clone(), text.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            (encoder.encode(&text, patience).await, began.elapsed())
        })
    };
    let asked: Vec<_> = (0..16).map(|_| ask()).collect();
    let (mut answered, mut without, mut beyond) = (0, 0, Duration::ZERO);
    for asked in asked {
        let (answer, took) = asked.await.unwrap();
        // The clock of timers ticks in milliseconds, and the machine may be busy.
        assert!(took < patience + Duration::from_millis(500), "{took:?} of {patience:?}");
        beyond = beyond.max(took.saturating_sub(patience));
        match answer {
            Ok(_) => answered += 1,
            Err(EncodeError::Unanswered(Unanswered::Busy | Unanswered::Late)) => without += 1,
            Err(problem) => panic!("{problem}"),
        }
    }
    println!("{answered} of 16 answered within {patience:?}, nobody waited longer than {beyond:?} beyond it");
    assert!(answered < 16 && without >= 11, "{answered} answered, {without} did not");
}

/// What Python gives: train/minilm_vectors.py.
#[derive(Deserialize)]
struct Known {
    text: String,
    vector: Vec<f32>,
}

#[tokio::test]
async fn minilm_gives_the_vectors_that_python_does() {
    let Some(folder) = std::env::var_os("SIGNALBOX_MINILM") else {
        panic!("set SIGNALBOX_MINILM to the folder that scripts/fetch-minilm brought");
    };
    let encoder = Encoder::open(runtime(), Path::new(&folder), settings(Output::Embedding)).unwrap();
    assert_eq!(encoder.width(), 384);
    let known: Vec<Known> = serde_json::from_str(include_str!("minilm.json")).unwrap();
    assert!(known.len() >= 8);
    let mut worst = 1.0_f32;
    for Known { text, vector } in known {
        let ours = encoder.encode(&text, LONG).await.unwrap();
        let cosine = ours.iter().zip(&vector).map(|(one, other)| one * other).sum::<f32>();
        worst = worst.min(cosine);
        assert!(cosine > 0.9999, "{text}: {cosine}");
    }
    println!("smallest cosine {worst}");
}
