//! The embedded chain as its users meet it, with a toy contract. One binary, so that the engine is linked once.

#![expect(clippy::unwrap_used, reason = "tests")]

mod amnesia;
mod byzantine;
mod disk;
mod federation;
mod flood;
mod folder;
mod idle;
mod kill;
mod late;
mod mallory;
mod members;
mod outage;
mod restart;
mod single;
mod throughput;
mod toy;
mod world;
