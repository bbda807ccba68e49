//! A small world made from seeds: members, blocks, certificates, a log, and two rounds.

use std::collections::BTreeMap;

use ranproof_anchor::bundle::{OpenedValue, Role};
use ranproof_anchor::certificate::{CommitCertificate, CommitSignature, Validator, VoteKind, vote_bytes};
use ranproof_anchor::commitment::{EpochSecret, MapSecret, Nonce, commitment, outcome_hash};
use ranproof_anchor::record::*;
use ranproof_anchor::standing::{AgreementVersion, Moment, Standing, change_key};
use ranproof_anchor::transaction::{
    Action, AgreementStatement, AnchorCheckpointStatement, ApprovalStatement, AttestRoundStatement, Decision,
    InventoryStatement, OpenRoundStatement, PolicySetStatement, ProposalKind, ProposalStatement,
    SignedTransaction, Subject as ChainSubject, SubjectKind as ChainSubjectKind, Transaction,
    WithdrawStatement, statement_hash,
};
use ranproof_anchor::{
    Block, Checkpoint, Frontier, Genesis, Hash, Header, Map, Member, MemberRole, PublicKey, Receipt,
    ReceiptOutcome, SigningKey, Tree, json, tree,
};
use serde_json::{Value, json};

pub const CHAIN: &str = "bj-share";
pub const CELL: &str = "SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1,NRCellDU=1";
pub const CARRIER: &str = "SubNetwork=bj,ManagedElement=g1,GNBDUFunction=1,NRSectorCarrier=1";
pub const MEMBERS: [&str; 3] = ["telecom", "unicom", "witness"];
/// What the last round reads: DN, attribute, value, and the version of its salt.
const LAST_VALUES: [(&str, &str, &str, u64); 4] = [
    (CELL, "nRPCI", "102", 2),
    (CELL, "@object", "present", 1),
    (CARRIER, "arfcnDL", "640000", 2),
    (CARRIER, "configuredMaxTxPower", "460", 2),
];
const PARTIES: [&str; 2] = ["telecom", "unicom"];
pub const START: u64 = 1_790_000_000_000;

/// What differs between one story and another.
#[derive(Debug, Clone)]
pub struct Story {
    /// Approve CR-1 only after round 2 was opened.
    pub late: bool,
    /// What the change record says of CR-1.
    pub verdict: Authorisation,
    /// Indices of the validators that sign certificates.
    pub signers: Vec<usize>,
    /// Members whose cosignature stands under the checkpoint.
    pub cosigners: Vec<&'static str>,
    /// Milliseconds between the start of the chain and the request's window.
    pub window: (u64, u64),
    /// Value that CR-1 approves for the PCI.
    pub approved_pci: &'static str,
    /// Value that round 1 committed to for the PCI.
    pub first_pci: &'static str,
    /// Whether the last round is opened on chain.
    pub opened: bool,
    /// `next_valset` of all headers differs.
    pub new_validators: bool,
    /// The transaction with this role is refused by the contract.
    pub refused: Option<Role>,
    /// CR-1 is withdrawn after this many rounds.
    pub withdrawn_after: Option<usize>,
    /// A round between the first and the last saw the new values before CR-1 was proposed; no bundle shows it.
    pub hidden_round: bool,
    /// The last round's attestation names the first as its predecessor, whatever was between.
    pub forged_previous: bool,
    /// What the contract's state has under CR-1 is of another statement.
    pub other_standing: bool,
    /// Whether the change record names CR-1.
    pub named: bool,
    /// What is added to the times of this round's attestation, its start and its end, in milliseconds.
    pub wrong_clock: Option<(u64, i64, i64)>,
    /// A second judgement that its judge anchors before the last round is attested on chain.
    pub judged_early: Option<JudgementRecord>,
}

impl Default for Story {
    fn default() -> Story {
        Story {
            late: false,
            verdict: Authorisation::Exact,
            signers: vec![0, 1, 3],
            cosigners: vec!["unicom", "witness"],
            window: (0, 1_000_000_000),
            approved_pci: "102",
            first_pci: "101",
            opened: true,
            new_validators: false,
            refused: None,
            withdrawn_after: None,
            hidden_round: false,
            forged_previous: false,
            other_standing: false,
            named: true,
            wrong_clock: None,
            judged_early: None,
        }
    }
}

/// A chain and a log that a story was played on.
pub struct World {
    pub story: Story,
    pub genesis: Genesis,
    pub validator_keys: Vec<SigningKey>,
    pub log_keys: BTreeMap<&'static str, SigningKey>,
    pub approval_keys: BTreeMap<&'static str, SigningKey>,
    pub cosigner_keys: BTreeMap<&'static str, SigningKey>,
    pub blocks: Vec<(Block, Vec<Receipt>, CommitCertificate)>,
    pub sequences: BTreeMap<PublicKey, u64>,
    /// Role and place (height, index) of every transaction.
    pub roles: Vec<(Role, u64, usize)>,
    pub leaves: Vec<Envelope>,
    pub log: Tree,
    pub anchored: u64,
    pub checkpoint: Option<Checkpoint>,
    pub history: Frontier,
    pub rounds: Vec<RoundState>,
    pub change: Option<Record>,
    pub violation: Option<Record>,
    pub request: Value,
    /// What the contract has of CR-1, and its state after each block since there is any.
    pub standing: Option<Standing>,
    pub states: BTreeMap<u64, Map>,
}

/// What a collector keeps of a round.
pub struct RoundState {
    pub attestation: Attestation,
    pub index: u64,
    pub attributes: Map,
    pub openings: BTreeMap<(String, String), OpenedValue>,
    pub changes: Map,
    pub violations: Map,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn keys(first: u8) -> BTreeMap<&'static str, SigningKey> {
    MEMBERS.iter().zip(first..).map(|(m, seed)| (*m, key(seed))).collect()
}

fn owned(members: &[&str]) -> Vec<String> {
    members.iter().map(|m| m.to_string()).collect()
}

pub fn map_secret() -> MapSecret {
    MapSecret([9; 32])
}

impl World {
    /// Plays the story to its end.
    pub fn play(story: Story) -> World {
        let mut world = World::new(story);
        world.register();
        world.first_round();
        if world.story.hidden_round {
            world.hidden_round();
        }
        if !world.story.late {
            world.propose_and_approve();
        }
        if world.story.withdrawn_after == Some(1) {
            world.withdraw();
        }
        world.last_round();
        if world.story.withdrawn_after == Some(2) {
            world.withdraw();
        }
        world
    }

    fn new(story: Story) -> World {
        let validator_keys: Vec<_> = (1..=4).map(key).collect();
        let powers = [3, 3, 3, 1];
        let names = ["telecom", "unicom", "tower", "witness"];
        let validators = validator_keys.iter().zip(powers).zip(names);
        let validators =
            validators.map(|((k, power), m)| Validator { key: k.public(), power, member: m.into() });
        let (log_keys, approval_keys, cosigner_keys) = (keys(20), keys(30), keys(40));
        let members = MEMBERS.iter().map(|id| Member {
            id: id.to_string(),
            name: id.to_uppercase(),
            role: if *id == "witness" { MemberRole::Witness } else { MemberRole::Operator },
            log_key: log_keys[id].public(),
            approval_key: approval_keys[id].public(),
            cosigner_key: cosigner_keys[id].public(),
            tls: Hash::of(format!("certificate of {id}").as_bytes()),
        });
        let genesis = Genesis {
            format: Genesis::FORMAT.into(),
            chain_id: CHAIN.into(),
            time: START,
            rules_version: 1,
            members: members.collect(),
            validators: validators.collect(),
        };
        let request = json!({
            "format": "ranproof/change/1", "id": "CR-1", "kind": "change", "title": "retune",
            "edits": [
                {"object": CARRIER, "attribute": "arfcnDL", "new": "640000"},
                {"object": CELL, "attribute": "nRPCI", "old": "101", "new": story.approved_pci},
            ],
            "rollback": false, "nonce": "11".repeat(32),
        });
        World {
            story,
            genesis,
            validator_keys,
            log_keys,
            approval_keys,
            cosigner_keys,
            blocks: vec![],
            sequences: BTreeMap::new(),
            roles: vec![],
            leaves: vec![],
            log: Tree::default(),
            anchored: 0,
            checkpoint: None,
            history: Frontier::default(),
            rounds: vec![],
            change: None,
            violation: None,
            request,
            standing: None,
            states: BTreeMap::new(),
        }
    }

    fn agreement(&self) -> AgreementStatement {
        AgreementStatement {
            id: "bj".into(),
            version: 1,
            body: Hash::of(b"agreement"),
            parties: owned(&PARTIES),
            change_approvers: owned(&PARTIES),
            attest_within: 3_600_000,
        }
    }

    fn register(&mut self) {
        let policy_set = PolicySetStatement {
            agreement: "bj".into(),
            id: "core".into(),
            version: 1,
            body: Hash::of(b"policies"),
        };
        let inventory = InventoryStatement {
            agreement: "bj".into(),
            origin: "telecom".into(),
            version: 1,
            root: Hash::of(b"inventory"),
            count: 2,
            body: Hash::of(b"inventory body"),
        };
        let actions = [
            (
                Role::RegisterAgreement,
                Action::RegisterAgreement(self.agreement()),
                ChainSubjectKind::Agreement,
            ),
            (Role::RegisterPolicySet, Action::RegisterPolicySet(policy_set), ChainSubjectKind::PolicySet),
            (Role::RegisterInventory, Action::RegisterInventory(inventory), ChainSubjectKind::Inventory),
        ];
        let registrations =
            actions.iter().map(|(r, a, _)| (*r, self.approval_keys["telecom"].clone(), a.clone()));
        self.block(registrations.collect());
        let ids = ["bj", "core", "bj/telecom"];
        let mut approvals = vec![];
        for ((_, action, kind), id) in actions.iter().zip(ids) {
            let subject = ChainSubject { kind: *kind, id: id.into(), version: 1 };
            approvals.extend(self.approvals(subject, action));
        }
        self.block(approvals);
    }

    fn approvals(&self, subject: ChainSubject, action: &Action) -> Vec<(Role, SigningKey, Action)> {
        let statement = statement_hash(action);
        let approve = |member: &&'static str| {
            let statement =
                ApprovalStatement { subject: subject.clone(), statement, decision: Decision::Approve };
            (Role::Approve, self.approval_keys[member].clone(), Action::Approve(statement))
        };
        PARTIES.iter().map(approve).collect()
    }

    /// The moment of the next block.
    fn next(&self) -> Moment {
        let height = self.blocks.len() as u64 + 1;
        Moment { height, time: START + 1000 * height }
    }

    fn propose_and_approve(&mut self) {
        let statement = self.proposal();
        let (required, window_to) = (statement.required.clone(), Some(statement.window_to));
        let action = Action::Propose(statement);
        let mut standing = Standing {
            statement: if self.story.other_standing { Hash::ZERO } else { statement_hash(&action) },
            proposer: "telecom".into(),
            required,
            base: 0,
            under: Some(AgreementVersion { id: "bj".into(), version: 1 }),
            window_to,
            transaction: Hash::of(b"the proposal's"),
            proposed: self.next(),
            finalized: None,
            rejected: None,
            withdrawn: None,
        };
        self.standing = Some(standing.clone());
        self.block(vec![(Role::Propose, self.approval_keys["telecom"].clone(), action.clone())]);
        let subject = ChainSubject { kind: ChainSubjectKind::Change, id: "CR-1".into(), version: 1 };
        let approvals = self.approvals(subject, &action);
        standing.finalized = Some(self.next());
        self.standing = Some(standing);
        self.block(approvals);
    }

    fn withdraw(&mut self) {
        let now = self.next();
        self.standing.as_mut().unwrap().withdrawn = Some(now);
        self.block(vec![]);
    }

    fn proposal(&self) -> ProposalStatement {
        ProposalStatement {
            id: "CR-1".into(),
            kind: ProposalKind::Change,
            agreement: "bj".into(),
            agreement_version: 1,
            body: Hash::of(&json::to_canonical(&self.request).unwrap()),
            required: owned(&PARTIES),
            window_from: START + self.story.window.0,
            window_to: START + self.story.window.1,
        }
    }

    fn first_round(&mut self) {
        let opened = self.open(1, Role::OpenBefore);
        let values = [
            (CELL, "nRPCI", self.story.first_pci, 1),
            (CELL, "@object", "present", 1),
            (CARRIER, "configuredMaxTxPower", "430", 1),
        ];
        self.attest(1, Some(opened), &values, Role::AttestBefore, &[]);
    }

    /// Its transactions have no roles: the origin does not show them.
    fn hidden_round(&mut self) {
        let opened = self.open(2, Role::Open);
        self.attest(2, Some(opened), &LAST_VALUES, Role::Attest, &[]);
        self.roles.retain(|(role, ..)| !matches!(role, Role::Open | Role::Attest));
    }

    fn last_round(&mut self) {
        let round = self.rounds.len() as u64 + 1;
        let opened = self.story.opened.then(|| self.open(round, Role::Open));
        if self.story.late {
            self.propose_and_approve();
        }
        let statement = self.proposal();
        let edit = |dn: &str, attribute: &str, operation, old: Option<&str>, new: &str| RecordedEdit {
            dn: dn.into(),
            attribute: attribute.into(),
            operation,
            old: old.map(Value::from),
            new: Some(new.into()),
        };
        let change = Record::Change(Box::new(ChangeRecord {
            format: ChangeRecordFormat,
            id: "CR-1".into(),
            origin: "telecom".into(),
            round,
            request: self.story.named.then(|| RequestReference {
                id: "CR-1".into(),
                body: statement.body,
                statement: statement_hash(&Action::Propose(statement)),
            }),
            edits: vec![
                edit(CELL, "nRPCI", Operation::Replace, Some("101"), "102"),
                edit(CARRIER, "arfcnDL", Operation::Create, None, "640000"),
            ],
            authorisation: self.story.verdict,
            nonce: Nonce([0x77; 32]),
        }));
        let violation = Record::Violation(Box::new(ViolationRecord {
            format: ViolationRecordFormat,
            id: "V-0001".into(),
            origin: "telecom".into(),
            dn: CARRIER.into(),
            attribute: "configuredMaxTxPower".into(),
            rule: "authorisation".into(),
            severity: "major".into(),
            authorisation: Some(Authorisation::Unapproved),
            old: Some("430".into()),
            new: Some("460".into()),
            first_seen: Sighting { round, height: opened },
            state: "open".into(),
            considered: vec![Considered {
                request: "CR-1".into(),
                verdict: Authorisation::WrongObject,
                why: "CR-1 names another attribute".into(),
            }],
            nonce: Nonce([0x78; 32]),
        }));
        self.attest(round, opened, &LAST_VALUES, Role::Attest, &[change.clone(), violation.clone()]);
        self.change = Some(change);
        self.violation = Some(violation);
    }

    fn open(&mut self, round: u64, role: Role) -> u64 {
        let statement = OpenRoundStatement {
            origin: "telecom".into(),
            round,
            agreement: "bj".into(),
            agreement_version: 1,
            policy_set: "core".into(),
            policy_set_version: 1,
            inventory_version: 1,
            profile: Hash::of(b"profile"),
        };
        self.block(vec![(role, self.log_keys["telecom"].clone(), Action::OpenRound(statement))])
    }

    /// Writes records and attestation to the log, anchors its checkpoint and attests on chain.
    fn attest(
        &mut self,
        round: u64,
        opened: Option<u64>,
        values: &[(&str, &str, &str, u64)],
        role: Role,
        records: &[Record],
    ) {
        let mut openings = BTreeMap::new();
        let mut attributes = Map::default();
        for (dn, attribute, value, version) in values {
            let salt = EpochSecret([7; 32]).salt(dn, attribute, *version);
            let value = String::from_utf8(json::to_canonical(&Value::from(*value)).unwrap()).unwrap();
            let committed = commitment(&salt, dn, attribute, &value);
            attributes.insert(map_secret().attribute_key(dn, attribute).as_bytes(), committed.as_bytes());
            openings.insert((dn.to_string(), attribute.to_string()), OpenedValue { value, salt });
        }
        let (mut changes, mut violations) = (Map::default(), Map::default());
        for record in records {
            let list = if matches!(record, Record::Change(_)) { &mut changes } else { &mut violations };
            list.insert(record.id().as_bytes(), record.commitment().unwrap().as_bytes());
            self.append(record.envelope(CHAIN).unwrap());
        }
        let now = START + 1000 * self.blocks.len() as u64;
        let (start_off, end_off) = match self.story.wrong_clock {
            Some((wrong, start, end)) if wrong == round => (start, end),
            _ => (0, 0),
        };
        let stations = ["SubNetwork=bj,ManagedElement=g1", "SubNetwork=bj,ManagedElement=g2"];
        let outcomes = [outcome_hash("collected", ""), outcome_hash("failed", "unreachable")];
        let outcomes = stations.iter().zip(outcomes);
        let outcomes =
            Map::from_pairs(outcomes.map(|(dn, outcome)| (map_secret().station_key(dn).0, outcome.0)));
        let attestation = Attestation {
            format: AttestationFormat,
            chain: CHAIN.into(),
            origin: "telecom".into(),
            round,
            opened,
            agreement: document("bj", b"agreement"),
            policy_set: document("core", b"policies"),
            inventory: InventoryVersion { version: 1, root: Hash::of(b"inventory"), count: 2 },
            profile: Hash::of(b"profile"),
            started: (now + 100).saturating_add_signed(start_off),
            finished: (now + 200).saturating_add_signed(end_off),
            counts: Counts { expected: 2, collected: 1, unchanged: 0, failed: 1, skipped: 0 },
            outcomes_root: outcomes.root(),
            outcomes_count: 2,
            attributes_root: attributes.root(),
            violations_root: violations.root(),
            violations_count: violations.len(),
            changes_root: changes.root(),
            changes_count: changes.len(),
            previous: self.predecessor().map(|r| r.attestation.hash().unwrap()),
        };
        let index = self.append(Envelope::Round(Box::new(attestation.clone())));
        self.anchor();
        if let Some(record) = self.story.judged_early.clone().filter(|_| role == Role::Attest) {
            self.judge(record);
        }
        if opened.is_some() {
            let counts = attestation.counts;
            let statement = AttestRoundStatement {
                origin: "telecom".into(),
                round,
                attestation: attestation.hash().unwrap(),
                leaf_index: index,
                expected: counts.expected,
                collected: counts.collected,
                unchanged: counts.unchanged,
                failed: counts.failed,
                skipped: counts.skipped,
            };
            self.block(vec![(role, self.log_keys["telecom"].clone(), Action::AttestRound(statement))]);
        }
        self.rounds.push(RoundState { attestation, index, attributes, openings, changes, violations });
    }

    fn predecessor(&self) -> Option<&RoundState> {
        if self.story.forged_previous { self.rounds.first() } else { self.rounds.last() }
    }

    fn append(&mut self, leaf: Envelope) -> u64 {
        let index = self.log.push(leaf.leaf_hash().unwrap());
        self.leaves.push(leaf);
        index
    }

    fn anchor(&mut self) {
        let log_key = self.log_keys["telecom"].clone();
        let origin = self.genesis.origin("telecom");
        let checkpoint = Checkpoint::sign(&origin, self.log.size(), self.log.root(), &log_key).unwrap();
        let statement = AnchorCheckpointStatement {
            origin: "telecom".into(),
            old_size: self.anchored,
            checkpoint: checkpoint.to_string(),
            consistency: self.log.consistency(self.anchored, self.log.size()).unwrap(),
        };
        self.roles.retain(|(role, ..)| *role != Role::Anchor);
        self.block(vec![(Role::Anchor, log_key, Action::AnchorCheckpoint(statement))]);
        self.anchored = self.log.size();
        self.checkpoint = Some(checkpoint);
    }

    /// Appends a final block with these transactions and one more, and returns its height.
    pub fn block(&mut self, actions: Vec<(Role, SigningKey, Action)>) -> u64 {
        let height = self.blocks.len() as u64 + 1;
        let filler = Action::Withdraw(WithdrawStatement {
            subject: ChainSubject { kind: ChainSubjectKind::Change, id: format!("CR-X{height}"), version: 1 },
        });
        let mut transactions = vec![];
        let mut receipts = vec![];
        for (index, (role, key, action)) in actions.into_iter().enumerate() {
            self.roles.push((role, height, index));
            let signed = self.signed(&key, action);
            receipts.push(self.receipt(&signed, self.story.refused == Some(role)));
            transactions.push(signed.encode());
        }
        let filler_key = self.approval_keys["witness"].clone();
        let signed = self.signed(&filler_key, filler);
        receipts.push(self.receipt(&signed, true));
        transactions.push(signed.encode());
        let encoded: Vec<_> = receipts.iter().map(Receipt::encode).collect();
        let valset = self.genesis.validator_set().hash();
        let previous = self.blocks.last().map_or(Hash::ZERO, |(b, ..)| b.header.hash());
        if height > 1 {
            self.history.push(tree::leaf_hash(previous.as_bytes()));
        }
        let header = Header {
            chain_id: CHAIN.into(),
            height,
            time: START + 1000 * height,
            previous,
            txs_root: tree::root(&transactions),
            receipts_root: tree::root(&encoded),
            state_root: self.state(height),
            history_root: self.history.root(),
            valset,
            next_valset: if self.story.new_validators { Hash::of(b"others") } else { valset },
            rules_version: 1,
        };
        let certificate = self.certificate(&header);
        self.blocks.push((Block { header, transactions }, receipts, certificate));
        height
    }

    /// Root of the state after the block at `height`. Of no interest before CR-1 stands in it.
    fn state(&mut self, height: u64) -> Hash {
        let Some(standing) = &self.standing else { return Hash::of(&height.to_be_bytes()) };
        let entries = [("height".to_owned(), height.to_be_bytes().to_vec())];
        let entries = entries.into_iter().chain([(change_key("CR-1"), standing.encode())]);
        let state = Map::from_pairs(entries);
        let root = state.root();
        self.states.insert(height, state);
        root
    }

    fn signed(&mut self, key: &SigningKey, action: Action) -> SignedTransaction {
        let sequence = self.sequences.entry(key.public()).or_insert(0);
        *sequence += 1;
        let transaction =
            Transaction { chain_id: CHAIN.into(), sender: key.public(), sequence: *sequence, action };
        transaction.sign(key)
    }

    fn receipt(&self, signed: &SignedTransaction, refused: bool) -> Receipt {
        let outcome = if refused {
            ReceiptOutcome::Refused { code: "unknown-subject".into(), reason: "never proposed".into() }
        } else {
            ReceiptOutcome::Accepted
        };
        Receipt { transaction: signed.id(), outcome }
    }

    fn certificate(&self, header: &Header) -> CommitCertificate {
        let (hash, genesis) = (header.hash(), self.genesis.hash());
        let sign = |index: &usize| {
            let key = &self.validator_keys[*index];
            let address = key.public().address();
            let bytes = vote_bytes(&genesis, VoteKind::Precommit, header.height, 0, Some(&hash), &address);
            CommitSignature { address, signature: key.sign(&bytes) }
        };
        let signatures = self.story.signers.iter().map(sign).collect();
        CommitCertificate { height: header.height, round: 0, header: hash, signatures }
    }
}

fn document(id: &str, body: &[u8]) -> DocumentVersion {
    DocumentVersion { id: id.into(), version: 1, body: Hash::of(body) }
}
