//! Bundles: everything a peer needs beside its own trust file to check one claim, put together from log, chain and
//! openings, and verified here before it is handed out.

mod cosigned;
mod judgements;
mod observation;
mod standing;

use std::sync::Arc;

use anchor::bundle::{BlockEvidence, BundleParts, Role, Subject, SubjectKind, TransactionEvidence};
use anchor::proof::TlogProof;
use anchor::record::{Attestation, ChangeRecord, Envelope, Record, ViolationRecord};
use anchor::transaction::{Subject as ChainSubject, SubjectKind as ChainSubjectKind};
use anchor::tree::Tree;
use anchor::trust::{Trust, TrustFile, TrustedMapSecret};
use anchor::{Checkpoint, Hash, json};
use anyhow::{Context as _, Result, bail};
use store::{BundleRow, LogLeaf, RequestFilter, log};

use crate::anchoring;
use crate::app::App;
use crate::{clock, statements};

/// What a bundle is being made of.
struct Builder<'a> {
    app: &'a App,
    checkpoint: Checkpoint,
    tree: Arc<Tree>,
    blocks: Vec<BlockEvidence>,
    transactions: Vec<TransactionEvidence>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("there is no evidence about `{0}`; hint: a violation's or change's id, or round-N")]
    Missing(String),
    /// There will be one, or may be.
    #[error("{what}; hint: {hint}")]
    NotYet { what: String, hint: &'static str },
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<store::StoreError> for BundleError {
    fn from(error: store::StoreError) -> BundleError {
        BundleError::Failed(error.into())
    }
}

impl BundleError {
    fn not_anchored(id: &str) -> BundleError {
        BundleError::NotYet { what: format!("{id} is not anchored yet"), hint: "try again in a moment" }
    }
}

/// The bundle of a violation, a change or `round-N`, verified.
///
/// # Errors
/// [`BundleError`].
pub async fn bundle(app: &App, id: &str) -> Result<Vec<u8>, BundleError> {
    let (kind, leaf) = find(app, id).await?;
    let round = leaf.round.context("the leaf is of no round of this operator")?;
    let attested = app.store.leaf_of(log::ATTESTATION, &attestation_of(round)).await?;
    let last = attested.map_or(leaf.index, |attested| attested.index.max(leaf.index));
    let checkpoint = cosigned::choose(app, last).await?;
    let checkpoint = checkpoint.ok_or_else(|| BundleError::not_anchored(id))?;
    let tree = anchoring::tree(app, checkpoint.head().size).await?;
    let mut builder = Builder { app, checkpoint, tree, blocks: vec![], transactions: vec![] };
    let parts = builder.build(kind, id, &leaf, round).await?;
    let judged = judgements::of(app, kind, id, round).await?;
    let trust = own_trust(app).await?;
    let made = judgements::assemble(&parts, judged, &trust);
    Ok(made.with_context(|| format!("the bundle of {id} is not made"))?)
}

fn attestation_of(round: u64) -> String {
    format!("round/{round}")
}

/// Writes the bundles of requests that were carried out and have none yet, those included that a crash or a halted
/// chain kept an earlier round from writing. A failure is logged, since they can be asked for again.
pub async fn publish(app: &App) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for subject in app.store.subjects_without_bundle("change").await? {
        match write(app, &subject).await {
            Ok(file) => files.push(file),
            Err(error) => {
                tracing::warn!(change.id = subject, "No bundle of `{subject}` yet: {error:#}");
            }
        }
    }
    Ok(files)
}

async fn write(app: &App, id: &str) -> Result<String> {
    let bytes = bundle(app, id).await?;
    let folder = app.config.data.join("bundles");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(format!("{id}.json"));
    let part = folder.join(format!("{id}.json.part"));
    std::fs::write(&part, bytes).with_context(|| format!("cannot write {}", part.display()))?;
    std::fs::rename(&part, &path).with_context(|| format!("cannot name {}", path.display()))?;
    let file = path.display().to_string();
    let row =
        BundleRow { file: file.clone(), subject: id.to_owned(), created: clock::now(), trust: String::new() };
    app.store.add_bundle(&row).await?;
    Ok(file)
}

/// The newest leaf about a subject.
async fn find(app: &App, id: &str) -> Result<(SubjectKind, LogLeaf), BundleError> {
    if let Some(round) = id.strip_prefix("round-").and_then(|n| n.parse::<u64>().ok()) {
        return match app.store.leaf_of(log::ATTESTATION, &attestation_of(round)).await? {
            Some(leaf) => Ok((SubjectKind::Round, leaf)),
            None if app.store.round(round).await?.is_some() => Err(BundleError::not_anchored(id)),
            None => Err(BundleError::Missing(id.to_owned())),
        };
    }
    for (kind, name) in [(SubjectKind::Violation, "violation"), (SubjectKind::Change, "change")] {
        if let Some(leaf) = app.store.leaf_of(name, id).await? {
            return Ok((kind, leaf));
        }
    }
    if app.store.violation(id).await?.is_some() {
        return Err(BundleError::not_anchored(id));
    }
    let request = RequestFilter { ids: vec![id.to_owned()], ..RequestFilter::default() };
    if app.store.requests(&request).await?.is_empty() {
        return Err(BundleError::Missing(id.to_owned()));
    }
    let what = format!("no round of this operator saw {id} carried out");
    Err(BundleError::NotYet { what, hint: "`ranproof change show` tells how far it has come" })
}

/// This federation's keys and the agreement's secret: what a party would trust.
async fn own_trust(app: &App) -> Result<Trust> {
    let genesis = app.ledger.genesis();
    let agreement = {
        let contract = app.ledger.contract().read();
        contract.agreement_in_force(&app.config.agreement, app.ledger.next_height())
    };
    let file = match agreement {
        Some(found) => {
            let mut file =
                statements::trust(genesis, &app.read_body(&found.statement.body, "agreement").await?)?;
            let all = app.map_secrets(&found.statement.id).await?.into_iter();
            let agreement = found.statement.id;
            file.map_secrets = all
                .map(|(version, secret)| TrustedMapSecret { agreement: agreement.clone(), version, secret })
                .collect();
            file
        }
        None => TrustFile::from_genesis(genesis),
    };
    Ok(Trust::new(file)?)
}

impl Builder<'_> {
    async fn build(
        &mut self,
        kind: SubjectKind,
        id: &str,
        leaf: &LogLeaf,
        round: u64,
    ) -> Result<BundleParts> {
        let envelope = Envelope::decode(&leaf.envelope).context("the leaf is unreadable")?;
        let attestation = self.attestation(round).await?;
        self.anchor_transaction().await?;
        self.round(&attestation, Role::Open, Role::Attest).await?;
        self.documents(&attestation).await?;
        let record = leaf.record.clone().map(serde_json::from_value::<Record>).transpose()?;
        let (mut before, mut after, mut request, mut standing) = (None, None, None, None);
        if let Some(record) = &record {
            after = Some(self.after(&attestation, record).await?);
            before = self.before(round, record).await?;
            if let Some(earlier) = &before {
                let attestation = earlier.attestation.clone();
                self.round(&attestation, Role::OpenBefore, Role::AttestBefore).await?;
            }
            request = match record {
                Record::Change(change) => self.request(change).await?,
                Record::Violation(violation) => self.nearest(violation).await?,
                Record::Judgement(_) => bail!("a judgement is evidence in the bundle of what it judges"),
            };
            if let Record::Change(change) = record
                && let Some(reference) = &change.request
            {
                standing = Some(self.standing(&change_subject(&reference.id)).await?);
            }
        }
        let id = if kind == SubjectKind::Round { round.to_string() } else { id.to_owned() };
        let size = self.checkpoint.head().size;
        let proof = TlogProof::new(leaf.index, self.tree.inclusion(leaf.index, size)?, &self.checkpoint);
        Ok(BundleParts {
            subject: Subject { kind, id },
            record,
            leaf: envelope,
            proof,
            request,
            before,
            after,
            judgements: vec![],
            blocks: std::mem::take(&mut self.blocks),
            transactions: std::mem::take(&mut self.transactions),
            standing,
        })
    }

    async fn attestation(&self, round: u64) -> Result<Attestation> {
        let row = self.app.store.round(round).await?;
        let bytes = row
            .and_then(|row| row.attestation)
            .with_context(|| format!("round {round} has no attestation"))?;
        json::decode(&bytes).with_context(|| format!("the attestation of round {round} is unreadable"))
    }

    async fn add(&mut self, role: Role, id: &Hash) -> Result<()> {
        let (transaction, block) = self.app.ledger.evidence(role, id).await?;
        self.transactions.push(transaction);
        self.blocks.push(block);
        Ok(())
    }

    /// The transaction that put exactly this checkpoint on the chain.
    async fn anchor_transaction(&mut self) -> Result<()> {
        let size = self.checkpoint.head().size;
        let found = self.app.store.chain_anchor_at(self.app.origin(), size).await?;
        let id = found.with_context(|| format!("the chain knows no checkpoint of size {size}"))?.transaction;
        self.add(Role::Anchor, &id).await
    }

    async fn round(&mut self, attestation: &Attestation, open: Role, attest: Role) -> Result<()> {
        if attestation.opened.is_none() {
            return Ok(());
        }
        let state = self.app.ledger.contract().read().round(&attestation.origin, attestation.round);
        let state = state.with_context(|| format!("the chain does not know round {}", attestation.round))?;
        self.add(open, &state.opening.transaction).await?;
        if let Some(attested) = state.attestation {
            self.add(attest, &attested.transaction).await?;
        }
        Ok(())
    }

    /// Agreement, policy set and inventory as the round pinned them, with their approvals.
    async fn documents(&mut self, attestation: &Attestation) -> Result<()> {
        let inventory = format!("{}/{}", attestation.agreement.id, attestation.origin);
        let subjects = [
            (
                Role::RegisterAgreement,
                ChainSubjectKind::Agreement,
                &attestation.agreement.id,
                attestation.agreement.version,
            ),
            (
                Role::RegisterPolicySet,
                ChainSubjectKind::PolicySet,
                &attestation.policy_set.id,
                attestation.policy_set.version,
            ),
            (Role::RegisterInventory, ChainSubjectKind::Inventory, &inventory, attestation.inventory.version),
        ];
        for (role, kind, id, version) in subjects {
            self.subject(role, ChainSubject { kind, id: id.clone(), version }).await?;
        }
        Ok(())
    }

    async fn subject(&mut self, role: Role, subject: ChainSubject) -> Result<()> {
        let (registered, approvals) = {
            let contract = self.app.ledger.contract().read();
            let standing =
                contract.standing(&subject).with_context(|| format!("the chain does not know {subject}"))?;
            (standing.transaction, contract.approvals(&subject))
        };
        self.add(role, &registered).await?;
        for (_, approval) in approvals {
            self.add(Role::Approve, &approval.transaction).await?;
        }
        Ok(())
    }

    /// The first request a violation was weighed against that all its approvers approved, be it too late: its order
    /// can then be checked.
    async fn nearest(&mut self, violation: &ViolationRecord) -> Result<Option<serde_json::Value>> {
        for considered in &violation.considered {
            let found = self.app.ledger.contract().read().change(&considered.request);
            if let Some(found) = found.filter(|found| found.standing.finalized.is_some()) {
                self.subject(Role::Propose, change_subject(&considered.request)).await?;
                let body = self.app.read_body(&found.statement.body, "change request").await?;
                return Ok(Some(body));
            }
        }
        Ok(None)
    }

    /// The request that a change rests on: its proposal, its approvals, its body.
    async fn request(&mut self, change: &ChangeRecord) -> Result<Option<serde_json::Value>> {
        let Some(reference) = &change.request else { return Ok(None) };
        self.subject(Role::Propose, change_subject(&reference.id)).await?;
        Ok(Some(self.app.read_body(&reference.body, "change request").await?))
    }
}

fn change_subject(id: &str) -> ChainSubject {
    ChainSubject { kind: ChainSubjectKind::Change, id: id.to_owned(), version: 1 }
}
