//! Answers that are kept, so that a repeated question costs nothing: `exact` finds the same request, `semantic` one that
//! means the same.

pub mod exact;
pub mod semantic;
