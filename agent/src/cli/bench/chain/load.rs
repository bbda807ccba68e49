//! The load: change requests proposed and approved by everybody whom they need, many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anchor::transaction::{
    AgreementStatement, ApprovalStatement, Decision, ProposalKind, ProposalStatement, Subject, SubjectKind,
    statement_hash,
};
use anchor::{Action, Hash};
use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;

use super::link::Signer;

const AGREEMENT: &str = "bench";

/// The signers of an agreement that is in force.
#[derive(Debug, Clone)]
pub struct Load {
    signers: Vec<Arc<Signer>>,
    number: Arc<AtomicU64>,
}

/// What a stretch brought to its end: seconds from a submission to its finality, of those final within the stretch.
#[derive(Debug, Default)]
pub struct Finished {
    pub approvals: Vec<f64>,
    pub proposals: Vec<f64>,
}

impl Load {
    /// Registers an agreement between the signers and has them all approve it.
    pub async fn agree(signers: &[Arc<Signer>]) -> Result<Load> {
        let mut parties: Vec<_> = signers.iter().map(|signer| signer.member.to_owned()).collect();
        parties.sort();
        let register = Action::RegisterAgreement(AgreementStatement {
            id: AGREEMENT.into(),
            version: 1,
            body: Hash::of(AGREEMENT.as_bytes()),
            change_approvers: parties.clone(),
            parties,
            attest_within: 60_000,
        });
        let subject = Subject { kind: SubjectKind::Agreement, id: AGREEMENT.into(), version: 1 };
        let load = Load { signers: signers.to_vec(), number: Arc::default() };
        load.signers.first().context("nobody signs")?.submit(register.clone()).await?;
        try_join_all(load.signers.iter().map(|signer| signer.submit(approve(&subject, &register)))).await?;
        // It is in force one height later.
        load.propose_one().await.or(Ok::<_, anyhow::Error>(0.0))?;
        Ok(load)
    }

    /// Proposes one change and returns the seconds until that is final.
    pub async fn propose_one(&self) -> Result<f64> {
        let (proposer, proposal, _) = self.next();
        proposer.submit(proposal).await
    }

    /// Keeps so many change requests under way until `length` is over, then waits for those under way.
    pub async fn run(&self, requests: usize, length: Duration) -> Result<Finished> {
        let end = Instant::now() + length;
        let workers = (0..requests).map(|_| tokio::spawn(self.clone().work(end)));
        let mut finished = Finished::default();
        for worker in workers.collect::<Vec<_>>() {
            let one = worker.await.context("a part of the load ended")??;
            finished.approvals.extend(one.approvals);
            finished.proposals.extend(one.proposals);
        }
        Ok(finished)
    }

    async fn work(self, end: Instant) -> Result<Finished> {
        let mut finished = Finished::default();
        while Instant::now() < end {
            let (proposer, proposal, subject) = self.next();
            let seconds = proposer.submit(proposal.clone()).await?;
            let in_time = |seconds: &f64| Instant::now() <= end && seconds.is_finite();
            finished.proposals.extend(Some(seconds).filter(in_time));
            let approvals = self.signers.iter().map(|signer| async {
                let seconds = signer.submit(approve(&subject, &proposal)).await?;
                Ok::<_, anyhow::Error>(Some(seconds).filter(in_time))
            });
            finished.approvals.extend(try_join_all(approvals).await?.into_iter().flatten());
        }
        Ok(finished)
    }

    /// The next proposal, whose turn it is, and what it is about.
    fn next(&self) -> (&Signer, Action, Subject) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let id = format!("CR-{number}");
        let mut required: Vec<_> = self.signers.iter().map(|signer| signer.member.to_owned()).collect();
        required.sort();
        let now = crate::clock::now().to_unsigned();
        let proposal = Action::Propose(ProposalStatement {
            id: id.clone(),
            kind: ProposalKind::Change,
            agreement: AGREEMENT.into(),
            agreement_version: 1,
            body: Hash::of(id.as_bytes()),
            required,
            window_from: now,
            window_to: now + 3_600_000,
        });
        let turn = usize::try_from(number).unwrap_or_default() % self.signers.len();
        (&self.signers[turn], proposal, Subject { kind: SubjectKind::Change, id, version: 1 })
    }
}

fn approve(subject: &Subject, statement: &Action) -> Action {
    Action::Approve(ApprovalStatement {
        subject: subject.clone(),
        statement: statement_hash(statement),
        decision: Decision::Approve,
    })
}
