//! What a lookup finds, and how it explains itself.

use std::fmt;

use super::evidence::Threshold;
use super::guard::{Difference, Objection};

/// What to do with a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decision {
    /// Serve the answer of the first candidate.
    Hit,
    /// Serve it, ask upstream as well, compare, and learn.
    Audit,
    /// Ask upstream. If there are candidates, compare their answers with the fresh one, and learn.
    #[default]
    Ask,
}

/// An entry that no rule of the guard objects to.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Under which its answer is kept.
    pub id: u128,
    /// Where it lies.
    pub partition: u128,
    /// With what it is judged.
    pub class: u64,
    /// The cosine of both vectors.
    pub similarity: f32,
    /// How surely its answer serves, by the words in which both texts differ.
    pub score: f32,
    /// What must be reached, and what that promises.
    pub threshold: Threshold,
    /// Its answer was found wrong at this score or a higher one.
    pub is_vetoed: bool,
    pub(super) difference: Difference,
}

impl Candidate {
    /// Whether its answer may be served.
    pub fn may_serve(&self) -> bool {
        !self.is_vetoed && self.score >= self.threshold.score
    }
}

/// Why it serves or not: what operators and clients are shown.
impl fmt::Display for Candidate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, similarity, score, threshold, .. } = self;
        write!(out, "entry={id:032x}; similarity={similarity:.3}; guard=passed; score={score:.3}")?;
        if threshold.is_open() {
            write!(
                out,
                "; threshold={:.3}; bound={:.4}; evidence={}",
                threshold.score, threshold.bound, threshold.labels
            )?;
        } else {
            out.write_str("; threshold=closed")?;
        }
        out.write_str(if self.is_vetoed { "; vetoed" } else { "" })
    }
}

/// The entry whose vector is nearest.
#[derive(Clone, Copy, Debug)]
pub struct Nearest {
    /// Under which its answer is kept.
    pub id: u128,
    /// The cosine of both vectors.
    pub similarity: f32,
    /// What the guard says.
    pub objection: Option<Objection>,
}

/// What a lookup finds.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// What to do.
    pub decision: Decision,
    /// Entries that pass the guard; the first is the one that serves or would.
    pub candidates: Vec<Candidate>,
    /// The nearest entry, whatever the guard says of it.
    pub nearest: Option<Nearest>,
}

impl Lookup {
    /// The candidate whose answer is served.
    pub fn served(&self) -> Option<&Candidate> {
        self.candidates.first().filter(|_| self.decision != Decision::Ask)
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.candidates.first(), &self.nearest) {
            (Some(candidate), _) => candidate.fmt(out),
            (None, Some(Nearest { id, similarity, objection })) => {
                let objection = objection.map_or("passed", Objection::label);
                write!(out, "entry={id:032x}; similarity={similarity:.3}; guard={objection}")
            }
            (None, None) => out.write_str("no entry"),
        }
    }
}
