//! One action on its way through the rules: who asks, when, on which state.

use anchor::transaction::{Action, MemberId, statement_hash};
use anchor::{Hash, Member, MemberRole};

use crate::code::{self, Refusal};
use crate::form;
use crate::key;
use crate::record::{Duty, KeyHolder, Moment};
use crate::state::{View, Writes};
use crate::{approve, change, checkpoint, dispute, evidence, register, round, withdraw};

pub(crate) struct Call<'a> {
    pub view: View<'a>,
    pub now: Moment,
    /// The id of the transaction.
    pub transaction: Hash,
    pub author: &'a KeyHolder,
    pub action: &'a Action,
}

/// Which kind of key signs `action`.
pub fn duty_of(action: &Action) -> Duty {
    match action {
        Action::RegisterAgreement(_)
        | Action::RegisterPolicySet(_)
        | Action::RegisterInventory(_)
        | Action::Propose(_)
        | Action::Approve(_)
        | Action::Withdraw(_)
        | Action::Respond(_)
        | Action::Resolve(_) => Duty::Approval,
        Action::OpenRound(_)
        | Action::AttestRound(_)
        | Action::AnchorCheckpoint(_)
        | Action::Dispute(_)
        | Action::Evidence(_) => Duty::Log,
    }
}

/// What can be said of an action without knowing more than who signed it.
pub(crate) fn check_duty_and_form(author: &KeyHolder, action: &Action) -> Result<(), Refusal> {
    let (held, needed) = (author.duty, duty_of(action));
    if held != needed {
        let word = |duty| if duty == Duty::Log { "log" } else { "approval" };
        return Err(Refusal::new(
            code::DUTY,
            format!("{} is signed with the {} key, not the {} key", action.name(), word(needed), word(held)),
        ));
    }
    form::check_action(action)
}

impl Call<'_> {
    /// All rules for the action: what it writes, or why not.
    pub fn run(&self) -> Result<Writes, Refusal> {
        check_duty_and_form(self.author, self.action)?;
        match self.action {
            Action::RegisterAgreement(statement) => register::agreement(self, statement),
            Action::RegisterPolicySet(statement) => register::policy_set(self, statement),
            Action::RegisterInventory(statement) => register::inventory(self, statement),
            Action::Propose(statement) => change::propose(self, statement),
            Action::Approve(statement) => approve::approve(self, statement),
            Action::Withdraw(statement) => withdraw::withdraw(self, statement),
            Action::OpenRound(statement) => round::open(self, statement),
            Action::AttestRound(statement) => round::attest(self, statement),
            Action::AnchorCheckpoint(statement) => checkpoint::anchor(self, statement),
            Action::Dispute(statement) => dispute::open(self, statement),
            Action::Respond(statement) => dispute::respond(self, statement),
            Action::Resolve(statement) => dispute::resolve(self, statement),
            Action::Evidence(statement) => evidence::record(self, statement),
        }
    }

    pub fn author_id(&self) -> &MemberId {
        &self.author.member
    }

    /// What approvals of this registration or proposal are bound to.
    pub fn statement_hash(&self) -> Hash {
        statement_hash(self.action)
    }

    pub fn member(&self, id: &str) -> Result<Member, Refusal> {
        self.view.get(&key::member(id)).ok_or_else(|| {
            Refusal::new(code::UNKNOWN_MEMBER, format!("`{id}` is not a member of this chain"))
        })
    }

    /// The witness registers, proposes and approves nothing.
    pub fn author_is_no_witness(&self) -> Result<(), Refusal> {
        if self.member(self.author_id())?.role == MemberRole::Witness {
            return Err(Refusal::new(
                code::ROLE,
                format!("`{}` is a witness and signs no {}", self.author_id(), self.action.name()),
            ));
        }
        Ok(())
    }

    pub fn author_is_among(&self, parties: &[MemberId], of: &str) -> Result<(), Refusal> {
        self.is_among(self.author_id(), parties, of)
    }

    pub fn is_among(&self, member: &str, parties: &[MemberId], of: &str) -> Result<(), Refusal> {
        if parties.iter().any(|party| party == member) {
            Ok(())
        } else {
            Err(Refusal::new(code::NOT_A_PARTY, format!("`{member}` is not a party of agreement `{of}`")))
        }
    }

    /// A log key speaks for its own member only.
    pub fn author_is_origin(&self, origin: &str) -> Result<(), Refusal> {
        if self.author_id() == origin {
            Ok(())
        } else {
            Err(Refusal::new(
                code::NOT_ORIGIN,
                format!("`{}` does not speak for the log and rounds of `{origin}`", self.author_id()),
            ))
        }
    }
}
