//! An origin and a judge over real stores, without a chain: honest rounds are judged the same, and every lie is named.

mod honest;
mod lies;
mod progress;
mod remembering;
mod rereading;
mod world;
