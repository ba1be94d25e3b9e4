//! Signalbox: an AI gateway on Pingora. Start at [`pipeline`] for the life of a request, at [`server`] for
//! the life of the process, at [`config`] for what can be set.

pub mod accounts;
pub mod admin;
pub mod affinity;
pub mod alerts;
pub mod allowance;
pub mod answer_cache;
pub mod app;
pub mod background;
pub mod backlog;
pub mod backups;
pub mod body_buffer;
pub mod budgets;
pub mod claim;
pub mod cli;
pub mod client;
pub mod coalesce;
pub mod config;
pub mod contents;
pub mod conversation;
pub mod credentials;
pub mod delivery;
pub mod demo;
pub mod descriptors;
pub mod edge;
pub mod error;
pub mod health;
pub mod huge_pages;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod notify;
pub mod phases;
pub mod pipeline;
pub mod request;
pub mod request_id;
pub mod request_log;
pub mod routing;
pub mod seal;
pub mod secret_file;
pub mod server;
pub mod sharing;
pub mod snapshot;
pub mod storage;
pub mod telemetry;
pub mod tokens;
pub mod upstream;

/// What providers see as our user agent.
pub const USER_AGENT: &str = concat!("signalbox/", env!("CARGO_PKG_VERSION"));
