//! The store through its public face: rounds, log, violations, damage, crashes.

#![expect(clippy::unwrap_used, reason = "tests")]

// The name that the rest of the workspace knows it by.
extern crate ranproof_store as store;

mod anchoring;
mod approved;
mod chain;
mod damage;
mod faults;
mod kill;
mod mirrors;
mod objects;
mod replies;
mod rounds;
mod seconds;
mod violations;
mod world;

/// The agent runs these on a runtime with several threads.
#[test]
fn futures_can_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    fn all(store: &store::Store, commit: &store::RoundCommit, block: &store::ProjectedBlock) {
        check(&store.commit_round(commit));
        check(&store.apply_block(block));
        check(&store.stage_growth());
        check(&store.newest_snapshots());
        check(&store.fsck());
        check(&store.append_mirror("unicom", 0, &[]));
        check(&store.vouch("unicom", 1, &anchor::Hash([0; 32]), model::Timestamp(0)));
        check(&store.stage_transaction(&anchor::PublicKey([0; 32]), "x", model::Timestamp(0), |_| vec![]));
    }
    let _ = all;
}
