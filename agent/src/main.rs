//! The `ranproof` command.

use std::process::ExitCode;

/// Rounds make and drop millions of small texts on several threads. With the C library's allocator a sixth of a station's
/// time, by a profile, went into it and into pages that it gave back to the kernel and asked for again. Libraries in C keep
/// theirs: a program that is started with another clock by a preloaded library does not get up if they do not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    agent::cli::main()
}
