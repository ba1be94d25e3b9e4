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
    let prompt = "Prove that the square root of 2 is irrational.\nWhy?";
    let scores = model.score(prompt).unwrap();
    for (explanation, quality) in model.explain(prompt).iter().zip(scores.quality()) {
        assert!((explanation.quality - quality).abs() < 1e-5);
        let sides = [&explanation.raised, &explanation.lowered];
        assert!(sides.iter().all(|side| side.len() <= 8));
        assert!(sides.into_iter().flatten().all(|reason| !reason.what.is_empty()));
    }
}
