//! Rounds: opened on what is in force, attested once, or missed.

use anchor::MemberRole;
use anchor::transaction::{
    AttestRoundStatement, InventoryStatement, MemberId, OpenRoundStatement, SubjectKind,
};

use crate::call::Call;
use crate::code::{self, Refusal};
use crate::key;
use crate::record::{AttestationRecord, Missed, Moment, Opening};
use crate::state::{Entries, View, Writes};

/// Numbers that a round may leave out: those of rounds that went on unopened while the chain was halted or out
/// of reach. The gap stays visible in the state.
const MAX_UNOPENED: u64 = 1_000_000;

/// Pins agreement, policy set, inventory and profile at this height. Policy sets and inventories outlive the
/// agreement version under which they were approved: who joins by a new version accepts what is in force.
pub(crate) fn open(call: &Call<'_>, statement: &OpenRoundStatement) -> Result<Writes, Refusal> {
    let origin = &statement.origin;
    call.author_is_origin(origin)?;
    check_turn(call, statement)?;
    if call.member(origin)?.role != MemberRole::Operator {
        let reason = format!("`{origin}` is not an operator and has no stations");
        return Err(Refusal::new(code::ROLE, reason));
    }
    let attest_within = check_agreement(call, statement)?;
    check_policy_set(call, statement)?;
    let inventory = check_inventory(call, statement)?;

    let opening = Opening {
        statement: statement.clone(),
        at: call.now,
        deadline: call.now.time.saturating_add(attest_within),
        expected: inventory.count,
        transaction: call.transaction,
    };
    let mut writes = Writes::default();
    writes.put(&key::opening(origin, statement.round), &opening);
    writes.put(&key::last_round(origin), &statement.round);
    writes.put(&key::open_round(origin), &statement.round);
    Ok(writes)
}

/// It is this round's turn: not opened before, a later number, and nothing unattested before its deadline.
fn check_turn(call: &Call<'_>, statement: &OpenRoundStatement) -> Result<(), Refusal> {
    let (origin, round) = (&statement.origin, statement.round);
    match call.view.get(&key::opening(origin, round)) {
        Some(earlier) if earlier.statement == *statement => {
            let reason = format!("round {round} of `{origin}` was opened before, on the same terms");
            return Err(Refusal::new(code::DUPLICATE, reason));
        }
        Some(_) => {
            let reason = format!("round {round} of `{origin}` was opened before, on other terms");
            return Err(Refusal::new(code::CONFLICT, reason));
        }
        None => {}
    }
    let last = call.view.get(&key::last_round(origin)).unwrap_or(0);
    if round <= last || round - last > MAX_UNOPENED {
        let reason = format!("round {round} of `{origin}` does not follow round {last}");
        return Err(Refusal::new(code::ROUND_ORDER, reason));
    }
    if let Some(open) = call.view.get(&key::open_round(origin)) {
        let reason = format!("round {open} of `{origin}` is neither attested nor past its deadline");
        return Err(Refusal::new(code::ROUND_OPEN, reason));
    }
    Ok(())
}

/// Returns the agreement's `attest_within`.
fn check_agreement(call: &Call<'_>, statement: &OpenRoundStatement) -> Result<u64, Refusal> {
    let (id, version) = (&statement.agreement, statement.agreement_version);
    check_in_force(call, SubjectKind::Agreement, id, version)?;
    let agreement = call.view.get(&key::agreement(id, version)).ok_or_else(|| absent("agreement", id))?;
    call.author_is_among(&agreement.parties, id)?;
    Ok(agreement.attest_within)
}

fn check_policy_set(call: &Call<'_>, statement: &OpenRoundStatement) -> Result<(), Refusal> {
    let (id, version) = (&statement.policy_set, statement.policy_set_version);
    check_in_force(call, SubjectKind::PolicySet, id, version)?;
    let policy_set = call.view.get(&key::policy_set(id, version)).ok_or_else(|| absent("policy set", id))?;
    if policy_set.agreement == statement.agreement {
        return Ok(());
    }
    let reason = format!("policy set `{id}` is not in force under agreement `{}`", statement.agreement);
    Err(Refusal::new(code::NOT_IN_FORCE, reason))
}

fn check_inventory(call: &Call<'_>, statement: &OpenRoundStatement) -> Result<InventoryStatement, Refusal> {
    let id = format!("{}/{}", statement.agreement, statement.origin);
    let version = statement.inventory_version;
    check_in_force(call, SubjectKind::Inventory, &id, version)?;
    let entry = key::inventory(&statement.agreement, &statement.origin, version);
    call.view.get(&entry).ok_or_else(|| absent("inventory", &id))
}

fn check_in_force(call: &Call<'_>, kind: SubjectKind, id: &str, version: u32) -> Result<(), Refusal> {
    let in_force = call.view.in_force(kind, id, call.now.height);
    if in_force == Some(version) {
        return Ok(());
    }
    let path = key::path(kind, id);
    let reason = match in_force {
        Some(other) => {
            format!("{path} v{version} is not in force at height {}, v{other} is", call.now.height)
        }
        None => format!("no version of {path} is in force at height {}", call.now.height),
    };
    Err(Refusal::new(code::NOT_IN_FORCE, reason))
}

fn absent(what: &str, id: &str) -> Refusal {
    Refusal::new(code::NOT_IN_FORCE, format!("{what} `{id}` has no such version"))
}

/// One attestation per round. Past the deadline it is accepted as late and the round stays missed: what
/// happened is on record either way, and silence is never the better choice.
pub(crate) fn attest(call: &Call<'_>, statement: &AttestRoundStatement) -> Result<Writes, Refusal> {
    let (origin, round) = (&statement.origin, statement.round);
    call.author_is_origin(origin)?;
    let Some(opening) = call.view.get(&key::opening(origin, round)) else {
        let reason = format!("round {round} of `{origin}` was never opened");
        return Err(Refusal::new(code::UNKNOWN_ROUND, reason));
    };
    check_unattested(call, statement)?;
    check_account(statement, opening.expected)?;
    check_leaf(call, statement)?;

    let record = AttestationRecord {
        statement: statement.clone(),
        at: call.now,
        late: call.now.time > opening.deadline,
        transaction: call.transaction,
    };
    let mut writes = Writes::default();
    writes.put(&key::attestation(origin, round), &record);
    if call.view.get(&key::open_round(origin)) == Some(round) {
        writes.remove(&key::open_round(origin));
    }
    Ok(writes)
}

fn check_unattested(call: &Call<'_>, statement: &AttestRoundStatement) -> Result<(), Refusal> {
    let (origin, round) = (&statement.origin, statement.round);
    match call.view.get(&key::attestation(origin, round)) {
        None => Ok(()),
        Some(earlier) if earlier.statement == *statement => {
            let reason = format!("round {round} of `{origin}` was attested before, the same way");
            Err(Refusal::new(code::DUPLICATE, reason))
        }
        Some(_) => {
            let reason = format!("round {round} of `{origin}` was attested before, differently");
            Err(Refusal::new(code::CONFLICT, reason))
        }
    }
}

/// expected = collected + unchanged + failed + skipped = the agreed inventory's count.
fn check_account(statement: &AttestRoundStatement, agreed: u64) -> Result<(), Refusal> {
    if statement.expected != agreed {
        let reason = format!("{} stations expected, {agreed} in the agreed inventory", statement.expected);
        return Err(Refusal::new(code::COUNT, reason));
    }
    let outcomes = [statement.collected, statement.unchanged, statement.failed, statement.skipped];
    let sum = outcomes.iter().try_fold(0u64, |sum, outcome| sum.checked_add(*outcome));
    if sum == Some(statement.expected) {
        return Ok(());
    }
    let reason = format!("the outcomes do not add up to the {} stations expected", statement.expected);
    Err(Refusal::new(code::COUNT, reason))
}

fn check_leaf(call: &Call<'_>, statement: &AttestRoundStatement) -> Result<(), Refusal> {
    let anchored = call.view.get(&key::checkpoint(&statement.origin)).map_or(0, |head| head.size);
    if statement.leaf_index < anchored {
        return Ok(());
    }
    let reason = format!(
        "leaf {} of `{}` is not below the anchored size {anchored}; hint: anchor the checkpoint first",
        statement.leaf_index, statement.origin
    );
    Err(Refusal::new(code::LEAF, reason))
}

/// Records every open round whose deadline lies before `now`. Runs before the block's transactions.
pub(crate) fn sweep(entries: &Entries, now: Moment) -> (Writes, Vec<(MemberId, u64)>) {
    let view = View::committed(entries);
    let mut writes = Writes::default();
    let mut found = Vec::new();
    let prefix = key::open_round("");
    for key in entries.range(prefix.as_bytes().to_vec()..).map(|(key, _)| key) {
        let Some(origin) = key.strip_prefix(prefix.as_bytes()) else { break };
        let Ok(origin) = std::str::from_utf8(origin) else { continue };
        let Some(round) = view.get(&key::open_round(origin)) else { continue };
        let Some(opening) = view.get(&key::opening(origin, round)) else { continue };
        if now.time > opening.deadline {
            writes.put(&key::missed(origin, round), &Missed { at: now, deadline: opening.deadline });
            writes.remove(&key::open_round(origin));
            found.push((origin.to_owned(), round));
        }
    }
    (writes, found)
}
