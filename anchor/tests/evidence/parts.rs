//! How a bundle is put together from what a node and a collector keep.

use ranproof_anchor::bundle::{
    AttestedValue, Base64Bytes, BlockEvidence, Bundle, BundleParts, Observation, Role, StandingEvidence,
    Subject, SubjectKind, TransactionEvidence,
};
use ranproof_anchor::note::{NoteKey, NoteKeyKind};
use ranproof_anchor::proof::TlogProof;
use ranproof_anchor::record::{Envelope, Record};
use ranproof_anchor::standing::change_key;
use ranproof_anchor::transaction::SubjectKind as ChainSubjectKind;
use ranproof_anchor::trust::{TrustFile, TrustedAgreement, TrustedMapSecret};
use ranproof_anchor::{Action, Checkpoint, SignedTransaction, Trust};

use crate::world::{CHAIN, START, World, map_secret};

impl World {
    /// The verifier's own file: made from genesis, with map secret, and Unicom required for changes.
    pub fn trust_file(&self) -> TrustFile {
        let mut file = TrustFile::from_genesis(&self.genesis);
        let parties = vec!["telecom".to_owned(), "unicom".to_owned()];
        file.agreements = vec![TrustedAgreement { id: "bj".into(), parties }];
        file.map_secrets =
            vec![TrustedMapSecret { agreement: "bj".into(), version: 1, secret: map_secret() }];
        file.require.change = vec!["unicom".into()];
        file
    }

    pub fn trust(&self) -> Trust {
        Trust::new(self.trust_file()).unwrap()
    }

    fn cosigned(&self) -> Checkpoint {
        let mut checkpoint = self.checkpoint.clone().unwrap();
        for member in &self.story.cosigners {
            let (name, key) = (format!("{CHAIN}/{member}"), &self.cosigner_keys[member]);
            let line = checkpoint.cosign(&name, key, START / 1000 + 60).unwrap();
            let note_key = NoteKey::new(&name, NoteKeyKind::Cosignature, key.public()).unwrap();
            checkpoint.add_cosignature(line, &note_key).unwrap();
        }
        checkpoint
    }

    fn proof(&self, leaf: &Envelope) -> TlogProof {
        let index = self.leaves.iter().position(|l| l == leaf).unwrap() as u64;
        TlogProof::new(index, self.log.inclusion(index, self.log.size()).unwrap(), &self.cosigned())
    }

    /// Transactions of the roles, and the blocks they stand in.
    pub fn evidence(
        &self,
        wanted: impl Fn(Role, &Action) -> bool,
    ) -> (Vec<BlockEvidence>, Vec<TransactionEvidence>) {
        let mut blocks = vec![];
        let mut transactions = vec![];
        for (role, height, index) in &self.roles {
            let (block, receipts, certificate) = &self.blocks[*height as usize - 1];
            let signed = SignedTransaction::decode(&block.transactions[*index]).unwrap();
            if wanted(*role, &signed.transaction.action) {
                transactions
                    .push(TransactionEvidence::with_receipts(*role, block, receipts, *index).unwrap());
                blocks.push(BlockEvidence::new(&block.header, certificate));
            }
        }
        (blocks, transactions)
    }

    fn observation(&self, round: usize, record: &Record, listed: bool) -> Observation {
        let state = &self.rounds[round - 1];
        let concerned: Vec<(String, String)> = match record {
            Record::Change(r) => r.edits.iter().map(|e| (e.dn.clone(), e.attribute.clone())).collect(),
            Record::Violation(r) => vec![(r.dn.clone(), r.attribute.clone())],
            Record::Judgement(_) => unreachable!("a judgement opens no values"),
        };
        let values = concerned.into_iter().map(|(dn, attribute)| {
            let key = map_secret().attribute_key(&dn, &attribute);
            let opening = state.openings.get(&(dn.clone(), attribute.clone())).cloned();
            AttestedValue { proof: state.attributes.prove(key.as_bytes()), key, opening, dn, attribute }
        });
        let list = if matches!(record, Record::Change(_)) { &state.changes } else { &state.violations };
        Observation {
            attestation: state.attestation.clone(),
            index: state.index,
            path: self.log.inclusion(state.index, self.log.size()).unwrap(),
            listed: listed.then(|| list.prove(record.id().as_bytes())),
            values: values.collect(),
        }
    }

    pub fn change_parts(&self) -> BundleParts {
        let (mut blocks, transactions) = self.evidence(|_, _| true);
        let (block, standing) = self.standing_at(self.blocks.len() as u64);
        if !blocks.contains(&block) {
            blocks.push(block);
        }
        let parts = self.record_parts(self.change.as_ref().unwrap(), SubjectKind::Change);
        BundleParts {
            request: Some(self.request.clone()),
            blocks,
            transactions,
            standing: Some(standing),
            ..parts
        }
    }

    /// Where CR-1 stands after the block at `height`, and that block.
    pub fn standing_at(&self, height: u64) -> (BlockEvidence, StandingEvidence) {
        let (state, key) = (&self.states[&height], change_key("CR-1"));
        let value = Base64Bytes(state.get(key.as_bytes()).unwrap().to_vec());
        let standing = StandingEvidence { height, value, proof: state.prove(key.as_bytes()) };
        let (block, _, certificate) = &self.blocks[height as usize - 1];
        (BlockEvidence::new(&block.header, certificate), standing)
    }

    pub fn violation_parts(&self) -> BundleParts {
        let (blocks, transactions) = self.evidence(without_request);
        let parts = self.record_parts(self.violation.as_ref().unwrap(), SubjectKind::Violation);
        BundleParts { blocks, transactions, ..parts }
    }

    fn record_parts(&self, record: &Record, kind: SubjectKind) -> BundleParts {
        let leaf = record.envelope(CHAIN).unwrap();
        BundleParts {
            subject: Subject { kind, id: record.id().into() },
            record: Some(record.clone()),
            proof: self.proof(&leaf),
            leaf,
            request: None,
            before: Some(self.observation(1, record, false)),
            after: Some(self.observation(self.rounds.len(), record, true)),
            judgements: vec![],
            blocks: vec![],
            transactions: vec![],
            standing: None,
        }
    }

    pub fn round_parts(&self) -> BundleParts {
        let (blocks, transactions) = self.evidence(|role, action| {
            without_request(role, action) && !matches!(role, Role::OpenBefore | Role::AttestBefore)
        });
        let leaf = Envelope::Round(Box::new(self.rounds[1].attestation.clone()));
        BundleParts {
            subject: Subject { kind: SubjectKind::Round, id: "2".into() },
            record: None,
            proof: self.proof(&leaf),
            leaf,
            request: None,
            before: None,
            after: None,
            judgements: vec![],
            blocks,
            transactions,
            standing: None,
        }
    }
}

/// Everything but the proposal and its approvals.
pub fn without_request(role: Role, action: &Action) -> bool {
    let about_change = matches!(action, Action::Approve(a) if a.subject.kind == ChainSubjectKind::Change);
    role != Role::Propose && !about_change
}

/// Encodes the parts as they come out.
pub fn encode(parts: BundleParts) -> Vec<u8> {
    Bundle::assemble(parts).encode().unwrap()
}
