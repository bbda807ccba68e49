//! Change requests of the demo: written down, previewed, proposed.

use anyhow::{Context as _, Result, ensure};
use model::change::{ExpectedEdit, Window};
use model::{ChangeKind, ChangeRequest, Dn};

use super::world::World;
use crate::api::types::Preview;
use crate::{clock, keys};

/// One minute in milliseconds.
const MINUTE: i64 = 60_000;

/// A request as its proposer thinks of it: edits of one station.
#[derive(Debug)]
pub struct Draft {
    pub id: &'static str,
    pub title: &'static str,
    /// The master operator of the station.
    pub proposer: &'static str,
    /// In minutes from now.
    pub window: (i64, i64),
    pub edits: Vec<ExpectedEdit>,
}

impl Draft {
    /// A window that is open.
    pub const NOW: (i64, i64) = (-5, 120);

    /// Previews the request, which must fit, and proposes it.
    pub fn propose(self, world: &World) -> Result<()> {
        let (id, proposer) = (self.id, self.proposer);
        let request = self.request()?;
        let file = world.path(&format!("{id}.json"));
        std::fs::write(&file, serde_json::to_string_pretty(&request)?)
            .with_context(|| format!("cannot write {file}"))?;
        let person = &world.member(proposer)?.person;
        let preview: Preview = person.ask(&["change", "preview", &file])?;
        let ready = preview.edits.iter().all(|edit| edit.status == "ready");
        ensure!(ready, "{id} does not fit: {:?}", preview.edits);
        person.run(&["change", "propose", &file]).map(drop)
    }

    fn request(self) -> Result<ChangeRequest> {
        let now = clock::now();
        let station = self.edits.first().and_then(|e| e.object.ancestor("ManagedElement"));
        let station: Dn = station.with_context(|| format!("{} is about no station", self.id))?;
        Ok(ChangeRequest {
            format: ChangeRequest::FORMAT.into(),
            id: self.id.into(),
            kind: ChangeKind::Change,
            agreement: "bj-east".into(),
            agreement_version: 1,
            proposer: self.proposer.into(),
            title: self.title.into(),
            ticket: format!("WO-{}", self.id),
            scope: station.to_string().parse()?,
            window: Window {
                from: now.plus_millis(self.window.0 * MINUTE),
                to: now.plus_millis(self.window.1 * MINUTE),
            },
            edits: self.edits,
            rollback: false,
            baseline: vec![],
            upgrade: None,
            swap: None,
            nonce: hex::encode(keys::random_bytes::<32>()?),
        })
    }
}
