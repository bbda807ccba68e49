//! A small federation and short ways to say what its members do.

use std::collections::BTreeMap;

use anchor::transaction::*;
use anchor::{Checkpoint, Genesis, Hash, Member, MemberRole, SigningKey, Tree, Validator};
use anchor::{Receipt, ReceiptOutcome};
use contract::{BlockContext, Contract, Duty, Execution, duty_of};

/// The parties of agreement `gd`, sorted.
pub const PARTIES: [&str; 3] = ["telecom", "tower", "unicom"];
/// Operators first; `mobile` is not a party of `gd`.
pub const MEMBERS: [(&str, MemberRole); 5] = [
    ("telecom", MemberRole::Operator),
    ("unicom", MemberRole::Operator),
    ("mobile", MemberRole::Operator),
    ("tower", MemberRole::Tower),
    ("watch", MemberRole::Witness),
];
pub const ATTEST_WITHIN: u64 = 60_000;
pub const STATIONS: u64 = 12;

/// Nothing, or the code of the refusal.
pub type Answer = Result<(), String>;

#[derive(Debug, Clone)]
pub struct World {
    pub contract: Contract,
    pub genesis: Genesis,
    pub height: u64,
    pub time: u64,
    pub logs: BTreeMap<String, Tree>,
}

pub fn key(member: &str, duty: Duty) -> SigningKey {
    SigningKey::from_seed(Hash::of(format!("{member} {duty:?}").as_bytes()).as_bytes())
}

pub fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| name.to_string()).collect()
}

pub fn genesis() -> Genesis {
    let members = MEMBERS.map(|(id, role)| Member {
        id: id.into(),
        name: id.to_uppercase(),
        role,
        log_key: key(id, Duty::Log).public(),
        approval_key: key(id, Duty::Approval).public(),
        cosigner_key: SigningKey::from_seed(&Hash::of(format!("cosigner {id}").as_bytes()).0).public(),
        tls: Hash::of(format!("certificate of {id}").as_bytes()),
    });
    let validator = SigningKey::from_seed(&[9; 32]).public();
    Genesis {
        format: Genesis::FORMAT.into(),
        chain_id: "example.net/gd".into(),
        time: 0,
        rules_version: 1,
        members: members.into(),
        validators: vec![Validator { key: validator, power: 3, member: "telecom".into() }],
    }
}

impl World {
    /// Nothing registered.
    pub fn empty() -> World {
        let genesis = genesis();
        let contract = Contract::from_genesis(&genesis).unwrap();
        World { contract, genesis, height: 0, time: 1_000_000, logs: BTreeMap::new() }
    }

    /// Agreement `gd` v1 in force.
    pub fn agreed() -> World {
        let mut world = World::empty();
        world.adopt("telecom", Action::RegisterAgreement(agreement(1)));
        world
    }

    /// Policy set, telecom's inventory and a log of three leaves as well: telecom can open round 1.
    pub fn ready() -> World {
        let mut world = World::agreed();
        world.adopt("telecom", Action::RegisterPolicySet(policy_set(1)));
        world.adopt("telecom", Action::RegisterInventory(inventory(1)));
        let anchoring = world.grow("telecom", 3);
        world.accept("telecom", anchoring);
        world
    }

    /// Round 1 of telecom open.
    pub fn sweeping() -> World {
        let mut world = World::ready();
        world.accept("telecom", Action::OpenRound(opening(1)));
        world
    }

    /// Change `CR-1` proposed by unicom.
    pub fn proposed() -> World {
        let mut world = World::agreed();
        let proposal = world.proposal("CR-1");
        world.accept("unicom", Action::Propose(proposal));
        world
    }

    /// A transaction with the key and sequence number that the action needs.
    pub fn sign(&self, member: &str, action: Action) -> SignedTransaction {
        self.sign_with(&key(member, duty_of(&action)), action)
    }

    pub fn sign_with(&self, key: &SigningKey, action: Action) -> SignedTransaction {
        let sequence = self.contract.next_sequence(&key.public()).unwrap();
        let chain_id = self.genesis.chain_id.clone();
        Transaction { chain_id, sender: key.public(), sequence, action }.sign(key)
    }

    /// Executes and commits the next block, a second after the last.
    pub fn block(&mut self, transactions: &[Vec<u8>]) -> Execution {
        self.height += 1;
        self.time += 1000;
        let context = BlockContext { height: self.height, time: self.time };
        let execution = self.contract.execute(&context, transactions);
        self.contract.commit(execution.clone()).unwrap();
        execution
    }

    /// A block with one transaction.
    pub fn submit(&mut self, member: &str, action: Action) -> Answer {
        let signed = self.sign(member, action);
        self.send(&signed)
    }

    pub fn send(&mut self, signed: &SignedTransaction) -> Answer {
        answer(&self.block(&[signed.encode()]).receipts[0])
    }

    pub fn accept(&mut self, member: &str, action: Action) {
        let name = action.name();
        assert_eq!(self.submit(member, action), Ok(()), "{name} of {member}");
    }

    /// Registers and has everybody who is required approve.
    pub fn adopt(&mut self, member: &str, action: Action) {
        self.accept(member, action.clone());
        let subject = subject_of(&action);
        for approver in self.contract.standing(&subject).unwrap().required {
            self.accept(&approver, approve(&action));
        }
    }

    /// A request whose window opens in an hour and stays open for one.
    pub fn proposal(&self, id: &str) -> ProposalStatement {
        ProposalStatement {
            id: id.into(),
            kind: ProposalKind::Change,
            agreement: "gd".into(),
            agreement_version: 1,
            body: Hash::of(id.as_bytes()),
            required: names(&["telecom", "unicom"]),
            window_from: self.time + 3_600_000,
            window_to: self.time + 7_200_000,
        }
    }

    /// Adds leaves to a member's log and says how it would be anchored.
    pub fn grow(&mut self, origin: &str, leaves: u64) -> Action {
        let tree = self.logs.entry(origin.into()).or_default();
        for _ in 0..leaves {
            let leaf = format!("leaf {} of {origin}", tree.size());
            tree.push(anchor::tree::leaf_hash(leaf.as_bytes()));
        }
        Action::AnchorCheckpoint(self.anchoring(origin))
    }

    /// From what the chain has to what the log has.
    pub fn anchoring(&self, origin: &str) -> AnchorCheckpointStatement {
        let tree = &self.logs[origin];
        let old_size = self.contract.last_checkpoint(origin).map_or(0, |head| head.size);
        AnchorCheckpointStatement {
            origin: origin.into(),
            old_size,
            checkpoint: self.checkpoint(origin, tree.size(), tree.root()),
            consistency: tree.consistency(old_size, tree.size()).unwrap(),
        }
    }

    pub fn checkpoint(&self, origin: &str, size: u64, root: Hash) -> String {
        let name = self.genesis.origin(origin);
        Checkpoint::sign(&name, size, root, &key(origin, Duty::Log)).unwrap().to_string()
    }
}

pub fn answer(receipt: &Receipt) -> Answer {
    match &receipt.outcome {
        ReceiptOutcome::Accepted => Ok(()),
        ReceiptOutcome::Refused { code, reason } => {
            assert!(!reason.is_empty() && reason.len() < 1000, "{code}: {reason}");
            Err(code.clone())
        }
    }
}

pub fn refused(code: &str) -> Answer {
    Err(code.into())
}

pub fn agreement(version: u32) -> AgreementStatement {
    AgreementStatement {
        id: "gd".into(),
        version,
        body: Hash::of(b"agreement"),
        parties: names(&PARTIES),
        change_approvers: names(&["telecom", "unicom"]),
        attest_within: ATTEST_WITHIN,
    }
}

pub fn policy_set(version: u32) -> PolicySetStatement {
    PolicySetStatement { agreement: "gd".into(), id: "core".into(), version, body: Hash::of(b"policies") }
}

pub fn inventory(version: u32) -> InventoryStatement {
    InventoryStatement {
        agreement: "gd".into(),
        origin: "telecom".into(),
        version,
        root: Hash::of(b"inventory"),
        count: STATIONS,
        body: Hash::of(b"inventory body"),
    }
}

pub fn opening(round: u64) -> OpenRoundStatement {
    OpenRoundStatement {
        origin: "telecom".into(),
        round,
        agreement: "gd".into(),
        agreement_version: 1,
        policy_set: "core".into(),
        policy_set_version: 1,
        inventory_version: 1,
        profile: Hash::of(b"profile"),
    }
}

pub fn attestation(round: u64) -> AttestRoundStatement {
    AttestRoundStatement {
        origin: "telecom".into(),
        round,
        attestation: Hash::of(&round.to_be_bytes()),
        leaf_index: 2,
        expected: STATIONS,
        collected: 7,
        unchanged: 2,
        failed: 2,
        skipped: 1,
    }
}

pub fn subject_of(action: &Action) -> Subject {
    let (kind, id, version) = match action {
        Action::RegisterAgreement(s) => (SubjectKind::Agreement, s.id.clone(), s.version),
        Action::RegisterPolicySet(s) => (SubjectKind::PolicySet, s.id.clone(), s.version),
        Action::RegisterInventory(s) => {
            (SubjectKind::Inventory, format!("{}/{}", s.agreement, s.origin), s.version)
        }
        Action::Propose(s) => (SubjectKind::Change, s.id.clone(), 1),
        other => panic!("{} proposes nothing", other.name()),
    };
    Subject { kind, id, version }
}

pub fn decide(action: &Action, decision: Decision) -> Action {
    Action::Approve(ApprovalStatement {
        subject: subject_of(action),
        statement: statement_hash(action),
        decision,
    })
}

pub fn approve(action: &Action) -> Action {
    decide(action, Decision::Approve)
}

pub fn withdraw(action: &Action) -> Action {
    Action::Withdraw(WithdrawStatement { subject: subject_of(action) })
}
