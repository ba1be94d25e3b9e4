//! The shipped model, damaged models, and the bounds of what is read.

use router_model::score::{FEATURES_VERSION, Features, ModelError, RouteModel, STRONG, TEXT_CAP_BYTES, WEAK};

const SHIPPED: &[u8] = include_bytes!("../models/lexical-v1.sbm");

fn load(bytes: &[u8]) -> Result<RouteModel, ModelError> {
    let unreadable = |problem| ModelError::Unreadable { path: "model.sbm".into(), problem };
    let folder = tempfile::tempdir().map_err(unreadable)?;
    let path = folder.path().join("model.sbm");
    std::fs::write(&path, bytes).map_err(unreadable)?;
    RouteModel::load(&path)
}

#[test]
fn the_shipped_model_scores_every_kind_of_text() {
    let model = RouteModel::shipped().unwrap();
    assert_eq!(model.heads().len(), 11);
    let (weak, strong) = (model.head(WEAK).unwrap(), model.head(STRONG).unwrap());
    for prompt in
        ["", " ", "?", "Wie spät ist es?", "\u{1F980}", "a\0b", &"x".repeat(300_000), &"a ".repeat(100_000)]
    {
        let scores = model.score(prompt).unwrap();
        assert!(scores.quality().iter().all(|quality| (0.0..=1.0).contains(quality)));
        assert!((0.0..=1.0).contains(&scores.quantile()));
        let expected = (1.0 + scores.quality()[strong] - scores.quality()[weak]) / 2.0;
        assert_eq!(scores.strong_win(), expected);
    }
}

#[test]
fn a_share_of_strong_and_its_threshold_agree() {
    let model = RouteModel::shipped().unwrap();
    let shares = [0.0, 0.1, 0.5, 0.9, 1.0];
    let thresholds = shares.map(|share| model.threshold_for_share(share));
    assert!(thresholds.is_sorted_by(|one, other| one > other), "{thresholds:?}");
}

#[test]
fn a_damaged_model_is_refused_with_what_is_wrong() {
    let mut flipped = SHIPPED.to_vec();
    flipped[500_000] ^= 1;
    let cases: [(&[u8], &str); 4] = [
        (b"", "too short"),
        (&flipped, "checksum"),
        (&SHIPPED[..SHIPPED.len() / 2], "checksum"),
        (&[b"<html>".as_slice(), SHIPPED].concat(), "does not begin"),
    ];
    for (bytes, expected) in cases {
        let problem = load(bytes).unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}");
    }
    let missing = RouteModel::load(std::path::Path::new("/nowhere/model.sbm")).unwrap_err().to_string();
    assert!(missing.contains("/nowhere/model.sbm"), "{missing}");
}

#[test]
fn a_model_for_other_features_is_refused() {
    use sha2::{Digest, Sha256};
    let head = format!(r#""features": {FEATURES_VERSION}"#);
    let at = SHIPPED.windows(head.len()).position(|window| window == head.as_bytes()).unwrap();
    let mut other = SHIPPED[..SHIPPED.len() - 32].to_vec();
    other[at + head.len() - 1] = b'9';
    let hash = Sha256::digest(&other);
    other.extend_from_slice(&hash);
    assert!(matches!(load(&other).unwrap_err(), ModelError::OtherFeatures { found: 9 }));
}

#[test]
fn a_long_prompt_counts_with_its_head_and_its_tail() {
    let (mut all, mut ends) = (Features::default(), Features::default());
    let half = TEXT_CAP_BYTES / 2;
    let (head, tail) = ("first ".repeat(half / 6 + 1), " last".repeat(half / 5 + 1));
    all.read(&format!("{head}{}{tail}", "middle ".repeat(9_000)));
    ends.read(&format!("{head}{tail}"));
    assert_eq!(all.hand[0], (TEXT_CAP_BYTES as f32).ln_1p());
    assert!(all.buckets.iter().all(|bucket| ends.buckets.contains(bucket)));
}

#[test]
fn an_explanation_adds_up_to_the_score() {
    let model = RouteModel::shipped().unwrap();
    let open = "Prove that the square root of 2 is irrational.\nWhy?";
    for prompt in [open, &format!("{open}\nA. It is not.\nB. By contradiction.")] {
        let scores = model.score(prompt).unwrap();
        for (explanation, quality) in model.explain(prompt).iter().zip(scores.quality()) {
            assert!((explanation.quality - quality).abs() < 1e-5);
            let sides = [&explanation.raised, &explanation.lowered];
            assert!(sides.iter().all(|side| side.len() <= 8));
            assert!(sides.into_iter().flatten().all(|reason| !reason.what.is_empty()));
        }
    }
}

#[test]
fn the_kind_of_a_task_is_recognised_and_tells_who_does_well_at_it() {
    let model = RouteModel::shipped().unwrap();
    let prompt =
        "You are an expert Python programmer. Write a function to find the shared elements from two lists.";
    let explanations = model.explain(prompt);
    let code = explanations.iter().find(|explanation| explanation.head == "codegemma-7b").unwrap();
    let kind = |reason: &router_model::score::Reason| reason.what == "[kind: mbpp]";
    assert!(code.raised.iter().any(kind), "{code:?}");
    let scores = model.score(prompt).unwrap();
    let quality = |head: &str| scores.quality()[model.head(head).unwrap()];
    assert!(quality("codegemma-7b") > quality("llama3-chatqa-1.5-8b"));
}

/// A file of one head with nothing but zeros in its table.
fn only_head(layout: &[u8], floats: &[f32]) -> Result<RouteModel, ModelError> {
    use sha2::{Digest, Sha256};
    let head = format!(
        r#"{{"name": "old", "features": {FEATURES_VERSION}, "heads": ["only"], "quantiles": [0.0, 1.0]}}"#
    );
    let mut file = layout.to_vec();
    file.extend(u32::try_from(head.len()).unwrap_or_default().to_le_bytes());
    file.extend(head.as_bytes());
    file.extend(vec![0; 2 << 17]);
    file.extend(floats.iter().flat_map(|value| value.to_le_bytes()));
    let hash = Sha256::digest(&file);
    file.extend_from_slice(&hash);
    load(&file)
}

const CHOICES: &str = "hello\nA. one\nB. two";

#[test]
fn a_model_of_an_older_layout_is_still_read_and_makes_no_difference_without_choices() {
    // A row for the table's sum, sixteen for the features made by hand, then bias and floor.
    let floats = [[0.0_f32; 17].as_slice(), &[0.0, 0.25]].concat();
    for layout in [b"SBROUTE2", b"SBROUTE3"] {
        let model = only_head(layout, &floats).unwrap();
        for prompt in ["hello", CHOICES] {
            assert_eq!(model.score(prompt).unwrap().quality(), [0.625]);
            assert_eq!(model.explain(prompt)[0].quality, 0.625);
        }
    }
}

#[test]
fn a_prompt_without_choices_has_weights_of_its_own() {
    let mut floats = [0.0_f32; 37];
    // Behind matrix, bias and floor: how much of the words' sum counts, 16 features made by hand of which the second is the
    // logarithm of one more than the words, and the bias.
    floats[21] = 1.0;
    floats[36] = 3.0_f32.ln();
    let model = only_head(b"SBROUTE4", &floats).unwrap();
    assert_eq!(model.score(CHOICES).unwrap().quality(), [0.5]);
    for (prompt, odds) in [("", 3.0), ("hello", 6.0), ("hello you", 9.0)] {
        let quality = model.score(prompt).unwrap().quality()[0];
        assert!((quality - odds / (1.0 + odds)).abs() < 1e-6, "{prompt}: {quality}");
        assert!((model.explain(prompt)[0].quality - quality).abs() < 1e-6);
    }
}
