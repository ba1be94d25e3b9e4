//! Models that the gateway runs itself: `score` tells how well each model would answer a prompt, `embed` turns a text
//! into a vector.

pub mod embed;
pub mod score;
