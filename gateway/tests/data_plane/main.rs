//! The data plane over real sockets: the real binary in front of the mock upstream.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must end there"
)]

mod bodies;
mod configuration;
mod errors;
mod faults;
mod formats;
mod gateway;
mod hand_over;
mod overload;
mod streams;
mod tls;
