//! The `ranproof` command.

use std::process::ExitCode;

/// Rounds make and drop millions of small texts on several threads; the C library's allocator takes a tenth more time and hands
/// memory back to the kernel that the next round asks for again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    agent::cli::main()
}
