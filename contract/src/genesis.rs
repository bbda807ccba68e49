//! From a genesis file to the first state.

use std::collections::BTreeSet;

use anchor::transaction::{DisputeKind, DisputeStatement};
use anchor::{Genesis, Hash, Member, MemberRole, PublicKey};

use crate::RULES_VERSION;
use crate::form::{MAX_ID, MAX_MEMBERS, is_chain_id, is_id};
use crate::key;
use crate::record::{ChainRecord, Duty, KeyHolder};
use crate::state::{Changes, Writes};

/// Most validators of a chain.
pub const MAX_VALIDATORS: usize = 128;

/// A genesis file that no chain can begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    #[error("genesis has the format `{0}`; hint: this version reads `{format}`", format = Genesis::FORMAT)]
    Format(String),
    #[error("genesis asks for rules version {0}; hint: this version has the rules {RULES_VERSION}")]
    Rules(u32),
    #[error("genesis has the chain id `{0}`; hint: ids joined by `/`, at most {MAX_ID} characters")]
    ChainId(String),
    #[error("genesis has {0} members; hint: 1 to {MAX_MEMBERS}")]
    MemberCount(usize),
    #[error(
        "genesis has the member id `{0}`; hint: letters, digits, `.`, `_`, `:`, `-`, first a letter or digit"
    )]
    MemberId(String),
    #[error("genesis names member `{0}` twice")]
    DuplicateMember(String),
    #[error("genesis gives member `{0}` no name of 1 to {MAX_ID} bytes without control characters")]
    MemberName(String),
    #[error(
        "genesis has operators with the dispute id `{0}`, too long or not theirs alone; hint: shorter ids without `-`"
    )]
    DisputeId(String),
    #[error("genesis uses key {0} twice; hint: each duty of each member has a key of its own")]
    DuplicateKey(PublicKey),
    #[error("genesis gives two members the TLS certificate {0}; hint: each agent has its own")]
    DuplicateCertificate(Hash),
    #[error("genesis has {0} validators; hint: 1 to {MAX_VALIDATORS}")]
    ValidatorCount(usize),
    #[error("genesis has a validator of `{0}`, who is not a member")]
    UnknownValidator(String),
    #[error("genesis gives the validator {0} no power; hint: at least 1")]
    Powerless(PublicKey),
    #[error("genesis gives its validators more power together than 2^32")]
    TooMuchPower,
}

/// Checks a genesis file and returns the entries of the first state.
pub(crate) fn first_entries(genesis: &Genesis) -> Result<Changes, GenesisError> {
    check_chain(genesis)?;
    check_members(genesis)?;
    check_dispute_ids(genesis)?;
    check_validators(genesis)?;
    check_keys(genesis)?;
    let mut writes = Writes::default();
    let chain = ChainRecord {
        chain_id: genesis.chain_id.clone(),
        genesis: genesis.hash(),
        rules_version: genesis.rules_version,
    };
    writes.put(&key::chain(), &chain);
    writes.put(&key::validators(), &genesis.validator_set());
    for member in &genesis.members {
        writes.put(&key::member(&member.id), member);
        for (holder_key, duty) in [(&member.log_key, Duty::Log), (&member.approval_key, Duty::Approval)] {
            writes.put(&key::holder(holder_key), &KeyHolder { member: member.id.clone(), duty });
        }
    }
    let mut entries = Changes::new();
    writes.merge_into(&mut entries);
    Ok(entries)
}

fn check_chain(genesis: &Genesis) -> Result<(), GenesisError> {
    if genesis.format != Genesis::FORMAT {
        return Err(GenesisError::Format(short(&genesis.format)));
    }
    if genesis.rules_version != RULES_VERSION {
        return Err(GenesisError::Rules(genesis.rules_version));
    }
    if !is_chain_id(&genesis.chain_id) {
        return Err(GenesisError::ChainId(short(&genesis.chain_id)));
    }
    Ok(())
}

fn check_members(genesis: &Genesis) -> Result<(), GenesisError> {
    if !(1..=MAX_MEMBERS).contains(&genesis.members.len()) {
        return Err(GenesisError::MemberCount(genesis.members.len()));
    }
    let mut ids = BTreeSet::new();
    for Member { id, name, .. } in &genesis.members {
        if !is_id(id) {
            return Err(GenesisError::MemberId(short(id)));
        }
        if !ids.insert(id) {
            return Err(GenesisError::DuplicateMember(id.clone()));
        }
        if name.is_empty() || name.len() > MAX_ID || name.chars().any(char::is_control) {
            return Err(GenesisError::MemberName(id.clone()));
        }
    }
    Ok(())
}

/// Each operator can dispute each other's rounds, under an id that no other pair has: `a` against `b-c` is not to be
/// read as `a-b` against `c`.
fn check_dispute_ids(genesis: &Genesis) -> Result<(), GenesisError> {
    let operators = || genesis.members.iter().filter(|member| member.role == MemberRole::Operator);
    let mut ids = BTreeSet::new();
    for disputer in operators() {
        for origin in operators().filter(|origin| origin.id != disputer.id) {
            // The longest: no kind has a longer name.
            let id = DisputeStatement::id_of(&disputer.id, &origin.id, u64::MAX, DisputeKind::Undisclosed);
            if !is_id(&id) || ids.contains(&id) {
                return Err(GenesisError::DisputeId(short(&id)));
            }
            ids.insert(id);
        }
    }
    Ok(())
}

fn check_validators(genesis: &Genesis) -> Result<(), GenesisError> {
    if !(1..=MAX_VALIDATORS).contains(&genesis.validators.len()) {
        return Err(GenesisError::ValidatorCount(genesis.validators.len()));
    }
    for validator in &genesis.validators {
        if genesis.member(&validator.member).is_none() {
            return Err(GenesisError::UnknownValidator(short(&validator.member)));
        }
        if validator.power == 0 {
            return Err(GenesisError::Powerless(validator.key));
        }
    }
    // Far below where sums of powers, or three times them, could overflow anywhere.
    if genesis.validator_set().total_power() > 1 << 32 {
        return Err(GenesisError::TooMuchPower);
    }
    Ok(())
}

/// One key, one duty: a log key that could approve, or a consensus key that could anchor, would let a node do
/// what is a person's to do; a cosigner with a log's key would vouch for itself. And one certificate, one member.
fn check_keys(genesis: &Genesis) -> Result<(), GenesisError> {
    let of_members =
        genesis.members.iter().flat_map(|member| [member.log_key, member.approval_key, member.cosigner_key]);
    let of_validators = genesis.validators.iter().map(|validator| validator.key);
    let mut seen = BTreeSet::new();
    for key in of_members.chain(of_validators) {
        if !seen.insert(key) {
            return Err(GenesisError::DuplicateKey(key));
        }
    }
    let mut certificates = BTreeSet::new();
    for member in &genesis.members {
        if !certificates.insert(member.tls) {
            return Err(GenesisError::DuplicateCertificate(member.tls));
        }
    }
    Ok(())
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
