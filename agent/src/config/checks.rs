//! What the types of `agent.yaml` do not say.

use super::{AgentConfig, PeerEntry};

impl AgentConfig {
    /// Refuses figures with which nothing could be read; names the key, with a hint.
    pub(super) fn check(&self) -> Result<(), String> {
        let collection = &self.collection;
        for (key, is_zero) in [
            ("collection.concurrency", collection.concurrency == 0),
            ("collection.deadline_seconds", collection.deadline_seconds == 0),
            ("collection.max_reply_bytes", collection.max_reply_bytes == 0),
        ] {
            if is_zero {
                return Err(format!("{key} is 0; hint: at least 1, examples/agent.yaml has the default"));
            }
        }
        let percent = collection.mass_deletion_percent;
        if percent > 100 {
            let key = "collection.mass_deletion_percent";
            return Err(format!("{key} is {percent}; hint: a share of all objects, 100 at most"));
        }
        collection.schemas.check().map_err(|why| format!("collection.schemas: {why}"))?;
        self.peers.members.iter().try_for_each(|PeerEntry { member, address, .. }| {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            port.map(drop).ok_or_else(|| {
                format!("address of peer `{member}` is `{address}`; hint: host:port, such as 192.0.2.7:8422")
            })
        })
    }
}
