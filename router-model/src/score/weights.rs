//! A model's file: magic, length of the head, the head as JSON, table, matrix and bias of the kinds, matrix, bias, floor, what
//! holds for prompts without choices, SHA-256 of all that. Every length is checked before it is believed.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::features::{BUCKET_BITS, FEATURES_VERSION, Features};
use super::hand::HAND;
use super::{ModelError, STRONG, WEAK};

const MAGIC: &[u8] = b"SBROUTE4";
/// Older layouts, which hold nothing for prompts without choices; the older of the two knows no kinds of tasks either.
const OLDER_MAGICS: [&[u8]; 2] = [b"SBROUTE3", b"SBROUTE2"];
const HASH_BYTES: usize = 32;
/// A model has no more heads than this.
const HEADS_MAX: usize = 256;
/// Nor does it tell more kinds of tasks apart.
const KINDS_MAX: usize = 256;

/// What the file says of itself. Training adds more, which is for readers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) features: u32,
    pub(super) heads: Vec<String>,
    /// Kinds of tasks that it recognises, if any.
    #[serde(default)]
    pub(super) kinds: Vec<String>,
    /// Win rates of the calibration prompts at equal steps from the lowest to the highest.
    pub(super) quantiles: Vec<f32>,
}

/// A model's tensors.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub(super) head: Head,
    pub(super) version: String,
    pub(super) weak: usize,
    pub(super) strong: usize,
    /// `2^BUCKET_BITS` rows of one cell a head, one a kind, and one for how telling the row is.
    table: Box<[i8]>,
    /// A row for each of the table's sums of kinds and each feature made by hand, a column for each kind.
    pub(super) kind_matrix: Vec<f32>,
    pub(super) kind_bias: Vec<f32>,
    /// A row for each of the table's sums of heads, each kind's probability and each feature made by hand, a column for each
    /// head.
    pub(super) matrix: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// What each head's probability never falls below.
    pub(super) floor: Vec<f32>,
    /// What takes the place of parts of these for a prompt without choices. Older models make no difference.
    open: Option<Open>,
}

/// How a prompt without choices is read.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// How much of the table's sum counts, one a head.
    pub(super) words: Vec<f32>,
    /// A row for each feature made by hand, a column for each head.
    pub(super) hand: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Weights {
    pub(super) fn parse(file: &[u8]) -> Result<Self, ModelError> {
        let damaged = |what: &str| ModelError::Damaged(what.to_owned());
        let (content, hash) =
            file.split_last_chunk::<HASH_BYTES>().ok_or_else(|| damaged("it is too short"))?;
        let older = || OLDER_MAGICS.iter().find_map(|magic| content.strip_prefix(*magic));
        let newest = content.strip_prefix(MAGIC);
        let rest = newest.or_else(older).ok_or_else(|| damaged("it does not begin as one"))?;
        if Sha256::digest(content).as_slice() != hash {
            return Err(damaged("its checksum is wrong"));
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it ends in its head"))?;
        let (head, tensors) = usize::try_from(u32::from_le_bytes(*length))
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(|| damaged("it ends in its head"))?;
        let head: Head = serde_json::from_slice(head)
            .map_err(|problem| ModelError::Damaged(format!("its head is wrong: {problem}")))?;
        if head.features != FEATURES_VERSION {
            return Err(ModelError::OtherFeatures { found: head.features });
        }
        let version = format!("{}@{}", head.name, hex(Sha256::digest(file).as_slice()));
        Self::read_tensors(head, version, tensors, newest.is_some())
    }

    fn read_tensors(
        head: Head,
        version: String,
        tensors: &[u8],
        with_open: bool,
    ) -> Result<Self, ModelError> {
        let damaged = |what: String| ModelError::Damaged(what);
        let (heads, kinds) = (head.heads.len(), head.kinds.len());
        if heads == 0 || heads > HEADS_MAX {
            return Err(damaged(format!("it has {heads} heads, 1 to {HEADS_MAX} are possible")));
        }
        if kinds > KINDS_MAX {
            return Err(damaged(format!("it has {kinds} kinds of tasks, {KINDS_MAX} are possible")));
        }
        let find = |name: &str| head.heads.iter().position(|head| head == name);
        // A private model without the pair compares its last head with its first.
        let (weak, strong) = (find(WEAK).unwrap_or(0), find(STRONG).unwrap_or(heads - 1));
        let cells = (heads + kinds + 1) << BUCKET_BITS;
        let open_sizes = if with_open { [heads, HAND * heads, heads] } else { [0; 3] };
        let sizes = [(kinds + HAND) * kinds, kinds, (heads + kinds + HAND) * heads, heads, heads];
        let floats: usize = sizes.iter().chain(&open_sizes).sum();
        let (table, rest) =
            tensors.split_at_checked(cells).filter(|(_, rest)| rest.len() == floats * 4).ok_or_else(
                || damaged(format!("it has {} bytes of weights, not {}", tensors.len(), cells + floats * 4)),
            )?;
        let mut floats = rest.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let mut take = |size| floats.by_ref().take(size).collect::<Vec<f32>>();
        let [kind_matrix, kind_bias, matrix, bias, floor] = sizes.map(&mut take);
        let [words, hand, open_bias] = open_sizes.map(take);
        let open = with_open.then_some(Open { words, hand, bias: open_bias });
        let table = table.iter().map(|cell| cell.cast_signed()).collect();
        let rising = head.quantiles.is_sorted() && head.quantiles.iter().all(|at| at.is_finite());
        if head.quantiles.len() < 2 || !rising {
            return Err(damaged("its quantiles do not rise".to_owned()));
        }
        Ok(Self { head, version, weak, strong, table, kind_matrix, kind_bias, matrix, bias, floor, open })
    }

    /// What holds for this prompt in place of the usual, if it has no choices and the model makes that difference.
    pub(super) fn open(&self, features: &Features) -> Option<&Open> {
        self.open.as_ref().filter(|_| features.is_without_choices())
    }

    /// The cells of a bucket of this prompt, one a head, one a kind, and then how telling it is. A prompt without choices has
    /// its own: half the table away, so that one question in both forms shares none.
    pub(super) fn rows<'a>(&'a self, features: &'a Features) -> impl Iterator<Item = (f32, &'a [i8])> {
        let away = if self.open(features).is_some() { 1 << (BUCKET_BITS - 1) } else { 0 };
        let places = features.buckets.iter().map(move |bucket| bucket ^ away);
        features.weights.iter().copied().zip(places.map(|place| self.row(place)))
    }

    fn row(&self, bucket: u32) -> &[i8] {
        let cells = self.head.heads.len() + self.head.kinds.len() + 1;
        let begin = bucket as usize * cells;
        self.table.get(begin..begin + cells).unwrap_or_default()
    }

    /// The share of calibration prompts below `win`.
    pub(super) fn quantile(&self, win: f32) -> f32 {
        let quantiles = &self.head.quantiles;
        let below = quantiles.partition_point(|at| *at < win);
        let (Some(low), Some(high)) =
            (below.checked_sub(1).and_then(|at| quantiles.get(at)), quantiles.get(below))
        else {
            return if below == 0 { 0.0 } else { 1.0 };
        };
        let within = if high > low { (win - low) / (high - low) } else { 0.0 };
        ((below - 1) as f32 + within) / (quantiles.len() - 1) as f32
    }

    /// The win rate below which the share `below` lies.
    pub(super) fn threshold(&self, below: f32) -> f32 {
        let quantiles = &self.head.quantiles;
        let steps = quantiles.len().saturating_sub(1);
        let place = below * steps as f32;
        let at = (place as usize).min(steps);
        let low = quantiles.get(at).copied().unwrap_or(0.5);
        let high = quantiles.get(at + 1).copied().unwrap_or(low);
        low + (high - low) * (place - at as f32)
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
