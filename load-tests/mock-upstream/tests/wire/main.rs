//! What a client sees of the mock, over real sockets.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod client;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod messages;
