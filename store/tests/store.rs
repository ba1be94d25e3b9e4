//! One suite on both databases: each test of `suite` runs on a SQLite file and on a private PostgreSQL server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod databases;
mod sample;
mod suite;
