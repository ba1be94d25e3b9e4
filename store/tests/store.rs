//! One suite on both databases: each test of `suite` runs on a SQLite file and on a private PostgreSQL server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod databases;
#[allow(dead_code, reason = "the gateway's tests use the rest")]
mod postgres_server;
mod sample;
mod suite;
