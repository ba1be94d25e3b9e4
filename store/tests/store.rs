//! One suite on both databases: each test of `suite` runs on a SQLite file and on a private PostgreSQL server.

mod databases;
mod sample;
mod suite;
