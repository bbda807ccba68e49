//! What must hold before an action is looked at: a transaction of this chain, signed by a member's key, in its
//! turn. A transaction that fails here leaves no trace in the state.

use anchor::{Hash, PublicKey, SignedTransaction};

use crate::code::{self, Refusal};
use crate::form::MAX_ID;
use crate::key;
use crate::record::KeyHolder;
use crate::state::View;

/// A transaction whose signature verified, and whose it is.
pub(crate) struct Opened {
    pub signed: SignedTransaction,
    pub holder: KeyHolder,
}

/// Opens `bytes`. `ahead` is how far past the next sequence number the transaction may be: 0 to execute it.
/// `verified` says that the signature of exactly these bytes was found good before.
pub(crate) fn open(view: View<'_>, bytes: &[u8], ahead: u64, verified: bool) -> Result<Opened, Refusal> {
    // The decoder's own words stay out of the receipt: see `code`.
    let signed = SignedTransaction::decode(bytes)
        .map_err(|_| Refusal::new(code::MALFORMED, "not a signed transaction of this version"))?;
    let transaction = &signed.transaction;
    let sender = &transaction.sender;
    if view.get(&key::chain()).is_none_or(|chain| chain.chain_id != transaction.chain_id) {
        let named: String = transaction.chain_id.chars().take(MAX_ID).collect();
        return Err(Refusal::new(code::CHAIN, format!("the transaction is meant for chain `{named}`")));
    }
    let holder = view.get(&key::holder(sender)).ok_or_else(|| {
        Refusal::new(code::NOT_A_MEMBER, format!("key {sender} belongs to no member of this chain"))
    })?;
    check_sequence(view, sender, transaction.sequence, ahead)?;
    // Last, because it costs most.
    if !verified && signed.verify().is_err() {
        let reason = format!("the signature does not verify under the sender {sender}");
        return Err(Refusal::new(code::SIGNATURE, reason));
    }
    Ok(Opened { signed, holder })
}

/// The sequence number that the key's next executed transaction has; none when all are used up.
pub(crate) fn next_sequence(view: View<'_>, sender: &PublicKey) -> Option<u64> {
    view.get(&key::sequence(sender)).unwrap_or(0).checked_add(1)
}

fn check_sequence(view: View<'_>, sender: &PublicKey, found: u64, ahead: u64) -> Result<(), Refusal> {
    let next = next_sequence(view, sender);
    if next.is_some_and(|next| (next..=next.saturating_add(ahead)).contains(&found)) {
        return Ok(());
    }
    let next = next.map_or("none".to_owned(), |next| next.to_string());
    let reason = format!("sequence {found} of key {sender} is out of turn, the next is {next}");
    Err(Refusal::new(code::SEQUENCE, reason))
}

/// The name of a transaction, also of bytes that are none.
pub(crate) fn id(bytes: &[u8]) -> Hash {
    anchor::transaction::transaction_id(bytes)
}
