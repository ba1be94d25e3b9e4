//! The data plane over real sockets: the real binary in front of the mock upstream.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must end there"
)]

mod alerts;
mod balance;
mod bodies;
mod cache;
mod cache_status;
mod candidates;
mod coalesce;
mod configuration;
mod constraints;
mod cooldown;
mod errors;
mod external_router;
mod fault_matrix;
mod faults;
mod formats;
mod gateway;
mod hand_over;
mod health;
mod hedge;
mod herd;
mod minilm;
mod onnx;
mod overload;
mod resume;
mod route_feedback;
mod routing;
mod semantic;
mod service;
mod shadow;
mod share;
mod simulate;
#[cfg(feature = "onnxruntime-tests")]
#[path = "../../../router-model/tests/support/small_model.rs"]
mod small_model;
mod stage1;
mod streams;
mod strict_client;
mod tls;
