//! Orders opaque transactions: the embedded BFT engine (Malachite) behind a handle, [`Node`], that submits,
//! asks, waits and follows.
//!
//! The contract is a [`StateMachine`] that the caller plugs in; a block is executed before it is voted for,
//! and every final block carries a header with the roots of the post-state, receipts, and a commit
//! certificate in `anchor`'s encoding ([`FinalBlock`]). One redb transaction per height is the commit point.
//!
//! Nodes connect to listed peers alone and trust none of them: transactions travel in batches, metered per peer and
//! with room per sender ([`MempoolLimits`]); synced blocks are executed and compared like proposed ones; a validator
//! whose folder shows that it forgot votes does not start unless it is told to rejoin, and at each start it asks the others
//! and abstains while it may have forgotten some. What a node sees of itself
//! and of them is [`NodeStatus`].
//!
//! This room does not know what a transaction means, who may send one, or what a round is. It is apart from
//! the others because the engine is generic and is compiled here, which costs a minute: it must not change
//! when a rule does.

mod answering;
mod codec;
mod config;
mod context;
mod driver;
mod engine;
mod executor;
mod folder;
mod gossip;
mod gossiping;
mod home;
mod joining;
mod judged;
mod ledger;
mod mempool;
mod node;
mod proposals;
mod proposing;
mod signing;
mod state_machine;
mod status;
mod store;
mod tap;
mod watching;

/// Log filter that leaves of the engine what a person should read. Left to itself it logs an error for every
/// block of a chain without peers, and for every peer that is away.
pub const ENGINE_LOG_FILTER: &str = "arc_malachitebft=warn,arc_malachitebft_network=off,arc_malachitebft_discovery=off,\
     arc_malachitebft_engine::node=error,arc_malachitebft_engine::wal::thread=off,libp2p=off";

pub use config::{Clock, MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, MAX_TRANSACTION_BYTES, NodeConfig};
pub use engine::EngineError;
pub use home::{HomeError, peer_id};
pub use ledger::{
    Caps, FinalBlock, Finality, Node, NodeStopped, Status, SubmitError, Subscription, Tip, WaitError,
};
pub use mempool::MempoolLimits;
pub use node::StartError;
pub use state_machine::{BlockInput, InvalidBlock, Outcome, Refusal, RestoreError, StateMachine};
pub use status::{ConnectedPeer, Equivocation, HeardVote, LastBlock, NodeStatus, Refused};
pub use store::StoreError;
