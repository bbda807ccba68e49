//! How far requests have come, by the origin's rounds and by the judge's.

use anchor::transaction::ProposalKind;
use model::Value;
use model::change::{ChangeKind, Progress, Swap, Upgrade};
use store::{Moment, ObservedEdit, RequestProgress, RequestRow};

use super::world::{World, cell, delivery, element, opened, request};
use crate::second::judging::Carried;

impl World {
    /// A round of which origin and judge say the same, and remember it as their stores do.
    async fn progress(&mut self) -> Vec<(String, Progress)> {
        let commit = self.origin_round(&[]).await;
        let told = self.disclosure(self.last.is_none()).await;
        let judged = self.take(&told).await;
        let theirs: Vec<RequestProgress> =
            delivery(&judged).requests.into_iter().map(Carried::progress).collect();
        assert_eq!(theirs, commit.requests);
        for moved in &commit.requests {
            for row in self.requests.iter_mut().chain(&mut self.judge_requests) {
                if row.subject.subject.id == moved.request {
                    row.progress = Some(moved.progress);
                    row.observed.extend(moved.observed.iter().map(|(object, attribute)| ObservedEdit {
                        object: object.clone(),
                        attribute: attribute.clone(),
                        round: commit.round,
                    }));
                }
            }
        }
        commit.requests.into_iter().map(|moved| (moved.request, moved.progress)).collect()
    }
}

fn without_edits(id: &str, kind: (ChangeKind, ProposalKind)) -> RequestRow {
    let mut row = request(id, 1, "2", 5);
    row.subject.request.as_mut().unwrap().kind = kind.1;
    let body = row.request.as_mut().unwrap();
    (body.kind, body.edits) = (kind.0, vec![]);
    row
}

fn told(id: &str, progress: Progress) -> Vec<(String, Progress)> {
    vec![(id.to_owned(), progress)]
}

#[tokio::test]
async fn an_upgrade_is_complete_with_its_last_station_and_its_last_edit() {
    let mut world = World::new().await;
    for n in [1, 2] {
        world.set(&element(n), "swVersion", "5.1");
    }
    world.approve_all("BL-2").await;
    world.progress().await;
    let mut row = without_edits("UP-1", (ChangeKind::Upgrade, ProposalKind::Upgrade));
    let attributes = vec!["NRCellDU.nRPCI".parse().unwrap(), "NRCellDU.ssbPeriodicity".parse().unwrap()];
    row.request.as_mut().unwrap().upgrade =
        Some(Upgrade { from: "5.1".into(), to: "5.2".into(), attributes });
    row.request.as_mut().unwrap().edits = request("X", 2, "7", 5).request.unwrap().edits;
    world.approve_change(row);
    assert_eq!(world.progress().await, told("UP-1", Progress::Pending));
    world.set(&element(1), "swVersion", "5.2");
    assert_eq!(world.progress().await, told("UP-1", Progress::Partial));
    world.set(&cell(2), "nRPCI", "7");
    assert_eq!(world.progress().await, told("UP-1", Progress::Partial));
    world.set(&element(2), "swVersion", "5.2");
    assert_eq!(world.progress().await, told("UP-1", Progress::Complete));
    assert_eq!(world.progress().await, []);
    let approved = world.origin.approved_state(&element(2)).await.unwrap();
    assert_eq!(approved.value(&element(2), "swVersion"), Some(Value::from("5.2")));
}

#[tokio::test]
async fn a_swap_is_complete_in_the_round_that_reads_behind_the_new_key() {
    let mut world = World::new().await;
    let mut row = without_edits("SW-1", (ChangeKind::Swap, ProposalKind::Swap));
    let new_host_key = "ssh-ed25519 new".to_owned();
    row.request.as_mut().unwrap().swap =
        Some(Swap { element: element(1), new_host_key: new_host_key.clone() });
    world.approve_change(row);
    assert_eq!(world.progress().await, told("SW-1", Progress::Pending));
    world.in_force.inventory.stations[0].host_key = new_host_key;
    assert_eq!(world.progress().await, told("SW-1", Progress::Complete));
    assert_eq!(world.progress().await, []);
}

#[tokio::test]
async fn a_request_withdrawn_after_its_approval_has_lapsed() {
    let mut world = World::new().await;
    world.approve_change(request("CR-1", 1, "2", 5));
    assert_eq!(world.progress().await, told("CR-1", Progress::Pending));
    let withdrawn = Some(Moment { height: opened(2) - 1, time: model::Timestamp(0) });
    for row in world.requests.iter_mut().chain(&mut world.judge_requests) {
        row.subject.withdrawn = withdrawn;
    }
    assert_eq!(world.progress().await, told("CR-1", Progress::Lapsed));
    assert_eq!(world.progress().await, []);
}

#[tokio::test]
async fn an_upgrade_waits_for_stations_of_other_operators_and_not_for_one_that_runs_it_already() {
    let mut world = World::new().await;
    world.set(&element(1), "swVersion", "5.1");
    world.set(&element(2), "swVersion", "5.2");
    world.approve_all("BL-2").await;
    world.progress().await;
    let mut row = without_edits("UP-1", (ChangeKind::Upgrade, ProposalKind::Upgrade));
    let (from, to, attributes) = ("5.1".into(), "5.2".into(), vec![]);
    row.request.as_mut().unwrap().upgrade = Some(Upgrade { from, to, attributes });
    world.approve_change(row);
    let elsewhere = world.in_force.inventory.stations[0].clone();
    let foreign = element(1).parent().unwrap().child("ManagedElement", "foreign");
    world.others = vec![model::Station { element: foreign, ..elsewhere }];
    assert_eq!(world.progress().await, told("UP-1", Progress::Pending));
    world.set(&element(1), "swVersion", "5.2");
    assert_eq!(world.progress().await, told("UP-1", Progress::Partial));
    assert_eq!(world.progress().await, []);
    world.others.clear();
    assert_eq!(world.progress().await, told("UP-1", Progress::Complete));
}
