//! What was learnt of the questions of one class, a model of a scope: evidence, and what exchanges of words do.

use super::evidence::Evidence;
use super::wordings::Wordings;

/// The learnt state of one class.
#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) evidence: Evidence,
    pub(super) wordings: Wordings,
}
