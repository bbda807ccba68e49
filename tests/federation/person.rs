//! A person with an approval key, who works through an agent and does not give up: what was signed once is sent
//! again, the same bytes, until it is known to be final.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::api::types::{KeyInfo, SubmitResult, SubmittedTransaction};
use agent::client::Client;
use agent::keys;
use anchor::transaction::{ApprovalStatement, Decision, Subject, SubjectKind, statement_hash};
use anchor::{Action, Hash, SigningKey, Transaction};
use model::change::{ExpectedEdit, Window};
use model::{Agreement, ChangeKind, ChangeRequest, Value};

use serde_json::Value as Json;

use crate::files::CHAIN_ID;
use crate::world::Desk;

/// A transaction that the agent said is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    pub id: Hash,
    pub height: u64,
    pub index: u32,
}

/// Somebody at a member's agent.
pub struct Person {
    key: SigningKey,
    desk: Desk,
    next_sequence: u64,
    pub acknowledged: Vec<Acknowledged>,
    /// How often the agent did not answer, or could not tell.
    pub retries: u64,
}

/// The person was told to stop before the answer came.
#[derive(Debug)]
pub struct Stopped;

/// Longest wait for an agent in a test that does not fail.
const PATIENCE: Duration = Duration::from_secs(180);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

impl Person {
    /// Asks the agent where the key's sequence numbers stand.
    pub fn sit_down(key_file: &Path, desk: Desk) -> Person {
        let key = keys::load(key_file).unwrap();
        let info: KeyInfo = desk.client().get(&format!("/api/v1/keys/{}", key.public())).unwrap();
        let next_sequence = info.next_sequence;
        Person { key, desk, next_sequence, acknowledged: Vec::new(), retries: 0 }
    }

    /// Signs, and sends until it is acknowledged as accepted.
    pub fn submit(&mut self, action: Action, stop: &AtomicBool) -> Result<Acknowledged, Stopped> {
        let signed = self.sign(action);
        self.send(&signed, stop)
    }

    /// Sends what was signed until it is acknowledged as accepted.
    pub fn send(&mut self, signed: &Json, stop: &AtomicBool) -> Result<Acknowledged, Stopped> {
        self.insist(stop, |client| {
            let result: SubmitResult = client.post("/api/v1/transactions", signed)?;
            assert!(result.refused.is_none(), "refused: {result:?}");
            Ok(Acknowledged { id: result.id, height: result.height, index: result.index })
        })
        .inspect(|acknowledged| self.acknowledged.push(acknowledged.clone()))
    }

    /// Takes the key's next sequence number and signs; nothing is sent yet.
    pub fn sign(&mut self, action: Action) -> Json {
        let transaction = Transaction {
            chain_id: CHAIN_ID.into(),
            sender: self.key.public(),
            sequence: self.next_sequence,
            action,
        };
        self.next_sequence += 1;
        let transaction = hex::encode(transaction.sign(&self.key).encode());
        serde_json::to_value(SubmittedTransaction { transaction }).unwrap()
    }

    /// Stores a body at the agent and proposes it, or registers it.
    pub fn propose(
        &mut self,
        action: &Action,
        body: &[u8],
        stop: &AtomicBool,
    ) -> Result<Acknowledged, Stopped> {
        self.insist(stop, |client| client.put_body(body))?;
        self.submit(action.clone(), stop)
    }

    /// Reads the body as an approver must, and approves what it is about.
    pub fn approve(
        &mut self,
        subject: &Subject,
        action: &Action,
        body: Hash,
        stop: &AtomicBool,
    ) -> Result<Acknowledged, Stopped> {
        let reader = self.desk.member();
        self.insist(stop, |client| client.body(&body, Some(reader)))?;
        let approval = ApprovalStatement {
            subject: subject.clone(),
            statement: statement_hash(action),
            decision: Decision::Approve,
        };
        self.submit(Action::Approve(approval), stop)
    }

    /// Asks until there is an answer.
    pub fn insist<T>(
        &mut self,
        stop: &AtomicBool,
        mut ask: impl FnMut(&Client) -> anyhow::Result<T>,
    ) -> Result<T, Stopped> {
        let begun = Instant::now();
        loop {
            let failure = match ask(&self.desk.client()) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if stop.load(Ordering::Relaxed) {
                return Err(Stopped);
            }
            assert!(begun.elapsed() < PATIENCE, "{} gives up: {failure:#}", self.desk.member());
            self.retries += 1;
            std::thread::sleep(PAUSE);
        }
    }
}

/// A change request of Telecom about nothing that is there: it can be approved, and is never carried out.
pub fn change_request(agreement: &Agreement, id: &str) -> (Action, Subject, Vec<u8>) {
    let now = agent::clock::now();
    let object = "SubNetwork=bj-east,ManagedElement=gnb-0001,GNBDUFunction=1,NRSectorCarrier=9";
    let request = ChangeRequest {
        format: ChangeRequest::FORMAT.into(),
        id: id.into(),
        kind: ChangeKind::Change,
        agreement: agreement.id.clone(),
        agreement_version: agreement.version,
        proposer: "telecom".into(),
        title: format!("power of a carrier, {id}"),
        ticket: String::new(),
        scope: "SubNetwork=bj-east,ManagedElement=gnb-0001".parse().unwrap(),
        window: Window { from: now.plus_millis(3_600_000), to: now.plus_millis(7_200_000) },
        edits: vec![ExpectedEdit {
            object: object.parse().unwrap(),
            attribute: "configuredMaxTxPower".into(),
            old: Some(Value::from("110000")),
            new: Some(Value::from("120000")),
        }],
        rollback: false,
        baseline: vec![],
        upgrade: None,
        swap: None,
        nonce: "07".repeat(32),
    };
    let (statement, body) = agent::statements::proposal(&request, agreement).unwrap();
    let subject = Subject { kind: SubjectKind::Change, id: id.into(), version: 1 };
    (Action::Propose(statement), subject, body)
}
