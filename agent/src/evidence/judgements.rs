//! Second judgements as evidence: each disclosed record with its place in its judge's own log, which is mirrored here.

use anchor::bundle::{
    BlockEvidence, Bundle, BundleError, BundleParts, JudgementEvidence, Role, SubjectKind,
    TransactionEvidence,
};
use anchor::proof::TlogProof;
use anchor::record::{JudgementRecord, Record};
use anchor::tree::leaf_hash;
use anchor::trust::Trust;
use anchor::verify::{Outcome, Report};
use anyhow::{Context as _, Result, bail};

use crate::app::App;
use crate::mirror::Log;
use crate::mirror::cosign::add_all;

/// A judgement and what proves where it stands.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    evidence: JudgementEvidence,
    transaction: TransactionEvidence,
    block: BlockEvidence,
}

/// What others judged of this violation, or in sum of this round, as far as it is anchored and mirrored here.
pub(super) async fn of(app: &App, kind: SubjectKind, id: &str, round: u64) -> Result<Vec<Judged>> {
    let rows = match kind {
        SubjectKind::Violation => app.store.judgements_of(app.origin(), id).await?,
        SubjectKind::Round => app.store.round_judgements(app.origin(), round).await?,
        SubjectKind::Change => return Ok(vec![]),
    };
    let mut found = Vec::new();
    for row in rows {
        let summary = row.violation.is_none();
        if row.judge != app.origin() && row.round == round && summary == (kind == SubjectKind::Round) {
            found.extend(judged(app, row.record).await?);
        }
    }
    Ok(found)
}

/// `None` while the judge's log is not mirrored that far.
async fn judged(app: &App, record: JudgementRecord) -> Result<Option<Judged>> {
    let (genesis, judge) = (app.ledger.genesis(), record.judge.clone());
    let (Some(head), Some(log)) = (app.store.mirror(&judge).await?.head, Log::of(genesis, &judge)) else {
        return Ok(None);
    };
    let leaf = Record::Judgement(Box::new(record.clone())).envelope(&genesis.chain_id)?.encode()?;
    let Some(index) = app.store.mirror_index(&judge, &leaf_hash(&leaf)).await? else { return Ok(None) };
    let tree = app.trees.mirrored(&app.store, &judge, head.size).await?;
    let checkpoint = log.verified(head.note.as_bytes());
    let mut checkpoint =
        checkpoint.with_context(|| format!("the mirrored head of {judge} is not its own"))?;
    add_all(&mut checkpoint, &app.store, genesis, &judge).await?;
    let proof = TlogProof::new(index, tree.inclusion(index, head.size)?, &checkpoint).to_string();
    let (transaction, block) = app.ledger.evidence(Role::AnchorJudgement, &head.transaction).await?;
    Ok(Some(Judged { evidence: JudgementEvidence { record, proof }, transaction, block }))
}

/// The bundle's bytes, verified. A judgement that would refute it, or make it too long, is left out: what a judge writes into
/// its own log must not keep an origin from proving its claim.
pub(super) fn assemble(parts: &BundleParts, judged: Vec<Judged>, trust: &Trust) -> Result<Vec<u8>> {
    match attempt(parts, &judged, trust)? {
        Attempt::Stands(bytes) => return Ok(bytes),
        Attempt::Refuted(report) if report.decisive_step().is_none_or(|s| s.name != "judgements") => {
            bail!("it does not verify here and is not handed out:\n{report}");
        }
        Attempt::Refuted(_) | Attempt::TooLong(_) => {}
    }
    let mut bytes = match attempt(parts, &[], trust)? {
        Attempt::Stands(bytes) => bytes,
        Attempt::Refuted(report) => bail!("it does not verify here and is not handed out:\n{report}"),
        Attempt::TooLong(error) => return Err(error.into()),
    };
    let mut sound = Vec::new();
    for one in judged {
        let judge = one.evidence.record.judge.clone();
        sound.push(one);
        let why = match attempt(parts, &sound, trust)? {
            Attempt::Stands(longer) => {
                bytes = longer;
                continue;
            }
            Attempt::Refuted(report) => report.decisive_step().map(|step| step.sentence.clone()),
            Attempt::TooLong(error) => Some(error.to_string()),
        };
        sound.pop();
        let why = why.as_deref().unwrap_or("refuted");
        tracing::warn!(peer = %judge, "A judgement of `{judge}` is left out: {why}");
    }
    Ok(bytes)
}

/// What becomes of a bundle. An incomplete one is for its reader to weigh.
enum Attempt {
    Stands(Vec<u8>),
    Refuted(Box<Report>),
    TooLong(BundleError),
}

fn attempt(parts: &BundleParts, judged: &[Judged], trust: &Trust) -> Result<Attempt> {
    let mut parts = parts.clone();
    for one in judged {
        parts.judgements.push(one.evidence.clone());
        parts.transactions.push(one.transaction.clone());
        parts.blocks.push(one.block.clone());
    }
    let bytes = match Bundle::assemble(parts).encode() {
        Ok(bytes) => bytes,
        Err(error @ BundleError::TooLarge(_)) => return Ok(Attempt::TooLong(error)),
        Err(error) => return Err(error.into()),
    };
    let report = anchor::verify(&bytes, trust);
    Ok(match report.outcome {
        Outcome::Refuted | Outcome::Malformed => Attempt::Refuted(Box::new(report)),
        _ => Attempt::Stands(bytes),
    })
}
