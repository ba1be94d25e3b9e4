//! Exact limits per virtual key: requests and tokens in any 60 seconds, and requests at once. Limits on
//! what a model, a deployment and the process have in flight.

mod gate;
mod gradient;
mod hedge_budget;
mod in_flight;
mod key_limits;
mod pace;
mod places;
mod retry_budget;
mod wait_queue;
mod window;

pub use gate::{Admitted, Closed, Gate};
pub use hedge_budget::HedgeBudget;
pub use in_flight::{InFlightLimit, InFlightRule, Place, Shed, Waiting};
pub use key_limits::{KeyLimits, LimitBook, Parallel, Refusal};
pub use places::{InFlightBook, Places};
pub use retry_budget::RetryBudget;
pub use window::Window;
