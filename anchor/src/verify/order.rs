//! Step `order`: what was final before what, by heights; windows by the collector's own times, held to those of blocks.

use crate::record::Authorisation;

use super::agreement::{Round, Rounds};
use super::approvals::Request;
use super::record::Claim;
use super::report::{Finding, Gaps, Refuted, StepResult, refuted};

/// How far the clocks of a collector and of the validators may lie apart, in milliseconds. A block's time and a
/// sweep's times are read from different clocks: what they contradict by less proves nothing.
pub const CLOCK_TOLERANCE: u64 = 60_000;

pub(super) fn check(claim: &Claim<'_>, request: &Option<Request>, rounds: &Rounds<'_>) -> StepResult<()> {
    let Some(after) = rounds.after else {
        return Ok(((), Finding::Incomplete("no round to order by".into())));
    };
    if let Claim::Violation(record) = claim
        && record.first_seen.height != after.attestation.opened
    {
        return refuted("the record says first seen at another height than its round's opening");
    }
    let Some(opened) = after.opened else {
        return Ok(((), Finding::Incomplete("the round's opening is not on chain or not shown".into())));
    };
    let mut gaps = Gaps::default();
    let mut said = Vec::new();
    if let Claim::Round(_) = claim {
        said.push(format!("opened at {opened}"));
    } else {
        said.push(format!("new value attested by the round opened at {opened}"));
    }
    said.push(attested(&after, rounds.attest_within)?);
    check_sweep(&after, &mut gaps);
    if let Some(before) = &rounds.before {
        check_sweep(before, &mut gaps);
        said.push(check_before(before, opened, &mut gaps)?);
    }
    if let Some(request) = request {
        said.push(check_request(request, opened, rounds, &mut gaps)?);
    }
    Ok(((), gaps.finding(|| said.join("; "))))
}

fn attested(round: &Round<'_>, within: Option<u64>) -> Result<String, Refuted> {
    let (Some(opened), Some(attested)) = (round.opened, round.attested) else {
        return Ok("its AttestRound is not shown".into());
    };
    if attested <= opened {
        return refuted(format!("attested at {attested}, not after the opening at {opened}"));
    }
    let took = round.attested_at.zip(round.opened_at).map(|(end, start)| end.saturating_sub(start));
    Ok(match took.zip(within) {
        Some((took, within)) if took > within => {
            format!("attested at {attested}, {} s past the deadline", (took - within).div_ceil(1000))
        }
        _ => format!("attested at {attested}, in time"),
    })
}

/// The collector says itself when it read; the blocks that opened and attested the round bound that. A contradiction
/// refutes nothing, because a clock may be wrong, but then nothing may rest on these times.
fn check_sweep(round: &Round<'_>, gaps: &mut Gaps) {
    let (number, started, finished) =
        (round.attestation.round, round.attestation.started, round.attestation.finished);
    if started > finished {
        gaps.add(format!("round {number} says that it finished before it started"));
    }
    if let Some(opened_at) = round.opened_at
        && started < opened_at.saturating_sub(CLOCK_TOLERANCE)
    {
        gaps.add(format!(
            "round {number} says that it started {} s before the block that opened it: a clock is wrong, or it was \
             read before",
            (opened_at - started).div_ceil(1000)
        ));
    }
    if let Some(attested_at) = round.attested_at
        && finished > attested_at.saturating_add(CLOCK_TOLERANCE)
    {
        gaps.add(format!(
            "round {number} says that it finished {} s after the block that attested it: a clock is wrong, or it \
             was still being read",
            (finished - attested_at).div_ceil(1000)
        ));
    }
}

/// The old value was committed to before the round that saw the new one.
fn check_before(before: &Round<'_>, opened: u64, gaps: &mut Gaps) -> Result<String, Refuted> {
    let Some(earlier) = before.opened else {
        gaps.add("the earlier round's opening is not on chain or not shown");
        return Ok(String::new());
    };
    if earlier >= opened {
        return refuted(format!(
            "the old value is attested by a round opened at {earlier}, not before the one at {opened}"
        ));
    }
    match before.attested {
        Some(attested) if attested <= earlier => refuted(format!(
            "the earlier round was attested at {attested}, not after its opening at {earlier}"
        )),
        Some(attested) if attested >= opened => {
            gaps.add(format!(
                "the old value was attested only at {attested}, after the later round's opening at {opened}"
            ));
            Ok(String::new())
        }
        Some(attested) => {
            Ok(format!("old value attested by the round opened at {earlier} < {opened}, final at {attested}"))
        }
        None => {
            gaps.add("the earlier round's AttestRound is not shown");
            Ok(String::new())
        }
    }
}

/// `exact` needs every approval before the opening of the round that saw it, none taken back until then, no round
/// between, and a read that may fall into the window; `late` needs an approval that was not before the opening.
fn check_request(
    request: &Request,
    opened: u64,
    rounds: &Rounds<'_>,
    gaps: &mut Gaps,
) -> Result<String, Refuted> {
    let id = &request.statement.id;
    let Some(approved) = request.approved else { return Ok(format!("`{id}` is not shown approved")) };
    match request.verdict {
        Authorisation::Exact if approved >= opened => refuted(format!(
            "late: `{id}` was approved at {approved}, not before the round opened at {opened}; `exact` does not hold"
        )),
        Authorisation::Late if approved < opened => refuted(format!(
            "`{id}` was approved at {approved}, before the round opened at {opened}; `late` does not hold"
        )),
        Authorisation::Exact => {
            check_window(request, rounds)?;
            check_neighbours(rounds, gaps)?;
            if let Some(shown) = &request.standing {
                shown.check(id, opened, gaps)?;
            }
            Ok(format!("`{id}` approved final at {approved} < {opened}, within its window"))
        }
        verdict => Ok(format!("`{id}` approved final at {approved}, judged {}", verdict.as_str())),
    }
}

/// What a round between had seen already was there before this opening, perhaps before the approval. The numbers of
/// opened rounds grow on chain, so that not even a wrong `previous` hides one.
fn check_neighbours(rounds: &Rounds<'_>, gaps: &mut Gaps) -> Result<(), Refuted> {
    let (Some(before), Some(after)) = (&rounds.before, &rounds.after) else {
        gaps.add("no earlier round is shown: rounds before this one could have seen it first");
        return Ok(());
    };
    let (before, after) = (before.attestation, after.attestation);
    let hash = before.hash().map_err(|e| Refuted(e.to_string()))?;
    if after.previous != Some(hash) || before.round.checked_add(1) != Some(after.round) {
        gaps.add(format!(
            "round {} does not follow directly on round {}: rounds between them could have seen it first",
            after.round, before.round
        ));
    }
    Ok(())
}

/// The change fell between the earlier read and the later one; neither may lie wholly outside the window.
fn check_window(request: &Request, rounds: &Rounds<'_>) -> Result<(), Refuted> {
    let (from, to) = (request.statement.window_from, request.statement.window_to);
    if rounds.after.is_some_and(|after| after.attestation.finished <= from) {
        return refuted("early: the new value was read before the request's window");
    }
    if rounds.before.is_some_and(|before| before.attestation.started >= to) {
        return refuted("expired: the old value was still read after the request's window");
    }
    Ok(())
}
