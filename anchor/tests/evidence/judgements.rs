//! Second judgements in bundles: whose they are, what they are about, and where they stand.

use ranproof_anchor::bundle::{Bundle, BundleParts, JudgementEvidence, Role};
use ranproof_anchor::commitment::Nonce;
use ranproof_anchor::note::{NoteKey, NoteKeyKind};
use ranproof_anchor::proof::TlogProof;
use ranproof_anchor::record::*;
use ranproof_anchor::transaction::AnchorCheckpointStatement;
use ranproof_anchor::trust::TrustFile;
use ranproof_anchor::verify::{Outcome, Report, Status, verify};
use ranproof_anchor::{Action, Checkpoint, Hash, Tree, Trust};

use crate::parts::encode;
use crate::verify::{assert_at, bytes_matter, every_byte_matters, nothing_can_be_left_out_of};
use crate::world::{CHAIN, START, Story, World};

impl World {
    /// Unicom judged Telecom's violation and came to the same verdict.
    pub fn judgement(&self) -> JudgementRecord {
        let record = self.violation.as_ref().unwrap();
        let Record::Violation(violation) = record else { unreachable!() };
        JudgementRecord {
            format: JudgementRecordFormat,
            id: JudgementRecord::violation_id(&violation.id),
            judge: "unicom".into(),
            origin: "telecom".into(),
            round: violation.first_seen.round,
            attestation: self.rounds.last().unwrap().attestation.hash().unwrap(),
            violation: Some(JudgedViolation {
                id: violation.id.clone(),
                commitment: record.commitment().unwrap(),
                dn: violation.dn.clone(),
                attribute: violation.attribute.clone(),
                rule: violation.rule.clone(),
            }),
            verdict: JudgementVerdict::Same,
            theirs: violation.authorisation,
            own: violation.authorisation,
            why: "no approved request names this value".into(),
            counts: None,
            nonce: Nonce([0x79; 32]),
        }
    }

    /// What Unicom says of the round as a whole.
    pub fn summary(&self) -> JudgementRecord {
        JudgementRecord {
            id: JudgementRecord::summary_id("telecom", 2),
            violation: None,
            theirs: None,
            own: None,
            why: "every change opened its commitment".into(),
            counts: Some(JudgementCounts { changes: 3, opened: 3, same: 1, ..JudgementCounts::default() }),
            ..self.judgement()
        }
    }

    /// The judge writes it to its own log and anchors that.
    pub fn judge(&mut self, record: JudgementRecord) -> JudgementEvidence {
        let judge = record.judge.clone();
        self.judge_in(&judge, record)
    }

    /// The same in the log of another member.
    fn judge_in(&mut self, member: &str, record: JudgementRecord) -> JudgementEvidence {
        let (proof, checkpoint) = self.logged(member, &record);
        self.anchor_of(member, &checkpoint);
        JudgementEvidence { record, proof }
    }

    fn logged(&self, member: &str, record: &JudgementRecord) -> (String, Checkpoint) {
        let leaf = Record::Judgement(Box::new(record.clone())).envelope(CHAIN).unwrap().encode().unwrap();
        let log = Tree::of(&[b"an earlier leaf".to_vec(), leaf, b"a later leaf".to_vec()]);
        let origin = self.genesis.origin(member);
        let bare = Checkpoint::sign(&origin, 3, log.root(), &self.log_keys[member]).unwrap();
        let mut checkpoint = bare.clone();
        let (name, key) = (format!("{CHAIN}/witness"), &self.cosigner_keys["witness"]);
        let line = checkpoint.cosign(&name, key, START / 1000 + 90).unwrap();
        let note_key = NoteKey::new(&name, NoteKeyKind::Cosignature, key.public()).unwrap();
        checkpoint.add_cosignature(line, &note_key).unwrap();
        (TlogProof::new(1, log.inclusion(1, 3).unwrap(), &checkpoint).to_string(), bare)
    }

    fn anchor_of(&mut self, member: &str, checkpoint: &Checkpoint) {
        let statement = AnchorCheckpointStatement {
            origin: member.into(),
            old_size: 0,
            checkpoint: checkpoint.to_string(),
            consistency: vec![],
        };
        let key = self.log_keys[member].clone();
        self.block(vec![(Role::AnchorJudgement, key, Action::AnchorCheckpoint(statement))]);
    }

    fn requiring(&self, change: impl FnOnce(&mut TrustFile)) -> Trust {
        let mut file = self.trust_file();
        file.require.judgement = vec!["unicom".into()];
        change(&mut file);
        Trust::new(file).unwrap()
    }
}

fn with(parts: BundleParts, judgements: Vec<JudgementEvidence>) -> Vec<u8> {
    encode(BundleParts { judgements, ..parts })
}

/// The violation's bundle with this judgement, before a verifier who asks for Unicom's.
fn judged(change: impl FnOnce(&mut JudgementRecord)) -> Report {
    let mut world = World::play(Story::default());
    let mut record = world.judgement();
    change(&mut record);
    let evidence = world.judge(record);
    verify(&with(world.violation_parts(), vec![evidence]), &world.requiring(|_| ()))
}

fn sentence(report: &Report) -> &str {
    &report.steps.iter().find(|s| s.name == "judgements").unwrap().sentence
}

#[test]
fn both_verdicts_are_told() {
    let report = judged(|_| ());
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
    assert_eq!(sentence(&report), "telecom: unapproved; unicom judged the same");
    insta::assert_snapshot!(report.to_string());

    let report = judged(|r| (r.verdict, r.own) = (JudgementVerdict::Differs, Some(Authorisation::Exact)));
    assert_eq!(report.outcome, Outcome::Verified, "a judge who differs refutes nothing\n{report}");
    assert_eq!(sentence(&report), "telecom: unapproved; unicom judged exact: they differ");
    let report = judged(|r| {
        r.verdict = JudgementVerdict::Differs;
        r.why = "judged critical,\n the origin recorded warning".into();
    });
    let told = "telecom: unapproved; unicom judged otherwise (judged critical, the origin recorded warning): they differ";
    assert_eq!(sentence(&report), told);
    let report = judged(|r| (r.verdict, r.own) = (JudgementVerdict::Missing, None));
    assert_eq!(sentence(&report), "telecom: unapproved; unicom judged no violation: they differ");
}

#[test]
fn summary_of_a_round_is_told() {
    let mut world = World::play(Story::default());
    let evidence = world.judge(world.summary());
    let report = verify(&with(world.round_parts(), vec![evidence]), &world.requiring(|_| ()));
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
    let told = "telecom attested round 2; unicom judged same: 3 of 3 changes opened, 0 undisclosed; 1 verdicts the \
                same, 0 not, 0 unjudged";
    assert_eq!(sentence(&report), told);
    for change in [
        (|r: &mut JudgementRecord| r.counts = None) as fn(&mut JudgementRecord),
        |r| r.id = "J-telecom-3".into(),
        |r| r.theirs = Some(Authorisation::Exact),
        |r| r.own = Some(Authorisation::Exact),
        |r| r.verdict = JudgementVerdict::Extra,
        |r| r.counts.as_mut().unwrap().differing = 1,
        |r| r.counts.as_mut().unwrap().undisclosed = 1,
    ] {
        let mut world = World::play(Story::default());
        let mut record = world.summary();
        change(&mut record);
        let evidence = world.judge(record);
        let report = verify(&with(world.round_parts(), vec![evidence]), &world.requiring(|_| ()));
        assert_at(&report, Outcome::Refuted, "judgements", "judgement of `unicom`");
    }
}

#[test]
fn required_judgement_that_is_missing_or_none_is_incomplete() {
    let mut world = World::play(Story::default());
    let report = verify(&encode(world.violation_parts()), &world.requiring(|_| ()));
    assert_at(&report, Outcome::Incomplete, "judgements", "`unicom` is required and missing");
    // Nobody asks for it, or nobody asks for it of this kind of claim.
    let report = verify(&encode(world.violation_parts()), &world.trust());
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
    for parts in [world.change_parts(), world.round_parts()] {
        let report = verify(&encode(parts), &world.requiring(|_| ()));
        let step = report.steps.iter().find(|s| s.name == "judgements").unwrap();
        assert_eq!((report.outcome, step.status), (Outcome::Verified, Status::Skipped), "{report}");
    }
    let mut unjudged = world.judgement();
    (unjudged.verdict, unjudged.own) = (JudgementVerdict::Unjudged, None);
    let evidence = world.judge(unjudged);
    let bundle = with(world.violation_parts(), vec![evidence]);
    let report = verify(&bundle, &world.requiring(|_| ()));
    assert_at(&report, Outcome::Incomplete, "judgements", "`unicom` could not judge it");
    let report = verify(&bundle, &world.trust());
    assert_eq!(sentence(&report), "telecom: unapproved; unicom could not judge it");
}

/// The accused's own signature proves nothing, and its silence blocks nothing.
#[test]
fn origin_is_left_out_of_what_is_required() {
    let mut world = World::play(Story { cosigners: vec!["unicom"], ..Story::default() });
    let evidence = world.judge(world.judgement());
    let bundle = with(world.violation_parts(), vec![evidence]);
    let both = || vec!["telecom".to_owned(), "unicom".to_owned()];
    let trust = world.requiring(|file| {
        (file.require.violation, file.require.judgement) = (both(), both());
    });
    let report = verify(&bundle, &trust);
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
    let silent = World::play(Story { cosigners: vec!["telecom"], ..Story::default() });
    let report = verify(&encode(silent.violation_parts()), &trust);
    assert_at(&report, Outcome::Incomplete, "cosignatures", "`unicom` is required and missing");
}

#[test]
fn judgement_of_something_else_is_refuted() {
    let other = |part, change: fn(&mut JudgementRecord)| {
        assert_at(&judged(change), Outcome::Refuted, "judgements", part);
    };
    other("another attestation", |r| r.attestation = Hash::of(b"other"));
    other("about round 1", |r| r.round = 1);
    other("round 2 of `unicom`", |r| r.origin = "unicom".into());
    other("another violation", |r| r.violation.as_mut().unwrap().id = "V-2".into());
    other("another violation", |r| r.violation.as_mut().unwrap().commitment = Hash::of(b"other"));
    other("another violation", |r| r.violation.as_mut().unwrap().dn.push('0'));
    other("another violation", |r| r.violation.as_mut().unwrap().attribute.push('0'));
    other("another violation", |r| r.violation.as_mut().unwrap().rule.push('0'));
    other("another violation", |r| r.id = "J-V-2".into());
    other("summary", |r| r.violation = None);
    other("counts", |r| r.counts = Some(JudgementCounts::default()));
}

/// To whom the record was withheld, the leaf alone is known: id and commitment.
#[test]
fn judge_of_a_withheld_record_says_so() {
    let withheld = |r: &mut JudgementRecord| {
        (r.verdict, r.theirs, r.own) = (JudgementVerdict::Unjudged, None, None);
        let violation = r.violation.as_mut().unwrap();
        (violation.dn, violation.attribute, violation.rule) = Default::default();
    };
    let report = judged(withheld);
    assert_at(&report, Outcome::Incomplete, "judgements", "`unicom` could not judge it");
    let report = judged(|r| {
        withheld(r);
        r.verdict = JudgementVerdict::Missing;
    });
    assert_at(&report, Outcome::Refuted, "judgements", "another violation");
    let report = judged(|r| {
        withheld(r);
        r.violation.as_mut().unwrap().commitment = Hash::of(b"other");
    });
    assert_at(&report, Outcome::Refuted, "judgements", "another violation");
}

#[test]
fn verdicts_that_contradict_themselves_are_refuted() {
    let other = |part, change: fn(&mut JudgementRecord)| {
        assert_at(&judged(change), Outcome::Refuted, "judgements", part);
    };
    other("`extra`", |r| r.verdict = JudgementVerdict::Extra);
    other("`same` does not follow", |r| r.own = Some(Authorisation::Exact));
    other("`missing` does not follow", |r| r.verdict = JudgementVerdict::Missing);
    other("another verdict of the origin", |r| r.theirs = Some(Authorisation::Exact));
}

#[test]
fn judge_is_another_party_and_nobody_else() {
    let own = judged(|r| r.judge = "telecom".into());
    assert_at(&own, Outcome::Refuted, "judgements", "its own second judge");
    let outsider = judged(|r| r.judge = "witness".into());
    assert_at(&outsider, Outcome::Refuted, "judgements", "not a party");
    // Written by somebody else into its own log, in Unicom's name.
    let mut world = World::play(Story::default());
    let record = world.judgement();
    let forged = world.judge_in("witness", record.clone());
    world.judge(record);
    let report = verify(&with(world.violation_parts(), vec![forged]), &world.requiring(|_| ()));
    assert_at(&report, Outcome::Refuted, "judgements", "`witness`");
}

#[test]
fn judgement_outside_its_judges_anchored_log_is_refuted_or_incomplete() {
    let mut world = World::play(Story::default());
    let record = world.judgement();
    let trust = world.requiring(|_| ());
    let (proof, checkpoint) = world.logged("unicom", &record);
    let evidence = JudgementEvidence { record: record.clone(), proof };
    let report = verify(&with(world.violation_parts(), vec![evidence.clone()]), &trust);
    assert_at(&report, Outcome::Incomplete, "judgements", "no transaction anchors");

    let other =
        Checkpoint::sign(checkpoint.head().origin.as_str(), 4, Hash::of(b"other"), &world.log_keys["unicom"]);
    world.anchor_of("unicom", &other.unwrap());
    let report = verify(&with(world.violation_parts(), vec![evidence.clone()]), &trust);
    assert_at(&report, Outcome::Refuted, "judgements", "not the one of this proof");
    world.anchor_of("unicom", &checkpoint);
    let report = verify(&with(world.violation_parts(), vec![evidence.clone()]), &trust);
    assert_at(&report, Outcome::Refuted, "judgements", "two transactions anchor it");
    let report = verify(&encode(world.violation_parts()), &trust);
    assert_at(&report, Outcome::Refuted, "judgements", "for a judgement that is not here");

    let mut world = World::play(Story::default());
    let mut evidence = world.judge(record.clone());
    let mut proof = TlogProof::parse(evidence.proof.as_bytes()).unwrap();
    proof.index = 2;
    evidence.proof = proof.to_string();
    let report = verify(&with(world.violation_parts(), vec![evidence.clone()]), &trust);
    assert_at(&report, Outcome::Refuted, "judgements", "leaf 2");
    proof.index = 1;
    proof.extra = Some(b"x".to_vec());
    evidence.proof = proof.to_string();
    let report = verify(&with(world.violation_parts(), vec![evidence]), &trust);
    assert_at(&report, Outcome::Refuted, "judgements", "extra");

    let mut world = World::play(Story { judged_early: Some(record.clone()), ..Story::default() });
    let (proof, _) = world.logged("unicom", &record);
    let evidence = JudgementEvidence { record, proof };
    let report = verify(&with(world.violation_parts(), vec![evidence.clone()]), &trust);
    assert_at(&report, Outcome::Refuted, "judgements", "not after the round was attested");
    world.roles.retain(|(role, ..)| *role != Role::AnchorJudgement);
    let late = world.judge(evidence.record);
    let report = verify(&with(world.violation_parts(), vec![late]), &trust);
    assert_eq!(report.outcome, Outcome::Verified, "{report}");
}

#[test]
fn unknown_cosigners_and_logs_of_a_judgement_are_refuted() {
    let mut world = World::play(Story { cosigners: vec!["unicom"], ..Story::default() });
    let evidence = world.judge(world.judgement());
    let bundle = with(world.violation_parts(), vec![evidence]);
    let trust = world.requiring(|file| file.cosigners.retain(|c| c.member == "unicom"));
    assert_at(&verify(&bundle, &trust), Outcome::Refuted, "judgements", "not known");
    let trust = world.requiring(|file| {
        file.require.judgement.clear();
        file.origins.retain(|o| o.member == "telecom");
    });
    assert_at(&verify(&bundle, &trust), Outcome::Refuted, "judgements", "no log `bj-share/unicom`");
}

#[test]
fn single_changes_have_no_second_judgement() {
    let mut world = World::play(Story::default());
    let evidence = world.judge(world.judgement());
    let report = verify(&with(world.change_parts(), vec![evidence]), &world.trust());
    assert_at(&report, Outcome::Refuted, "judgements", "not single changes");
}

#[test]
fn judgements_have_one_order() {
    let mut world = World::play(Story::default());
    let evidence = world.judge(world.judgement());
    let mut bundle = Bundle::assemble(world.violation_parts());
    bundle.judgements = vec![evidence.clone(), evidence];
    let report = verify(&bundle.encode().unwrap(), &world.trust());
    assert_at(&report, Outcome::Malformed, "format", "order");
}

#[test]
fn every_changed_byte_of_a_judged_bundle_is_caught() {
    let mut world = World::play(Story::default());
    let evidence = world.judge(world.judgement());
    let steps = every_byte_matters(&with(world.violation_parts(), vec![evidence]), &world.requiring(|_| ()));
    assert!(steps["judgements"] > 500, "{steps:?}");
}

#[test]
fn every_changed_byte_of_a_summary_is_caught() {
    let mut world = World::play(Story::default());
    let evidence = world.judge(world.summary());
    let bundle = with(world.round_parts(), vec![evidence]);
    let at = |text: &[u8]| bundle.windows(text.len()).position(|window| window == text).unwrap();
    let range = at(b"\"judgements\"")..at(b"\"leaf\"");
    assert!(range.len() > 500, "{range:?}");
    bytes_matter(&bundle, range, &world.requiring(|_| ()));
}

#[test]
fn nothing_can_be_left_out_of_a_judged_bundle() {
    let mut world = World::play(Story::default());
    let evidence = world.judge(world.judgement());
    nothing_can_be_left_out_of(&with(world.violation_parts(), vec![evidence]), &world.trust());
}
