//! Others' second judgements: pulled once they are anchored, checked against the mirrored log of their judge, kept.

use std::collections::{BTreeMap, BTreeSet};

use anchor::record::{JudgementRecord, Record};
use anchor::transaction::MemberId;
use anchor::{Hash, MemberRole};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Progress, taking};
use crate::app::App;
use crate::clock;

/// Longest list of judged rounds taken, in bytes.
const MAX_LIST: usize = 1 << 20;

/// Longest answer of one round's records taken, in bytes.
const MAX_RECORDS: usize = 8 << 20;

/// Longest reason of a record that is kept, in bytes.
pub(super) const MAX_WHY: usize = 4 << 10;

/// Answer of `GET /peer/v1/judgements/{origin}?after=N`: rounds past N that the caller asked about and that are judged and
/// anchored, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedRounds {
    pub rounds: Vec<u64>,
}

/// Answer of `GET /peer/v1/judgements/{origin}/{round}`: the judge's records of a round, its summary last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgements {
    /// [`Judgements::FORMAT`].
    pub format: String,
    pub records: Vec<JudgementRecord>,
}

impl Judgements {
    pub const FORMAT: &'static str = "ranproof/judgements/1";
}

/// What was gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Up to which mirrored size of a judge's log all its judgements are here.
    sizes: BTreeMap<MemberId, u64>,
    /// Judges of whom it was told that a record is not kept.
    wordy: BTreeSet<MemberId>,
}

impl Gathered {
    /// Whether a record is kept. What its judge writes at length, nobody else has to store.
    fn keeps(&mut self, record: &JudgementRecord) -> bool {
        let kept = record.why.len() <= MAX_WHY;
        if !kept && self.wordy.insert(record.judge.clone()) {
            let JudgementRecord { judge, id, .. } = record;
            tracing::warn!(peer = %judge, "Judgements of `{judge}` such as `{id}` are too long and not kept");
        }
        kept
    }
}

/// Pulls from every other operator what it judged of this one's rounds and of third operators'.
pub(super) async fn advance(app: &App, gathered: &mut Gathered) -> Result<Progress> {
    let members = &app.ledger.genesis().members;
    let operators: Vec<&MemberId> = members
        .iter()
        .filter(|member| member.role == MemberRole::Operator)
        .map(|member| &member.id)
        .collect();
    let known = app.peers.members();
    let mut progress = Progress::Done;
    let mut trouble: Option<anyhow::Error> = None;
    for judge in operators.iter().filter(|judge| known.contains(judge)) {
        // Only what stands in the judge's log can be checked, and only a longer log has more.
        let Some(head) = app.store.mirror(judge).await?.head else { continue };
        if gathered.sizes.get(*judge) == Some(&head.size) {
            continue;
        }
        let mut all = true;
        for origin in operators.iter().filter(|origin| origin != &judge) {
            match gather(app, gathered, judge, origin).await {
                Ok(Progress::Done) => continue,
                Ok(waits) => progress = waits,
                // One judge that is away keeps nobody else's judgements away.
                Err(error) => {
                    tracing::warn!(peer = %judge, "What `{judge}` judged of `{origin}` cannot be had: {error:#}");
                    trouble = trouble.or(Some(error));
                }
            }
            all = false;
        }
        if all {
            gathered.sizes.insert((*judge).clone(), head.size);
        }
    }
    trouble.map_or(Ok(progress), Err)
}

/// All that is listed, page by page.
async fn gather(app: &App, gathered: &mut Gathered, judge: &str, origin: &str) -> Result<Progress> {
    loop {
        let before = app.store.last_judged(judge, origin).await?;
        if let waits @ Progress::Waits(_) = page(app, gathered, judge, origin).await? {
            return Ok(waits);
        }
        if app.store.last_judged(judge, origin).await? == before {
            return Ok(Progress::Done);
        }
    }
}

async fn page(app: &App, gathered: &mut Gathered, judge: &str, origin: &str) -> Result<Progress> {
    let after = app.store.last_judged(judge, origin).await?.unwrap_or(0);
    let path = format!("/peer/v1/judgements/{origin}?after={after}");
    let listed: Option<JudgedRounds> = taking::ask(app, judge, &path, MAX_LIST).await?;
    for round in listed.map(|listed| listed.rounds).unwrap_or_default() {
        ensure!(round > after, "{judge} lists judged rounds out of order");
        let path = format!("/peer/v1/judgements/{origin}/{round}");
        let Some(answer) = taking::ask::<Judgements>(app, judge, &path, MAX_RECORDS).await? else { break };
        let attestation = {
            let contract = app.ledger.contract().read();
            let state = contract.round(origin, round).and_then(|state| state.attestation);
            state.map(|attested| attested.statement.attestation)
        };
        check(&answer, judge, origin, round, attestation.as_ref())?;
        let mut judgements = Vec::with_capacity(answer.records.len());
        for record in answer.records.into_iter().filter(|record| gathered.keeps(record)) {
            let Some(leaf) = place(app, &record).await? else {
                return Ok(Progress::Waits(format!(
                    "{judge}'s judgement of round {round} of {origin} is not mirrored yet"
                )));
            };
            judgements.push((record, leaf));
        }
        app.store.add_judgements(&judgements, clock::now()).await?;
    }
    Ok(Progress::Done)
}

/// Where the record's leaf stands in the judge's mirrored log.
async fn place(app: &App, record: &JudgementRecord) -> Result<Option<u64>> {
    let envelope = Record::Judgement(Box::new(record.clone())).envelope(&app.ledger.genesis().chain_id);
    let hash =
        envelope.and_then(|envelope| envelope.leaf_hash()).context("a judgement has no canonical form")?;
    Ok(app.store.mirror_index(&record.judge, &hash).await?)
}

/// The answer is about what was asked: this judge, this round as the chain has it, one summary, at the end.
pub fn check(
    answer: &Judgements,
    judge: &str,
    origin: &str,
    round: u64,
    attestation: Option<&Hash>,
) -> Result<()> {
    ensure!(answer.format == Judgements::FORMAT, "{judge} answers in format `{}`", answer.format);
    for record in &answer.records {
        let about = (record.judge.as_str(), record.origin.as_str(), record.round) == (judge, origin, round);
        ensure!(about, "{judge} answers with a judgement of something else, `{}`", record.id);
        let id = match &record.violation {
            Some(violation) => JudgementRecord::violation_id(&violation.id),
            None => JudgementRecord::summary_id(origin, round),
        };
        ensure!(record.id == id, "judgement `{}` of {judge} has another's name", record.id);
        ensure!(
            attestation.is_none_or(|attestation| record.attestation == *attestation),
            "judgement `{}` of {judge} is of another attestation than the chain has",
            record.id
        );
    }
    let summaries = answer.records.iter().filter(|record| record.violation.is_none()).count();
    let last = answer.records.last().is_some_and(|record| record.violation.is_none());
    ensure!(summaries == 1 && last, "{judge} answers round {round} of {origin} without a summary at its end");
    Ok(())
}

#[cfg(test)]
mod tests {
    use anchor::commitment::Nonce;
    use anchor::record::{JudgedViolation, JudgementCounts, JudgementRecordFormat, JudgementVerdict};

    use super::*;
    use crate::second::judging::bounded;

    fn record(violation: Option<&str>) -> JudgementRecord {
        let judged = |id: &str| JudgedViolation {
            id: id.into(),
            commitment: Hash::ZERO,
            dn: "A=1".into(),
            attribute: "x".into(),
            rule: "authorisation".into(),
        };
        JudgementRecord {
            format: JudgementRecordFormat,
            id: violation.map_or("J-telecom-3".into(), JudgementRecord::violation_id),
            judge: "unicom".into(),
            origin: "telecom".into(),
            round: 3,
            attestation: Hash::of(b"a"),
            violation: violation.map(judged),
            verdict: JudgementVerdict::Same,
            theirs: None,
            own: None,
            why: String::new(),
            counts: violation.is_none().then(JudgementCounts::default),
            nonce: Nonce([1; 32]),
        }
    }

    fn answer(records: Vec<JudgementRecord>) -> Judgements {
        Judgements { format: Judgements::FORMAT.into(), records }
    }

    #[test]
    fn a_record_that_talks_at_length_is_not_kept() {
        let mut gathered = Gathered::default();
        let said = |why: usize| JudgementRecord { why: "x".repeat(why), ..record(None) };
        assert!(gathered.keeps(&said(MAX_WHY)));
        assert!(!gathered.keeps(&said(MAX_WHY + 1)));
        assert!(gathered.wordy.contains("unicom"));
        let own = bounded("数".repeat(MAX_WHY));
        assert!(own.len() <= MAX_WHY && own.ends_with('…'), "what this judge writes is kept by others");
    }

    #[test]
    fn an_answer_is_about_the_round_that_was_asked_for_and_summed_up_at_its_end() {
        let good = answer(vec![record(Some("V-1")), record(None)]);
        let ask = |answer: &Judgements| check(answer, "unicom", "telecom", 3, Some(&Hash::of(b"a")));
        ask(&good).unwrap();
        assert!(check(&good, "unicom", "telecom", 3, None).is_ok(), "the chain may know no attestation");
        let mut bad = vec![
            answer(vec![record(Some("V-1"))]),
            answer(vec![record(None), record(Some("V-1"))]),
            answer(vec![record(None), record(None)]),
            answer(vec![]),
            Judgements { format: "x".into(), ..good.clone() },
        ];
        for spoil in [
            (|r: &mut JudgementRecord| r.judge = "mobile".into()) as fn(&mut JudgementRecord),
            |r| r.origin = "mobile".into(),
            |r| r.round = 4,
            |r| r.id = "J-other".into(),
            |r| r.attestation = Hash::of(b"b"),
        ] {
            let mut spoiled = good.clone();
            spoil(&mut spoiled.records[0]);
            bad.push(spoiled);
        }
        for answer in bad {
            assert!(ask(&answer).is_err(), "{answer:?}");
        }
    }
}
