//! Steps `inclusion`, `checkpoint`, `origin`, `cosignatures`: the leaf stands in a log that the verifier knows.

use std::collections::BTreeSet;

use crate::bundle::{Bundle, SubjectKind};
use crate::checkpoint::Checkpoint;
use crate::note::NoteKey;
use crate::proof::TlogProof;
use crate::transaction::MemberId;
use crate::tree::{self, verify_inclusion};
use crate::trust::Trust;

use super::report::{Finding, Gaps, Refuted, StepResult, refuted};

/// The leaf, and the attestations of both rounds, stand in the tree of one checkpoint.
pub(super) fn inclusion(bundle: &Bundle) -> StepResult<TlogProof> {
    let proof = TlogProof::parse(bundle.proof.as_bytes()).map_err(|e| Refuted(e.to_string()))?;
    if proof.extra.is_some() {
        return refuted("the tlog-proof has an `extra` line, which nothing authenticates");
    }
    let leaf = bundle.leaf.encode().map_err(|e| Refuted(e.to_string()))?;
    proof.includes(&leaf).map_err(|e| Refuted(format!("leaf {}: {e}", proof.index)))?;
    let head = proof.checkpoint.claimed();
    for (name, observation) in [("before", &bundle.before), ("after", &bundle.after)] {
        let Some(observation) = observation else { continue };
        let leaf = observation.attestation.encode().map_err(|e| Refuted(e.to_string()))?;
        verify_inclusion(
            &tree::leaf_hash(&leaf),
            observation.index,
            head.size,
            &observation.path,
            &head.root,
        )
        .map_err(|e| Refuted(format!("attestation `{name}` at leaf {}: {e}", observation.index)))?;
    }
    let sentence = format!("leaf {} of {} under root {}", proof.index, head.size, head.root.short());
    Ok((proof, Finding::Pass(sentence)))
}

/// The log's own signature, under the key that the verifier has for the origin.
pub(super) fn checkpoint(proof: &TlogProof, trust: &Trust) -> StepResult<Checkpoint> {
    let (checkpoint, _) = signed(proof, trust)?;
    let head = checkpoint.head();
    let sentence = format!("size {} signed by the log key of `{}`", head.size, head.origin);
    Ok((checkpoint, Finding::Pass(sentence)))
}

/// The proof's checkpoint, signed by the log that it names, and whose log that is.
pub(super) fn signed<'t>(proof: &TlogProof, trust: &'t Trust) -> Result<(Checkpoint, &'t MemberId), Refuted> {
    let unverified = proof.checkpoint.clone();
    let origin = unverified.claimed().origin.clone();
    let Some(trusted) = trust.origin(&origin) else {
        return refuted(format!("the trust file has no log `{origin}`"));
    };
    let checkpoint =
        unverified.verify(&trusted.origin, trusted.log_key).map_err(|e| Refuted(e.to_string()))?;
    Ok((checkpoint, &trusted.member))
}

/// Whose log it is: leaf and attestations are of that member, on the trusted chain.
pub(super) fn origin(bundle: &Bundle, checkpoint: &Checkpoint, trust: &Trust) -> StepResult<MemberId> {
    let origin = &checkpoint.head().origin;
    let Some(trusted) = trust.origin(origin) else {
        return refuted(format!("the trust file has no log `{origin}`"));
    };
    let member = &trusted.member;
    let attestations = [&bundle.before, &bundle.after].into_iter().flatten().map(|o| &o.attestation);
    let named = attestations.map(|a| (a.chain.as_str(), a.origin.as_str()));
    for (chain, name) in named.chain([(bundle.leaf.chain(), bundle.leaf.origin())]) {
        if chain != trust.chain_id() {
            return refuted(format!("a leaf is of chain `{chain}`, not `{}`", trust.chain_id()));
        }
        if name != member {
            return refuted(format!("a leaf names origin `{name}` in the log of `{member}`"));
        }
    }
    Ok((member.clone(), Finding::Pass(format!("the log of member `{member}` on `{}`", trust.chain_id()))))
}

/// Every cosignature verifies, and whoever the trust file requires is among them. The log's own member is not asked.
pub(super) fn cosignatures(
    checkpoint: &Checkpoint,
    kind: SubjectKind,
    origin: &str,
    trust: &Trust,
) -> StepResult<()> {
    let members = cosigners(checkpoint, trust)?;
    let require = &trust.file().require;
    let required = match kind {
        SubjectKind::Change => &require.change,
        SubjectKind::Violation => &require.violation,
        SubjectKind::Round => &require.round,
    };
    let mut gaps = Gaps::default();
    let required = trust.required(required, origin);
    for member in required.iter().filter(|m| !members.contains(**m)) {
        gaps.add(format!("the cosignature of `{member}` is required and missing"));
    }
    let finding = gaps.finding(|| match members.len() {
        0 => format!("none; none is required for a {}", kind.as_str()),
        count => {
            let names: Vec<_> = members.iter().map(|m| m.as_str()).collect();
            format!("{count} verify ({}); {} required", names.join(", "), required.len())
        }
    });
    Ok(((), finding))
}

/// The members whose cosignatures the checkpoint carries, each verified. A line of an unknown key refutes.
pub(super) fn cosigners<'t>(
    checkpoint: &Checkpoint,
    trust: &'t Trust,
) -> Result<BTreeSet<&'t MemberId>, Refuted> {
    let known: Vec<NoteKey> = trust.cosigners().iter().map(|(_, key)| key.clone()).collect();
    let verified = checkpoint.cosignatures(&known).map_err(|e| Refuted(e.to_string()))?;
    let member_of = |name: &str| trust.cosigners().iter().find(|(_, k)| k.name() == name).map(|(m, _)| m);
    Ok(verified.iter().filter_map(|c| member_of(&c.name)).collect())
}
