//! The project's own checks, each a function from what is on disk to a list of violations.
//! Owns no rule text outside [`rules`]; changes nothing on disk.

mod dependencies;
mod files;
pub mod rules;
mod session;
mod violation;

pub use dependencies::check_dependencies;
pub use files::{CheckedFiles, MAX_LINES, check_files};
pub use session::check_session;
pub use violation::Violation;
