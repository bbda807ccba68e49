//! Why another agent's answer is not there.

use anchor::transaction::MemberId;

/// Why [`Peers::get`](super::Peers::get) has nothing to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    #[error("no address of {0} is known here; hint: list it in `peers.members`")]
    Unlisted(MemberId),
    /// It was asked moments ago in vain and is left alone for a while.
    #[error("{member} is left alone for {millis} ms more: {why}")]
    Resting { member: MemberId, millis: u64, why: String },
    #[error("{member} cannot be reached at {address}: {why}; hint: is its agent running and its port open?")]
    Unreachable { member: MemberId, address: String, why: String },
    /// Whoever answers there is not the member, or the member does not know this agent.
    #[error("no trust with {member} at {address}: {why}")]
    Distrusted { member: MemberId, address: String, why: String },
    #[error("{member} did not answer {path} in time")]
    Late { member: MemberId, path: String },
    #[error("{member} answered {path} with more than {limit} bytes; the connection was cut")]
    TooLarge { member: MemberId, path: String, limit: usize },
    #[error("{member} answered {path} with status {status}")]
    Refused { member: MemberId, path: String, status: u16 },
    #[error("{member} broke off its answer to {path}: {why}")]
    Broken { member: MemberId, path: String, why: String },
    #[error("{member} answered {path} with what is not understood: {why}")]
    NotUnderstood { member: MemberId, path: String, why: String },
}

impl PeerError {
    /// Whether it says that the peer as such is away, so that it is left alone for a while.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            PeerError::Unreachable { .. }
                | PeerError::Distrusted { .. }
                | PeerError::Late { .. }
                | PeerError::Broken { .. }
        )
    }

    /// The same kind of trouble is told once.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            PeerError::Unlisted(_) => "unlisted",
            PeerError::Resting { .. } => "resting",
            PeerError::Unreachable { .. } => "unreachable",
            PeerError::Distrusted { .. } => "distrusted",
            PeerError::Late { .. } => "late",
            PeerError::TooLarge { .. } => "too-large",
            PeerError::Refused { .. } => "refused",
            PeerError::Broken { .. } => "broken",
            PeerError::NotUnderstood { .. } => "not-understood",
        }
    }
}
