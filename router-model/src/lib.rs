//! Models that the gateway runs itself: `score` tells how well each model would answer a prompt, `embed` turns a text
//! into a vector, `encoder` runs a transformer for either; `runtime` is the library that some of them need.

pub mod embed;
pub mod encoder;
mod pool;
pub mod runtime;
pub mod score;

pub use pool::Unanswered;
