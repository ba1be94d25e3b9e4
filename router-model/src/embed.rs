//! Texts as vectors, made in this process in microseconds: a table of token vectors, distilled from all-MiniLM-L6-v2.
//! Owns the table and the way a text is cut into its tokens; what is done with a vector is the caller's affair.

mod pieces;
mod table;

pub use table::{StaticEmbedder, TableFault};
