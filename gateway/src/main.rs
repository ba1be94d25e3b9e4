//! The `signalbox` program.

use std::process::ExitCode;

/// Costs some 5 % less CPU a request than the system's allocator, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::cli::run()
}
