//! People at work while faults happen: Telecom proposes and approves, Unicom approves, Telecom's rounds run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::api::types::RoundSummary;
use anchor::Hash;
use model::Agreement;
use serde_json::json;

use crate::person::{Person, Stopped, change_request};
use crate::world::{Desk, MEMBERS, STATIONS, TELECOM, UNICOM, World};

/// What is going on; ends with [`Load::stop`].
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    people: JoinHandle<(Person, Person)>,
    rounds: JoinHandle<()>,
}

/// What the load brought to its end so far.
#[derive(Debug, Default)]
struct Counts {
    approved: AtomicU64,
    rounds: AtomicU64,
    /// Requests that are being answered now, by member.
    waiting: [AtomicU32; 4],
    /// Rounds that are being run now.
    running: AtomicU32,
}

impl Load {
    pub fn start(world: &World) -> Load {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let (proposer, approver) = (world.person(TELECOM), world.person(UNICOM));
        let shared = (stop.clone(), counts.clone(), world.agreement.clone());
        let people =
            std::thread::spawn(move || approvals(proposer, approver, &shared.0, &shared.1, &shared.2));
        let shared = (stop.clone(), counts.clone(), world.desk(TELECOM));
        let rounds = std::thread::spawn(move || rounds(&shared.2, &shared.0, &shared.1));
        Load { stop, counts, people, rounds }
    }

    /// Requests approved by everybody so far. Fails if somebody does not work any more.
    pub fn approved(&self) -> u64 {
        assert!(!self.people.is_finished() && !self.rounds.is_finished(), "the load has ended by itself");
        self.counts.approved.load(Ordering::Relaxed)
    }

    /// Rounds run so far.
    pub fn rounds(&self) -> u64 {
        self.counts.rounds.load(Ordering::Relaxed)
    }

    /// Whether this member's agent is at work for somebody.
    pub fn is_busy(&self, member: usize) -> bool {
        let round = member == TELECOM && self.counts.running.load(Ordering::Relaxed) > 0;
        round || self.counts.waiting[member].load(Ordering::Relaxed) > 0
    }

    /// Lets everybody finish what they are at, and hands the world what was acknowledged. Returns how often an agent
    /// did not answer.
    pub fn stop(self, world: &World) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut retries = 0;
        let (proposer, approver) = self.people.join().unwrap();
        for person in [proposer, approver] {
            world.note(&person);
            retries += person.retries;
        }
        self.rounds.join().unwrap();
        retries
    }
}

/// How many there were in this test.
static LOADS: AtomicU32 = AtomicU32::new(0);

/// One request after the other, proposed by one and approved by both.
fn approvals(
    mut proposer: Person,
    mut approver: Person,
    stop: &AtomicBool,
    counts: &Counts,
    agreement: &Agreement,
) -> (Person, Person) {
    let load = LOADS.fetch_add(1, Ordering::Relaxed);
    for number in 0.. {
        let request = format!("CR-load-{load}-{number}");
        if one_request(&mut proposer, &mut approver, stop, counts, agreement, &request).is_err() {
            break;
        }
        counts.approved.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    (proposer, approver)
}

fn one_request(
    proposer: &mut Person,
    approver: &mut Person,
    stop: &AtomicBool,
    counts: &Counts,
    agreement: &Agreement,
    id: &str,
) -> Result<(), Stopped> {
    let (action, subject, body) = change_request(agreement, id);
    let hash = Hash::of(&body);
    at_work(&counts.waiting[TELECOM], || proposer.propose(&action, &body, stop))?;
    at_work(&counts.waiting[TELECOM], || proposer.approve(&subject, &action, hash, stop))?;
    at_work(&counts.waiting[UNICOM], || approver.approve(&subject, &action, hash, stop))?;
    Ok(())
}

fn at_work<T>(counter: &AtomicU32, work: impl FnOnce() -> T) -> T {
    counter.fetch_add(1, Ordering::Relaxed);
    let result = work();
    counter.fetch_sub(1, Ordering::Relaxed);
    result
}

/// One round after the other. A round that its agent did not survive is that agent's to finish.
fn rounds(desk: &Desk, stop: &AtomicBool, counts: &Counts) {
    while !stop.load(Ordering::Relaxed) {
        let round =
            at_work(&counts.running, || desk.client().post::<RoundSummary>("/api/v1/rounds", &json!({})));
        match round {
            Ok(round) => {
                let accounted = round.collected + round.unchanged + round.failed + round.skipped;
                assert_eq!(accounted, STATIONS as u64, "{}: {round:?}", MEMBERS[TELECOM]);
                counts.rounds.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
