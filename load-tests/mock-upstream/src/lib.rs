//! A provider's stand-in that speaks the OpenAI and Anthropic wire formats and misbehaves on demand.
//!
//! Owns: the raw HTTP/1.1 server, the answers, the faults and the memory of what was asked. It must
//! not know anything of the gateway: whatever it sends, a real provider could have sent.
//!
//! Reading order: [`Mock`] accepts connections, `connection` reads one request after the other,
//! `answer` compiles each into a `Script` (bytes, pauses, faults), `downstream` performs the script.

mod answer;
mod behaviour;
mod body;
mod connection;
mod control;
mod digits;
mod downstream;
mod event_stream;
mod head;
mod mock;
mod record;
mod request;
mod script;
mod state;

pub use behaviour::{grammar, parse_duration};
pub use mock::{Mock, Options};
pub use record::{Recorded, Stats};
