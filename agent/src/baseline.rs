//! Baselines: proposed from what was read, taken over as approved state once all operators approved them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use model::change::{BaselineObject, ChangeKind, Standing, Window};
use model::{ChangeRequest, Dn};
use store::{BaselineStation, RequestFilter};

use crate::app::App;
use crate::clock;
use crate::keys;

/// How long a proposed baseline can be approved, in milliseconds: a week.
const OPEN_FOR: i64 = 7 * 24 * 3_600_000;

/// A baseline request with every non-volatile attribute of the stations' newest snapshots. Without `elements`,
/// all stations that were read and have no approved baseline.
pub async fn draft(app: &App, id: &str, elements: &[Dn]) -> Result<ChangeRequest> {
    let baselined: BTreeSet<Dn> = app.store.baselined().await?.into_iter().map(|b| b.element).collect();
    let chosen: Vec<Dn> = if elements.is_empty() {
        let stations = app.store.stations().await?.into_iter();
        stations
            .filter(|s| s.last_read.is_some() && !baselined.contains(&s.element))
            .map(|s| s.element)
            .collect()
    } else {
        elements.to_vec()
    };
    let mut baseline = Vec::new();
    for element in &chosen {
        let stored = app.store.newest_snapshot(element).await?;
        let stored = stored.with_context(|| format!("station {element} was never read completely"))?;
        baseline.extend(stored.snapshot.objects().iter().map(|object| BaselineObject {
            object: object.dn().clone(),
            attributes: object.attributes().iter().cloned().collect(),
        }));
    }
    if baseline.is_empty() {
        bail!("no station to take a baseline of; hint: run a round first");
    }
    let height = app.ledger.next_height();
    let agreement = app.ledger.contract().read().agreement_in_force(&app.config.agreement, height);
    let agreement =
        agreement.with_context(|| format!("agreement {} is not in force", app.config.agreement))?;
    let now = clock::now();
    Ok(ChangeRequest {
        format: ChangeRequest::FORMAT.into(),
        id: id.to_owned(),
        kind: ChangeKind::Baseline,
        agreement: agreement.statement.id,
        agreement_version: agreement.statement.version,
        proposer: app.origin().to_owned(),
        title: format!("Baseline of {} stations as read", chosen.len()),
        ticket: String::new(),
        scope: model::Scope::default(),
        window: Window { from: now, to: now.plus_millis(OPEN_FOR) },
        edits: vec![],
        rollback: false,
        baseline,
        upgrade: None,
        swap: None,
        nonce: hex::encode(keys::random_bytes::<32>()?),
    })
}

/// Makes every approved baseline the approved state of its stations. Doing it again changes nothing.
pub async fn take_over(app: &App) -> Result<()> {
    let filter = RequestFilter { standing: Some("approved".into()), ..RequestFilter::default() };
    for row in app.store.requests(&filter).await? {
        let Some(view) = row.view() else { continue };
        let Standing::Approved { height } = view.standing else { continue };
        if view.request.kind != ChangeKind::Baseline {
            continue;
        }
        let mut stations: BTreeMap<Dn, Vec<BaselineObject>> = BTreeMap::new();
        for object in &view.request.baseline {
            let element = object.object.ancestor("ManagedElement");
            let element =
                element.with_context(|| format!("{} lies below no ManagedElement", object.object))?;
            stations.entry(element).or_default().push(object.clone());
        }
        let stations: Vec<_> =
            stations.into_iter().map(|(element, objects)| BaselineStation { element, objects }).collect();
        app.store.apply_baseline(&view.request.id, height, &stations).await?;
    }
    Ok(())
}
