//! The embedded chain as its users meet it, with a toy contract. One binary, so that the engine is linked once.

#![expect(clippy::unwrap_used, reason = "tests")]

mod disk;
mod federation;
mod folder;
mod kill;
mod restart;
mod single;
mod toy;
mod world;
