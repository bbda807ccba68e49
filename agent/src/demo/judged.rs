//! What the agents say of each other's rounds and logs, as the demo's people look it up.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use model::Dn;
use serde::Serialize;
use serde_json::Value as Json;

use super::story::Told;
use super::world::World;
use crate::federation::DisputeView;

/// Second judgements in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Judgements {
    /// Rounds of which everything opened and every verdict was the same.
    pub same: u64,
    /// Rounds in which something did not open, or a verdict was another.
    pub differs: u64,
    /// Verdicts on violations that were the same, and those that were not.
    pub verdicts_same: u64,
    pub verdicts_differing: u64,
    /// Commitments that did not open.
    pub unopened: u64,
}

/// Who judges whose rounds.
const JUDGES: [(&str, &str); 2] = [("unicom", "telecom"), ("telecom", "unicom")];

/// Waits until each operator's agent has judged every round of the other, and that one has pulled what it says.
pub fn wait_for_all(world: &World, told: &Told) -> Result<()> {
    for (judge, origin) in JUDGES {
        for round in told.of(origin).iter().map(|round| round.round) {
            world.wait(&format!("{judge}'s judgement of round {round} of {origin}"), || {
                summary(world, judge, origin, round)
            })?;
        }
    }
    Ok(())
}

/// What `judge` found in a round as a whole, as the round's own operator has it, once it has it.
fn summary(world: &World, judge: &str, origin: &str, round: u64) -> Result<Option<Json>> {
    let shown = world.member(origin)?.ask(&format!("rounds/{round}"))?;
    let judgements = shown.get("judgements").and_then(Json::as_array).cloned().unwrap_or_default();
    let done = |row: &Json| {
        row.get("judge").and_then(Json::as_str) == Some(judge)
            && row.get("verdict").is_some_and(Json::is_string)
    };
    Ok(judgements.into_iter().find(done))
}

/// All rounds' second judgements in numbers.
pub fn counts(world: &World, told: &Told) -> Result<Judgements> {
    let mut counts = Judgements::default();
    for (judge, origin) in JUDGES {
        for round in told.of(origin).iter().map(|round| round.round) {
            let summary = summary(world, judge, origin, round)?;
            let summary = summary.with_context(|| format!("round {round} of {origin} is not judged"))?;
            match summary.get("verdict").and_then(Json::as_str) {
                Some("same") => counts.same += 1,
                _ => counts.differs += 1,
            }
            let number = |name: &str| summary.pointer(&format!("/counts/{name}")).and_then(Json::as_u64);
            counts.verdicts_same += number("same").unwrap_or_default();
            counts.verdicts_differing += number("differing").unwrap_or_default();
            counts.unopened += number("unopened").unwrap_or_default();
        }
    }
    Ok(counts)
}

/// The disputes on the chain, as Telecom's agent shows them.
pub fn disputes(world: &World) -> Result<Vec<DisputeView>> {
    Ok(world.member("telecom")?.chain()?.federation.disputes)
}

/// Sizes up to which others have cosigned an operator's log, by member.
pub type Cosignatures = BTreeMap<String, u64>;

/// Waits until everybody whose cosignature the other operator's trust file requires has cosigned the whole of the log
/// that the chain has of `operator`.
pub fn wait_for_cosignatures(world: &World, operator: &str, required: &[&str]) -> Result<Cosignatures> {
    let owner = world.member(operator)?;
    world.wait(&format!("the cosignatures of {operator}'s log"), || {
        let logs = owner.chain()?.logs;
        let Some(log) = logs.into_iter().find(|log| log.origin == operator) else { return Ok(None) };
        let cosigned: Cosignatures = log.cosigned.into_iter().map(|seen| (seen.member, seen.size)).collect();
        let covers = |member: &&str| cosigned.get(*member).is_some_and(|size| *size >= log.size);
        Ok(required.iter().all(covers).then_some(cosigned))
    })
}

/// Waits until Unicom's people can read what Telecom answered to a dispute.
pub fn wait_for_answer(world: &World, id: &str) -> Result<()> {
    world.wait("the answer to Unicom's dispute", || {
        let shown: Result<Json> = world.member("unicom")?.person.ask(&["dispute", "show", id]);
        // The block with the answer may not be there yet, nor the answer's body behind the block.
        Ok(shown.ok().filter(|shown| !shown["answer"].is_null()).map(drop))
    })
}

/// Waits until Unicom's agent has a violation of its own kind on `object`, and its dispute stands on the chain.
pub fn wait_for_dispute(world: &World, round: u64, object: &Dn) -> Result<DisputeView> {
    let unicom = world.member("unicom")?;
    world.wait("Unicom's dispute", || {
        let page = unicom.ask("violations?origin=telecom&rule=second-judgement")?;
        let rows = page.get("violations").and_then(Json::as_array).cloned().unwrap_or_default();
        let found = rows.iter().any(|row| row.get("object").and_then(Json::as_str) == Some(object.as_str()));
        let dispute = disputes(world)?.into_iter().find(|d| d.origin == "telecom" && d.round == round);
        Ok(dispute.filter(|_| found))
    })
}
