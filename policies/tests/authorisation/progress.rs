//! How far requests have come, on the smallest story that tells.

use std::collections::BTreeSet;

use model::change::{ChangeKind, Progress, Standing, Swap, Upgrade};
use model::violation::Sighting;
use model::{Dn, RequestView, Station};
use ranproof_policies::{HOST_KEY, is_swapped, progress};

use crate::support::*;

const SECOND: &str = "SubNetwork=bj,ManagedElement=g2";
const ELSEWHERE: &str = "SubNetwork=tj,ManagedElement=g3";

fn station(element: &str, key: &str) -> Station {
    Station { element: dn(element), gnb_id: "1".into(), host_key: key.into(), profile: "plain".into() }
}

fn inventory() -> Vec<Station> {
    [STATION, SECOND, ELSEWHERE].map(|element| station(element, &format!("ssh-ed25519 {element}"))).to_vec()
}

/// By this minute, with these places seen.
fn at(minutes: i64, view: &RequestView, seen: &[(&str, &str)]) -> Option<Progress> {
    let seen: BTreeSet<(Dn, String)> = seen.iter().map(|(o, a)| (dn(o), (*a).to_owned())).collect();
    at_with(minutes, view, &seen, &[])
}

/// The same where at some places nothing is left to be done.
fn at_with(
    minutes: i64,
    view: &RequestView,
    seen: &BTreeSet<(Dn, String)>,
    met: &[(&str, &str)],
) -> Option<Progress> {
    let met = met.iter().map(|(o, a)| (dn(o), (*a).to_owned())).collect();
    let stations = inventory();
    progress(view, &stations.iter().collect::<Vec<_>>(), seen, &met, minute(minutes))
}

fn upgrade() -> RequestView {
    let mut view = request("UP-1", vec![]);
    view.request.kind = ChangeKind::Upgrade;
    let attributes = vec!["NRCellDU.tuning".parse().unwrap()];
    view.request.upgrade = Some(Upgrade { from: "5.1".into(), to: "5.2".into(), attributes });
    view
}

#[test]
fn a_request_seen_in_part_is_partial_and_then_lapsed() {
    let edits = [CARRIER, OTHER_CARRIER].map(|object| edit(object, POWER, "15", "20"));
    let mut view = request("CR-5", edits.to_vec());
    let (one, both) = (&[(CARRIER, POWER)], &[(CARRIER, POWER), (OTHER_CARRIER, POWER)]);
    assert_eq!(at(150, &view, &[]), Some(Progress::Pending));
    assert_eq!(at(150, &view, one), Some(Progress::Partial));
    assert_eq!(at(200, &view, one), Some(Progress::Lapsed));
    assert_eq!(at(200, &view, both), Some(Progress::Complete));
    view.standing = Standing::Proposed { approved_by: vec![], missing: vec!["tower".into()] };
    assert_eq!(at(200, &view, &[]), None);
}

#[test]
fn what_was_withdrawn_after_its_approval_is_over_unless_it_was_carried_out() {
    let mut view = request("CR-5", vec![edit(CARRIER, POWER, "15", "20")]);
    view.standing = Standing::Withdrawn { height: 12, approved: Some(10) };
    assert_eq!(at(150, &view, &[]), Some(Progress::Lapsed));
    assert_eq!(at(150, &view, &[(CARRIER, POWER)]), Some(Progress::Complete));
    view.standing = Standing::Withdrawn { height: 12, approved: None };
    assert_eq!(at(150, &view, &[]), None);
}

#[test]
fn an_upgrade_is_complete_where_every_station_in_scope_runs_the_new_software() {
    let software = |element| (element, "swVersion");
    assert_eq!(at(150, &upgrade(), &[software(STATION)]), Some(Progress::Partial));
    assert_eq!(at(150, &upgrade(), &[software(STATION), software(SECOND)]), Some(Progress::Complete));
    // What the upgrade sets beside is no station more.
    let beside = [software(STATION), (CELL, "tuning"), (CELL, "other")];
    assert_eq!(at(150, &upgrade(), &beside), Some(Progress::Partial));
    let mut also = upgrade();
    also.request.edits = vec![edit(CARRIER, POWER, "15", "20")];
    assert_eq!(at(150, &also, &beside), Some(Progress::Partial));
    assert_eq!(at(150, &also, &[software(STATION), software(SECOND)]), Some(Progress::Partial));
    // One that runs it already has nothing left to be done, and is not what makes the request begin.
    let one = [(dn(STATION), "swVersion".to_owned())].into();
    assert_eq!(at_with(150, &upgrade(), &one, &[software(SECOND)]), Some(Progress::Complete));
    assert_eq!(at_with(150, &upgrade(), &BTreeSet::new(), &[software(SECOND)]), Some(Progress::Pending));
    let mut nowhere = upgrade();
    nowhere.request.scope = "SubNetwork=sh".parse().unwrap();
    assert_eq!(at(150, &nowhere, &[]), Some(Progress::Pending), "nothing expected is not all of it");
}

#[test]
fn a_swap_is_complete_once_its_station_was_read_behind_the_new_host_key() {
    let mut view = request("SW-1", vec![]);
    view.request.kind = ChangeKind::Swap;
    let new_host_key = "ssh-ed25519 NEW installed on Monday".to_owned();
    view.request.swap = Some(Swap { element: dn(STATION), new_host_key });
    assert_eq!(at(150, &view, &[]), Some(Progress::Pending));
    assert_eq!(at(150, &view, &[(STATION, HOST_KEY)]), Some(Progress::Complete));

    let read =
        |after: Option<i64>, read| Sighting { after: after.map(minute), read: minute(read), ..sighting() };
    let (old, new) = (station(STATION, "ssh-ed25519 OLD"), station(STATION, "ssh-ed25519 NEW"));
    assert!(is_swapped(&view, &new, &read(Some(90), 150)));
    assert!(is_swapped(&view, &new, &read(Some(150), 250)), "it may have happened inside the window");
    assert!(!is_swapped(&view, &old, &read(Some(90), 150)));
    assert!(!is_swapped(&view, &station(SECOND, "ssh-ed25519 NEW"), &read(Some(90), 150)));
    assert!(!is_swapped(&view, &new, &read(Some(50), 90)), "before the window");
    assert!(!is_swapped(&view, &new, &read(Some(200), 250)), "after it");
    view.standing = Standing::Withdrawn { height: 12, approved: Some(10) };
    assert!(!is_swapped(&view, &new, &read(Some(90), 150)), "it was withdrawn before the round");
}
