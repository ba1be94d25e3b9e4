//! One broken rule, as the developer reads it.

use std::fmt;

/// A broken rule: where, what, which rule, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// A path below the workspace root, with the line where there is one.
    pub place: String,
    /// What stands there.
    pub problem: String,
    /// The rule it breaks, with its reason.
    pub rule: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, problem, rule, mend } = self;
        write!(f, "{place}: {problem}\n  rule: {rule}\n  mend: {mend}")
    }
}
