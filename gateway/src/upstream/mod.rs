//! The way to the providers: who can be called, who should be, and one call of one deployment.
//! Owns the state that outlives a configuration reload; knows no client and no `Session`.

mod attempt;
mod balance;
mod connections;
mod content_coding;
mod cooldown;
mod credential;
mod deployment;
mod failure;
mod idle;
mod observe;
mod opened_stream;
mod origin;
mod provider;
mod quantiles;
mod quota;
mod rate;
mod registry;
mod resolve;
mod retry;
mod select;
mod sign;
mod throughput;

pub use attempt::{Attempt, Opened, Outcome, Resumption, UpstreamCall};
pub use balance::{Balancer, Demand, DeploymentSet, PeakEwma};
pub use connections::Connections;
pub use cooldown::{Cooldown, CooldownRule, CooldownState, Permit};
pub use credential::{Credential, KnownCredential};
pub use deployment::{Deployment, DeploymentState, Full, InFlight};
pub use failure::{AttemptFailure, ProviderReply};
pub use observe::{Seen, observe};
pub use opened_stream::OpenedStream;
pub use origin::Origin;
pub use provider::Provider;
pub use quantiles::Quantiles;
pub use quota::Quota;
pub use rate::{RateLimit, Rates, Taken};
pub use registry::Registry;
pub use resolve::Resolver;
pub use retry::{Backoff, classify, connect_failure, retry_after};
pub use select::{Leniency, Selection};
pub use sign::{Signer, Unsigned};
pub use throughput::Throughput;
