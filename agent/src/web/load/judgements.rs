//! What each member's agent found of a violation or a round, side by side.

use std::collections::BTreeSet;

use model::violation::SECOND_JUDGEMENT_RULE;
use store::JudgementRow;

use super::LoadError;
use crate::federation::DisputeView;
use crate::web::site::Site;
use crate::web::view::{ChainStatus, JudgementView};

/// Judgements, and the disputes that rest on them.
pub(super) type Seconds = (Vec<JudgementView>, Vec<DisputeView>);

/// All words on one violation of the site's origin: the origin's, then each other operator's, done or not.
pub(super) async fn of_violation(site: &Site, violation: &model::Violation) -> Result<Seconds, LoadError> {
    if violation.rule == SECOND_JUDGEMENT_RULE {
        // It is this agent's own finding about what was disclosed: nobody else judges it, and the round is disputed.
        let round = violation.first_seen.round;
        let is_of_it = |d: &DisputeView| {
            *d.origin == *site.origin
                && d.round == round
                && *d.disputer == *site.operator
                && d.kind != "verdict"
        };
        return Ok((vec![], disputes(&(site.chain)(), is_of_it)));
    }
    let rows = site.main.judgements_of(&site.origin, &violation.id).await?;
    let here = violation.verdict.as_ref();
    let theirs = rows.iter().find_map(|row| row.theirs).map(|theirs| name(&theirs));
    let origin = JudgementView {
        authorisation: match site.is_foreign() {
            true => theirs,
            false => here.map(|verdict| verdict.authorisation.as_str().to_owned()),
        },
        ..blank(site, &site.origin)
    };
    side_by_side(site, origin, rows, violation.first_seen.round)
}

/// All words on one round of the site's origin: the summaries.
pub(super) async fn of_round(site: &Site, round: u64) -> Result<Seconds, LoadError> {
    let rows = site.main.round_judgements(&site.origin, round).await?;
    let all: BTreeSet<String> = rows.iter().map(|row| row.commitment.to_string()).collect();
    let summaries = rows.into_iter().filter(|row| row.violation.is_none()).collect();
    let (mut judgements, _) = side_by_side(site, blank(site, &site.origin), summaries, round)?;
    // What the origin found is the rest of the page.
    judgements.retain(|judgement| !judgement.origin);
    Ok((judgements, disputes(&(site.chain)(), |dispute| all.contains(&dispute.judgement))))
}

fn side_by_side(
    site: &Site,
    origin: JudgementView,
    rows: Vec<JudgementRow>,
    round: u64,
) -> Result<Seconds, LoadError> {
    let status = (site.chain)();
    // Without a federation nobody is waited for.
    let nodes = &status.federation.nodes;
    let operators = nodes.iter().filter(|node| node.role == "operator" && *node.member != *site.origin);
    let mut judges: BTreeSet<String> = operators.map(|node| node.member.clone()).collect();
    judges.extend(rows.iter().map(|row| row.judge.clone()));
    let commitments: BTreeSet<String> = rows.iter().map(|row| row.commitment.to_string()).collect();
    let mut views = vec![origin];
    for judge in judges {
        // A violation that is seen in several rounds is judged in each; the first judgement of the newest counts.
        let row = rows.iter().filter(|row| row.judge == judge).max_by_key(|row| row.round);
        views.push(row.map_or_else(|| blank(site, &judge), |row| view(site, row)));
    }
    let of_round = |dispute: &DisputeView| *dispute.origin == *site.origin && dispute.round >= round;
    let disputes = disputes(&status, |d| of_round(d) && commitments.contains(&d.judgement));
    Ok((views, disputes))
}

fn disputes(status: &ChainStatus, belongs: impl Fn(&DisputeView) -> bool) -> Vec<DisputeView> {
    status.federation.disputes.iter().filter(|dispute| belongs(dispute)).cloned().collect()
}

fn view(site: &Site, row: &JudgementRow) -> JudgementView {
    JudgementView {
        verdict: Some(row.verdict.as_str().to_owned()),
        authorisation: row.own.as_ref().map(name),
        why: row.why.clone(),
        leaf: row.leaf,
        counts: row.record.counts,
        ..blank(site, &row.judge)
    }
}

/// A judge that has said nothing yet.
fn blank(site: &Site, judge: &str) -> JudgementView {
    JudgementView {
        judge: judge.to_owned(),
        origin: *judge == *site.origin,
        own: *judge == *site.operator,
        verdict: None,
        authorisation: None,
        why: String::new(),
        leaf: None,
        counts: None,
    }
}

fn name(authorisation: &anchor::record::Authorisation) -> String {
    authorisation.as_str().to_owned()
}
