//! The application that one operator runs: configuration, commands, schedule, pages and API, metrics, wiring.
//!
//! Two stories are readable on one screen each: [`round`] (open → sweep → judge → store → publish) and
//! [`anchoring`] (outbox → log → checkpoint on the chain → apply). [`App`](app::App) is what a running agent
//! holds; [`cli`] is the command line. Nothing depends on this room.

pub mod acting;
pub mod anchoring;
pub mod api;
pub mod app;
pub mod baseline;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod demo;
pub mod evidence;
pub mod federation;
pub mod keys;
pub mod ledger;
pub mod machine;
pub mod metrics;
pub mod mirror;
pub mod peer;
pub mod pins;
pub mod preview;
pub mod projector;
pub mod round;
pub mod schemas;
pub mod second;
pub mod sending;
pub mod server;
pub mod statements;
pub mod trees;
pub mod web;
