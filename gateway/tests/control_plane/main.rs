//! The control plane over real sockets: virtual keys, budgets, limits and the admin API of the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must end there"
)]

mod abandoned;
mod access;
mod accounts;
mod backup;
mod cluster;
mod cluster_away;
mod cluster_budgets;
mod cluster_cache;
mod cluster_keys;
mod coalesced;
mod contents;
mod credentials;
mod echo;
mod erasures;
mod explain;
mod exports;
#[path = "../data_plane/gateway.rs"]
#[allow(dead_code, reason = "the data plane's tests use the rest")]
mod gateway;
mod keys;
mod kill;
mod ledger;
mod markers;
mod operations;
mod operator;
mod organizations;
mod outage;
mod pass_through;
#[path = "../../../store/tests/postgres_server.rs"]
#[allow(dead_code, reason = "the store's tests use the rest")]
mod postgres_server;
mod redis_server;
mod reports;
mod requests;
mod route_feedback;
mod scan;
