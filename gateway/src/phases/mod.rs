//! The phases of `pipeline.rs`, in their order. Each is one file with one `run`; none calls another.

pub mod admit;
pub mod authenticate;
pub mod count;
pub mod dispatch;
pub mod follow;
pub mod lookup;
pub mod parse;
pub mod record;
pub mod reserve;
pub mod respond;
pub mod resume;
pub mod route;
