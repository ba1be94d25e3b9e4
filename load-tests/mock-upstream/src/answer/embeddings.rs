//! `POST …/embeddings`.
//!
//! Source: <https://platform.openai.com/docs/api-reference/embeddings>. Vectors are hashed bags of
//! words of unit length: the same text gives the same vector, texts that share words point the same way.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, Reply, model_of, parse, prompt_tokens};
use crate::request::{Context, Request};
use crate::script::Whole;

/// The length of OpenAI's text-embedding-3-small.
const DEFAULT_DIMENSIONS: usize = 1536;
const MAX_DIMENSIONS: usize = 8192;
/// OpenAI's limit on the texts of one request.
const MAX_INPUTS: usize = 2048;
/// Places one word touches.
const PLACES: u64 = 16;

#[derive(Deserialize)]
struct EmbeddingRequest {
    model: Option<String>,
    input: Option<Input>,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

/// One input: the text (tokens written as numbers) and its tokens.
struct Item {
    text: String,
    tokens: u64,
}

/// Answers one embedding request.
pub(super) fn answer(context: &mut Context<'_>, request: &Request<'_>) -> Result<Reply, Refusal> {
    let wire: EmbeddingRequest = parse(request.body)?;
    let model = model_of(request, wire.model.as_deref())?.to_owned();
    let items = items(wire.input.ok_or_else(|| Refusal::missing("input"))?);
    if items.is_empty() || items.len() > MAX_INPUTS {
        return Err(Refusal::bad_request(format!("input: must hold 1 to {MAX_INPUTS} texts")));
    }
    let dimensions = wire.dimensions.unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err(Refusal::bad_request(format!("dimensions: must be 1 to {MAX_DIMENSIONS}")));
    }
    let base64 = match wire.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(Refusal::bad_request(format!("encoding_format: unknown `{other}`"))),
    };
    context.choose(request, &model)?;
    let embedding = |(index, item): (usize, &Item)| {
        let vector = vector(&item.text, dimensions);
        let value = if base64 { json!(base64_of(&vector)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": value})
    };
    let list: Vec<Value> = items.iter().enumerate().map(embedding).collect();
    let mut body = json!({"object": "list", "data": list, "model": model});
    if !context.behaviour.no_usage {
        let tokens: u64 = items.iter().map(|item| item.tokens).sum();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("usage".to_owned(), json!({"prompt_tokens": tokens, "total_tokens": tokens}));
        }
    }
    let status = context.behaviour.status.unwrap_or(200);
    Ok(Reply::Whole(Whole::json(status, body.to_string().into_bytes())))
}

fn items(input: Input) -> Vec<Item> {
    let text = |text: String| {
        let tokens = prompt_tokens(text.chars().count() as u64);
        Item { text, tokens }
    };
    let tokens = |tokens: Vec<u32>| {
        let mut text = String::new();
        for token in &tokens {
            // Writing to a String cannot fail.
            let _ = write!(text, "{token} ");
        }
        Item { text, tokens: tokens.len() as u64 }
    };
    match input {
        Input::Text(one) => vec![text(one)],
        Input::Texts(texts) => texts.into_iter().map(text).collect(),
        Input::Tokens(one) => vec![tokens(one)],
        Input::TokenLists(lists) => lists.into_iter().map(tokens).collect(),
    }
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimensions];
    for word in text.split_whitespace() {
        let mut state = fnv(word);
        for _ in 0..PLACES {
            state = scramble(state);
            // The remainder is below `dimensions`, which is a usize.
            let place = (state >> 1) % dimensions as u64;
            if let Some(value) = vector.get_mut(place as usize) {
                *value += if state & 1 == 0 { 1.0 } else { -1.0 };
            }
        }
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length == 0.0 {
        // No words, or words that cancel each other out: still a unit vector.
        if let Some(first) = vector.first_mut() {
            *first = 1.0;
        }
        return vector;
    }
    vector.iter().map(|value| value / length).collect()
}

/// FNV-1a over the lower-case word.
fn fnv(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

/// One step of SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
fn scramble(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The little-endian f32s in base64 (RFC 4648), as the SDKs decode them.
fn base64_of(vector: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for position in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * position)) as usize & 63);
            text.push(if position > group.len() { '=' } else { letter.copied().map_or('A', char::from) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(one: &[f32], other: &[f32]) -> f32 {
        one.iter().zip(other).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_that_share_words_are_nearer_than_texts_that_do_not() {
        let paris = vector("what is the capital of france", 1536);
        let again = vector("What is France the capital of", 1536);
        let other = vector("bake bread with less salt today", 1536);
        assert!(cosine(&paris, &again) > 0.95);
        assert!(cosine(&paris, &other) < 0.3);
    }

    #[test]
    fn every_vector_has_unit_length_also_for_an_empty_text() {
        for text in ["", "one", "one two three"] {
            let vector = vector(text, 7);
            assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-4, "{text}");
        }
    }

    #[test]
    fn base64_pads_as_rfc_4648_has_it() {
        assert_eq!(base64_of(&[1.0]), "AACAPw==");
        assert_eq!(base64_of(&[1.0, 1.0]), "AACAPwAAgD8=");
        assert_eq!(base64_of(&[1.0, 1.0, 1.0]), "AACAPwAAgD8AAIA/");
    }
}
