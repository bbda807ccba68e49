//! Plays the radio network: stations that speak real NETCONF over real SSH, with faults on request.
//!
//! [`serve_stations`] starts the stations a [`WorldSpec`] describes, all from one seed; [`config`] generates
//! what they hold at first, [`modules`] has the YANG texts that say what that may be, [`edit`](mod@edit) and
//! [`filter`] are the server's side of RFC 6241, [`Fault`] is what can be wrong with one and [`control`] how to
//! ask for it. [`manager`] is the account that changes configurations, the only writer. [`cli`] is `ranproof sim`.
//!
//! It does not know what is agreed, approved or judged. Its keys and passwords follow from the seed: they
//! guard nothing.

pub mod answer;
pub mod cli;
pub mod config;
pub mod connection;
pub mod control;
pub mod edit;
pub mod faults;
pub mod filter;
pub mod manager;
pub mod modules;
pub mod objects;
pub mod rpc;
pub mod schema;
pub mod seed;
pub mod station;
pub mod store;
pub mod tree;
pub mod world;

pub use faults::Fault;
pub use station::Versions;
pub use world::{Inventory, StationEntry, World, WorldError, WorldSpec, serve_stations};
