//! The phases of `pipeline.rs`, in their order. Each is one file with one `run`; none calls another.

pub mod authenticate;
pub mod admit;
pub mod parse;
pub mod route;
pub mod reserve;
pub mod dispatch;
pub mod respond;
pub mod record;
