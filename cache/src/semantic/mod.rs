//! Answers for questions that mean the same. A vector finds the kept questions that are alike, a guard compares them
//! word by word, and evidence sets the threshold above which so few answers are wrong as the operator allows. Owns no
//! embedding (a vector comes from the caller) and no answers (an entry names one).

mod class;
mod codec;
pub mod compare;
mod decision;
mod evidence;
mod guard;
mod lexicon;
mod partition;
pub mod replay;
mod scan;
mod signature;
mod state_file;
mod stem;
mod store;
mod vector;
mod wordings;
mod words;

pub use codec::CodecFault;
pub use decision::{Candidate, Decision, Lookup, Nearest};
pub use evidence::{CONFIDENCE, Threshold};
pub use guard::{Difference, Objection, Rules};
pub use partition::Entry;
pub use signature::Signature;
pub use state_file::NotLoaded;
pub use store::{SemanticCache, Settings};
pub use vector::Vector;
