use super::stream::{Question, stream};
use super::*;
use crate::semantic::Rules;
use crate::semantic::compare::agree;
use crate::semantic::stem::mix;
use crate::semantic::words::split;

/// A vector without a model: each word's stem adds one of its own. Like the real one it takes a question with one word
/// exchanged for nearly the same.
pub(in crate::semantic) fn word_vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; 256];
    for word in split(text, 1000).unwrap() {
        for (at, value) in (0_u64..).zip(&mut vector) {
            *value += (mix(word.stem ^ at) as f32 / u64::MAX as f32) - 0.5;
        }
    }
    vector
}

fn replay(questions: &[Question], max_error: f64, opposites: bool) -> Replay {
    let mut replay = Replay::new(Settings { max_error, rules: Rules { opposites }, ..Settings::default() });
    for question in questions {
        let vector = word_vector(&question.prompt);
        let (truth, answer) = (question.answer.as_str(), question.answer.as_str());
        replay.step(
            Request { prompt: &question.prompt, truth, answer, vector: Some(&vector) },
            |kept, fresh| kept == fresh,
        );
    }
    replay
}

#[test]
fn the_bound_holds_on_hostile_streams_of_any_order_with_and_without_opposites() {
    for seed in [11, 12, 13] {
        let questions = stream(seed, 2000);
        for (max_error, least) in [(0.02, 0.4), (0.01, 0.25)] {
            for opposites in [true, false] {
                let tally = replay(&questions, max_error, opposites).tally();
                let seen = format!("seed {seed}, {max_error}, opposites {opposites}: {tally:?}");
                assert!(tally.hit_rate() >= least, "{seen}");
                assert!(tally.false_hit_rate() <= max_error, "{seen}");
            }
        }
    }
}

#[test]
fn the_bound_holds_when_no_letter_is_a_capital() {
    let mut questions = stream(14, 2000);
    questions.iter_mut().for_each(|question| question.prompt = question.prompt.to_lowercase());
    let tally = replay(&questions, 0.02, true).tally();
    assert!(tally.hit_rate() >= 0.25 && tally.false_hit_rate() <= 0.02, "{tally:?}");
}

#[test]
fn the_bound_holds_among_courtesies_that_nobody_knows() {
    const OPENINGS: [&str; 6] =
        ["silly one but ", "my boss asks: ", "@helper ", "", "good people, ", "(for my notes) "];
    const ENDINGS: [&str; 4] = ["", " Any answer is welcome", " (no rush)", " you are the best"];
    for (seed, max_error, least) in [(17, 0.02, 0.1), (18, 0.01, 0.1)] {
        let mut questions = stream(seed, 2000);
        for (at, question) in (0_u64..).zip(&mut questions) {
            let pick = |list: &[&'static str], salt: u64| list[(mix(at ^ salt) % list.len() as u64) as usize];
            let mut letters = question.prompt.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            question.prompt =
                format!("{}{first}{}{}", pick(&OPENINGS, 0), letters.as_str(), pick(&ENDINGS, 99));
        }
        for opposites in [true, false] {
            let tally = replay(&questions, max_error, opposites).tally();
            let seen = format!("{max_error}, opposites {opposites}: {tally:?}");
            println!("{seen}");
            assert!(tally.hit_rate() >= least && tally.false_hit_rate() <= max_error, "{seen}");
        }
    }
}

#[test]
fn a_fixed_threshold_errs_on_the_same_stream() {
    let questions = stream(11, 2000);
    let vectors: Vec<Vec<f32>> = questions.iter().map(|question| word_vector(&question.prompt)).collect();
    let requests: Vec<Request<'_>> = questions
        .iter()
        .zip(&vectors)
        .map(|(question, vector)| {
            let (truth, answer) = (question.answer.as_str(), question.answer.as_str());
            Request { prompt: &question.prompt, truth, answer, vector: Some(vector) }
        })
        .collect();
    assert!(fixed_threshold(&requests, 0.8).false_hit_rate() > 0.1);
}

#[test]
fn nothing_but_repeats_is_served_before_there_is_evidence() {
    let questions = stream(15, 120);
    let tally = replay(&questions, 0.02, true).tally();
    assert_eq!((tally.hits, tally.audits), (0, 0));
    let twice: Vec<Question> = questions.iter().chain(&questions).cloned().collect();
    assert_eq!(replay(&twice, 0.02, true).tally().exact_hits, 120);
}

#[test]
fn answers_that_change_close_the_cache_again() {
    let mut questions = stream(16, 3000);
    for question in questions.iter_mut().skip(2000) {
        question.answer = format!("{} {}", question.answer, question.prompt.len());
    }
    let before = replay(&questions[..2000], 0.02, true);
    let after = replay(&questions, 0.02, true);
    assert!(before.promise().is_open());
    let late = (after.tally().hits - before.tally().hits) as f64 / 1000.0;
    let early = before.tally().hits as f64 / 2000.0;
    assert!(late < early / 2.0, "{early} {late}");
}

/// What a model may answer to a question with the given name of its answer: facts that follow from the name, in words
/// that vary with `variant`. Answers to questions that are nearly the same differ in little more than their facts.
fn answer(truth: &str, variant: u64) -> String {
    let seed = crate::semantic::stem::hash_bytes(truth.as_bytes());
    let pick = |list: &[&'static str], salt: u64| list[(mix(seed ^ salt) % list.len() as u64) as usize];
    let place =
        pick(&["Aldington", "Brancaster", "Corfe", "Dunster", "Ewelme", "Fowey", "Glossop", "Hexham"], 1);
    let (number, year) = (mix(seed ^ 2) % 900 + 7, mix(seed ^ 3) % 400 + 1600);
    let topic = truth.replace('/', " ");
    let opening =
        ["", "Sure! ", "Of course. ", "Here you go: ", "Good question. "][(mix(variant) % 5) as usize];
    let body = match mix(variant ^ 5) % 4 {
        0 => format!(
            "About {topic}: the record is kept at {place}, counts {number} items and goes back to {year}."
        ),
        1 => format!(
            "The record about {topic} goes back to {year}; it counts {number} items and is kept at {place}."
        ),
        2 => format!(
            "For {topic}, {number} items are counted in the record that {place} has kept since {year}."
        ),
        _ => format!("Kept at {place} since {year}, the record about {topic} has {number} items in it."),
    };
    format!("{opening}{body}")
}

/// The same with one answer in `every` that leaves the year out, as models do.
fn forgetful(truth: &str, variant: u64, every: u64) -> String {
    let whole = answer(truth, variant);
    if !mix(variant ^ 9).is_multiple_of(every) {
        return whole;
    }
    let is_year = |word: &&str| word.len() >= 4 && word.starts_with(|first: char| first.is_ascii_digit());
    whole.split(' ').filter(|word| !is_year(word)).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_bound_holds_when_answers_are_compared_instead_of_known() {
    // Of every 10,000, 200 or 10 answers one leaves a fact out, which does not make it another answer.
    for (seed, every) in [(21, 10_000), (22, 200), (23, 10)] {
        let mut replay = Replay::new(Settings { max_error: 0.02, ..Settings::default() });
        let (mut agreed, mut wrongly) = (0_u32, 0_u32);
        for (variant, question) in (0..).zip(stream(seed, 2500)) {
            let vector = word_vector(&question.prompt);
            let fresh = forgetful(&question.answer, variant, every);
            agreed += u32::from(agree(&forgetful(&question.answer, variant + 1_000_000, every), &fresh));
            wrongly += u32::from(agree(&answer(&format!("{} ", question.answer), variant), &fresh));
            let (truth, answer) = (question.answer.as_str(), fresh.as_str());
            replay.step(Request { prompt: &question.prompt, truth, answer, vector: Some(&vector) }, agree);
        }
        let tally = replay.tally();
        let seen =
            format!("every {every}: {tally:?}, right answers agree {agreed} of 2500, wrong ones {wrongly}");
        println!("{seen}");
        assert!(wrongly == 0 && tally.false_hit_rate() <= 0.02 && tally.hit_rate() >= 0.5, "{seen}");
    }
}
