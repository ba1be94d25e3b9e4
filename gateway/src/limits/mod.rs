//! Exact limits per virtual key: requests and tokens in any 60 seconds, and requests at once; where a cluster
//! is configured, together with other gateways. Limits on what a model, a deployment and the process have in flight.

mod gate;
mod gradient;
mod hedge_budget;
mod in_flight;
mod key_limits;
mod pace;
mod places;
mod retry_budget;
mod shared;
mod wait_queue;
mod window;

pub use gate::{Admitted, Closed, Gate};
pub use hedge_budget::HedgeBudget;
pub use in_flight::{InFlightLimit, InFlightRule, Place, Shed, Waiting};
pub use key_limits::{KeyLimits, Left, LimitBook, Parallel, Refusal, ReservedTokens};
pub use places::{InFlightBook, Places};
pub use retry_budget::RetryBudget;
pub use shared::Denied;
pub use window::{Count, Window};
