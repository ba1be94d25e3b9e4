//! The exact cache: the same question gets the same answer, from memory or from disk. Owns the key of a question, what
//! of an answer is kept and for how long, and how it is removed. Knows neither HTTP nor providers.

mod canonical;
mod key;

mod cipher;
mod code;
mod entry;

mod installation;
mod purges;

mod store;
mod tally;

pub use cipher::{Cipher, WrongKeyLength};
pub use entry::{Entry, Flags};
pub use installation::BrokenInstallation;
pub use key::{Key, Keyer, NoKey, Question};
pub use purges::{NotPurged, Purge};
pub use store::{ExactCache, Lookup, NotOpened, Peek, Settings};
pub use tally::Stats;
