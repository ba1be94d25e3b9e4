//! The `signalbox` program.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Each connection has a buffer of 64 KiB, mostly untouched. The system's allocator hands used ones out
/// again: 10,000 idle connections, opened five times, took 221 MiB at first and 805 MiB in the end. With
/// this one they took 150 to 176 MiB each time, and 69 to 94 MiB were left when they had gone.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    gateway::cli::run()
}
