//! Exact limits per virtual key: requests and tokens in any 60 seconds, and requests at once.

mod key_limits;
mod window;

pub use key_limits::{KeyLimits, LimitBook, Parallel, Refusal};
pub use window::Window;
