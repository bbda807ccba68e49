//! What an origin's rounds keep in memory changes nothing that they commit to.

use anchor::Hash;
use anchor::record::Attestation;
use store::RoundCommit;

use super::world::{World, cell, element};
use crate::round::attribute_map;
use crate::round::memory::Memory;

/// The root of the attribute map that the database's openings give, and how many there are.
async fn root_of_openings(world: &World) -> (Hash, usize) {
    let openings = world.origin.openings_at(world.round).await.unwrap();
    let pairs = openings.iter().map(|stored| (&stored.opening, stored.commitment));
    (attribute_map(pairs, &world.in_force.map_secret).root(), openings.len())
}

async fn assert_attests_what_is_kept(world: &World, commit: &RoundCommit) -> usize {
    let attestation: Attestation = serde_json::from_slice(commit.attestation.as_deref().unwrap()).unwrap();
    let (root, openings) = root_of_openings(world).await;
    assert_eq!(attestation.attributes_root, root);
    openings
}

#[tokio::test]
async fn a_new_agreement_commits_anew_also_to_stations_that_say_the_same() {
    let mut world = World::new().await;
    world.origin_round(&[]).await;
    let quiet = world.origin_round(&[]).await;
    assert_eq!(assert_attests_what_is_kept(&world, &quiet).await, 6);
    world.in_force.agreement.key_attributes.push("ManagedElement.userLabel".parse().unwrap());
    world.in_force.agreement_body = Hash::of(b"another agreement");
    // The second station is not read in the first round under it.
    for (failing, openings) in [(&[2][..], 7), (&[], 8), (&[], 8)] {
        let commit = world.origin_round(failing).await;
        assert_eq!(assert_attests_what_is_kept(&world, &commit).await, openings);
    }
}

/// Stations that fail, and what changes before: station, attribute of its cell, value.
type Step = (&'static [u32], &'static [(u32, &'static str, &'static str)]);

#[tokio::test]
async fn stations_that_fail_change_and_come_back_are_judged_as_if_nothing_were_remembered() {
    let (mut world, mut plain) = (World::new().await, World::new().await);
    let script: [Step; 8] = [
        (&[], &[]),
        (&[2], &[(1, "nRPCI", "5"), (2, "nRPCI", "7")]),
        (&[1, 2], &[(1, "ssbPeriodicity", "320")]),
        (&[2], &[]),
        (&[], &[(1, "ssbPeriodicity", "320")]),
        (&[1], &[(1, "nRPCI", "1"), (2, "ssbPeriodicity", "640")]),
        (&[], &[]),
        (&[], &[(2, "ssbPeriodicity", "20"), (2, "nRPCI", "1")]),
    ];
    for (failing, changes) in script {
        let mut commits = Vec::new();
        for (world, remembers) in [(&mut world, true), (&mut plain, false)] {
            for (station, attribute, value) in changes {
                world.set(&cell(*station), attribute, value);
            }
            if !remembers {
                world.memory = Memory::new(100);
            }
            let commit = world.origin_round(failing).await;
            assert_attests_what_is_kept(world, &commit).await;
            commits.push(commit);
        }
        let [ours, theirs] = commits.try_into().unwrap();
        assert_eq!((ours.edits, ours.advances), (theirs.edits, theirs.advances));
        assert_eq!(ours.violations, theirs.violations);
        assert_eq!((ours.openings, ours.closed), (theirs.openings, theirs.closed));
    }
    assert!(world.memory.stations.contains_key(&element(1)));
}
