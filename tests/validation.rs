//! Whole rounds of an agent that validates by what its stations serve: a wrong value is judged like any other, and what
//! was found of it is in the round's JSON and on its page, for as long as it stands.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/federation.rs"]
mod federation;
#[path = "support/process.rs"]
mod process;
#[path = "support/radio.rs"]
#[expect(dead_code, reason = "stations that are killed are for `kill.rs`")]
mod radio;

use agent::api::types::RoundSummary;
use agent::web::view::FindingView;
use radio::World;
use serde_json::{Value as Json, json};
use sim::manager::Edit;

/// A reference by DN: the simulated station takes any text for it, its module does not.
const ATTRIBUTE: &str = "nRSectorCarrierRef";

/// Another agent, which reads by other schemas.
fn restart_with(world: &mut World, schemas: Json) {
    world.agent.process.stop();
    radio::read_by(&world.federation, schemas);
    world.restart_agent();
}

/// The one finding of a round.
fn only(summary: &RoundSummary) -> &FindingView {
    let [finding] = summary.findings.as_slice() else { panic!("{:?}", summary.findings) };
    finding
}

#[test]
fn a_value_that_its_type_forbids_is_judged_and_its_finding_stands_until_it_is_mended() {
    let mut world = World::build_with(7, Some(json!({ "from": "device", "workers": 1 })));
    let quiet = world.round();
    assert_eq!((quiet.unchanged, quiet.findings.as_slice()), (radio::STATIONS as u64, &[][..]));

    let cell = world.object(2, "GNBDUFunction=1,NRCellDU=1");
    let before = world.approved(&cell, ATTRIBUTE);
    world.edit(&cell, Edit::set(cell.as_str(), ATTRIBUTE, "nowhere"));
    let wrong = world.round();
    assert_eq!((wrong.collected, wrong.failed, wrong.changes.observed), (1, 0, 1));
    assert!(wrong.violations_opened >= 1, "{wrong:?}");
    let finding = only(&wrong);
    assert_eq!(
        (finding.code.as_str(), finding.element.as_str()),
        ("not-validated", world.known.stations[1].element.as_str())
    );
    assert!(finding.place.ends_with("NRCellDU[id='1']/attributes/nRSectorCarrierRef"), "{finding:?}");
    assert!(!finding.message.contains("nowhere"), "{finding:?}");

    // Nothing changed: the reply is not held against its schema again, and what was found stands.
    let again = world.round();
    assert_eq!((again.unchanged, only(&again)), (radio::STATIONS as u64, finding));
    let round: Json = world.client().get(&format!("/api/v1/rounds/{}", again.round)).unwrap();
    assert_eq!(round["findings"][0]["code"], "not-validated");
    let page = ureq::get(format!("{}/rounds/{}", world.agent.url, again.round)).call().unwrap();
    let page = page.into_body().read_to_string().unwrap();
    assert!(page.contains("<b>not-validated</b>"), "{page}");

    // A new agent validates once more, by the texts that were kept.
    world.agent.process.stop();
    assert!(world.federation.dir.join("telecom/data/schemas/texts/ranproof-nrm-nr@2026-11-28.yang").exists());
    world.restart_agent();
    let restarted = world.round();
    assert_eq!((restarted.unchanged, only(&restarted)), (radio::STATIONS as u64, finding));

    world.edit(&cell, Edit::set(cell.as_str(), ATTRIBUTE, before.as_text().unwrap()));
    let mended = world.round();
    assert_eq!((mended.collected, mended.findings.as_slice()), (1, &[][..]));
}

#[test]
fn an_agent_that_begins_to_read_by_schemas_finds_no_change_in_what_is_only_spelled_otherwise() {
    let mut world = World::build(8);
    let cell = world.object(2, "GNBDUFunction=1,NRCellDU=1");
    let pci = world.approved(&cell, "nRPCI").as_text().unwrap().to_owned();
    let other = world.object(1, "GNBDUFunction=1,NRCellDU=1");
    world.agree_on("CR-1", &other, "nRPCI", "0700");
    world.edit(&other, Edit::set(other.as_str(), "nRPCI", "0700"));
    world.edit(&cell, Edit::set(cell.as_str(), "nRPCI", format!("0{pci}").as_str()));
    let spelled = world.round();
    assert_eq!(
        (spelled.changes.observed, spelled.changes.authorised),
        (2, 1),
        "without a schema a text is a text"
    );
    assert!(spelled.violations_opened >= 1);

    restart_with(&mut world, json!({ "from": "device", "workers": 1 }));
    let first = world.round();
    assert_eq!((first.collected, first.changes.observed), (radio::STATIONS as u64, 0), "{first:?}");
    assert!(
        first.violations_resolved >= 1 && first.violations_opened == 0,
        "the number was never another one"
    );
    assert_eq!(world.approved(&other, "nRPCI").as_text(), Some("700"));
    let quiet = world.round();
    assert_eq!((quiet.unchanged, quiet.findings.as_slice()), (radio::STATIONS as u64, &[][..]));
    world.edit(&cell, Edit::set(cell.as_str(), "nRPCI", "9"));
    let changed = world.round();
    assert_eq!((changed.collected, changed.changes.unauthorised), (1, 1));

    restart_with(&mut world, json!({ "from": "none" }));
    let back = world.round();
    assert_eq!((back.collected, back.changes.observed), (radio::STATIONS as u64, 0), "{back:?}");
    assert_eq!((back.violations_opened, back.violations_resolved), (0, 0));
    assert_eq!(world.round().unchanged, radio::STATIONS as u64);
}
