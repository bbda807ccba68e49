//! Where a request stands in the contract's state, proven under a final block.

use std::time::Duration;

use anchor::bundle::{Base64Bytes, BlockEvidence, StandingEvidence};
use anchor::transaction::Subject;
use anyhow::{Context as _, Result, bail};
use contract::key;

use super::Builder;

/// How often a block may come in between, and how long the next look waits.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

impl Builder<'_> {
    /// The standing of `subject` after the newest block, which goes into the bundle.
    pub(super) async fn standing(&mut self, subject: &Subject) -> Result<StandingEvidence> {
        let (node, key) = (self.app.ledger.node(), key::standing(subject));
        for _ in 0..LOOKS {
            let height = node.tip().height;
            let (root, value, proof) = {
                let contract = self.app.ledger.contract().read();
                let value = contract.entry(key.as_bytes()).map(<[u8]>::to_vec);
                (contract.state_root(), value, contract.prove(key.as_bytes()))
            };
            let value = value.with_context(|| format!("the chain does not know {subject}"))?;
            let found = node.final_block(height).await?;
            let found = found.with_context(|| format!("block {height} is not in the store"))?;
            if found.block.header.state_root == root {
                self.blocks.push(BlockEvidence::new(&found.block.header, &found.certificate));
                return Ok(StandingEvidence { height, value: Base64Bytes(value), proof });
            }
            // The state is a block ahead of the tip until both are told.
            tokio::time::sleep(PAUSE).await;
        }
        bail!("blocks come too fast to prove where {subject} stands; hint: try again")
    }
}
