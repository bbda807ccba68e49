//! Baselines: proposed from what was read, taken over as approved state once all operators approved them.

use std::collections::{BTreeMap, BTreeSet};

use anchor::transaction::ProposalKind;
use anyhow::Result;
use model::change::{BaselineObject, ChangeKind, Window};
use model::{Agreement, ChangeRequest, Dn, RequestView};
use store::{BaselineStation, RequestFilter, Store};

use crate::app::App;
use crate::{clock, keys, statements};

/// How long a proposed baseline can be approved, in milliseconds: a week.
const OPEN_FOR: i64 = 7 * 24 * 3_600_000;

/// Why no baseline can be drafted.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// What was asked for can never be.
    #[error(
        "station {0} is not known here; hint: `ranproof status` counts the stations, targets.yaml names them"
    )]
    Unknown(Dn),
    /// Something has to come first.
    #[error("{0}")]
    NotYet(String),
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<store::StoreError> for DraftError {
    fn from(error: store::StoreError) -> DraftError {
        DraftError::Failed(error.into())
    }
}

/// A baseline request with every non-volatile attribute of the stations' newest snapshots. Without `elements`,
/// all stations that were read and have no approved baseline.
///
/// # Errors
/// [`DraftError`].
pub async fn draft(app: &App, id: &str, elements: &[Dn]) -> Result<ChangeRequest, DraftError> {
    let chosen = chosen(app, elements).await?;
    let mut baseline = Vec::new();
    for element in &chosen {
        let stored = app.store.newest_snapshot(element).await?;
        let stored = stored.ok_or_else(|| {
            DraftError::NotYet(format!(
                "station {element} was never read completely; hint: run a round first"
            ))
        })?;
        baseline.extend(stored.snapshot.objects().iter().map(|object| BaselineObject {
            object: object.dn().clone(),
            attributes: object.attributes().iter().cloned().collect(),
        }));
    }
    if baseline.is_empty() {
        let lacking = "no station to take a baseline of; hint: run a round first";
        return Err(DraftError::NotYet(lacking.to_owned()));
    }
    let height = app.ledger.next_height();
    let agreement = app.ledger.contract().read().agreement_in_force(&app.config.agreement, height);
    let agreement = agreement.ok_or_else(|| {
        let id = &app.config.agreement;
        DraftError::NotYet(format!("agreement `{id}` is not in force; hint: every party must approve it"))
    })?;
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

/// These stations, or all that were read and have no approved baseline.
async fn chosen(app: &App, elements: &[Dn]) -> Result<Vec<Dn>, DraftError> {
    let stations = app.store.stations().await?;
    if elements.is_empty() {
        let baselined: BTreeSet<Dn> = app.store.baselined().await?.into_iter().map(|b| b.element).collect();
        let lacking =
            stations.into_iter().filter(|s| s.last_read.is_some() && !baselined.contains(&s.element));
        return Ok(lacking.map(|s| s.element).collect());
    }
    let known: BTreeSet<&Dn> = stations.iter().map(|s| &s.element).collect();
    match elements.iter().find(|element| !known.contains(element)) {
        Some(stranger) => Err(DraftError::Unknown(stranger.clone())),
        None => Ok(elements.to_vec()),
    }
}

/// Makes every approved baseline of this operator's the approved state of its stations. Doing it again changes nothing.
/// What a member put on the chain never fails this: a request that does not count is told and left alone.
pub async fn take_over(app: &App) -> Result<()> {
    take_over_of(app, app.origin(), &app.store, u64::MAX).await.map(drop)
}

/// The same for the baselines of `origin` that were final at `height`, into the store that knows its stations. Returns
/// those that cannot be looked at yet, for want of a body, among those that needed this member's approval: any other
/// counts for nothing without it, and may have a body that nobody ever sees.
pub(crate) async fn take_over_of(app: &App, origin: &str, store: &Store, height: u64) -> Result<Vec<String>> {
    let filter = RequestFilter { kind: Some(ProposalKind::Baseline), ..RequestFilter::default() };
    let mut waiting = Vec::new();
    let mut rows = app.store.requests(&filter).await?;
    // Later ones over earlier ones, here as at every other judge.
    rows.sort_by_key(|row| (row.subject.finalized.map(|at| at.height), row.subject.subject.id.clone()));
    for row in rows {
        let id = &row.subject.subject.id;
        // Who withdraws it later does not undo what it approved.
        let Some(approved) = row.subject.finalized.map(|at| at.height) else { continue };
        if row.subject.proposer != origin || approved > height || app.taken_over(id) {
            continue;
        }
        let ours = row.subject.required.iter().any(|member| member == app.origin());
        let found = match row.view() {
            Some(view) if view.request.kind == ChangeKind::Baseline => by_station(app, &view).await?,
            Some(_) => Found::CountsForNothing("its body is no baseline".into()),
            None => row.unfit.clone().map_or(Found::Waits, Found::CountsForNothing),
        };
        match found {
            // A body that arrives later calls this again.
            Found::Waits => {
                waiting.extend(ours.then(|| id.clone()));
                continue;
            }
            Found::Stations(stations) => {
                store.apply_baseline(id, approved, &stations).await?;
            }
            Found::CountsForNothing(why) => {
                tracing::warn!(change.id = %id, "Baseline `{id}` is not taken over: {why}");
            }
        }
        app.note_taken_over(id);
    }
    Ok(waiting)
}

/// What an approved baseline comes to.
enum Found {
    Stations(Vec<BaselineStation>),
    /// Why it never will count.
    CountsForNothing(String),
    /// Its agreement's body is not here, not yet or because it does not concern this member.
    Waits,
}

/// A baseline's objects by station, or why it does not count: the operators whom its agreement names must all have
/// approved it, and it may speak only of stations in its proposer's own district.
async fn by_station(app: &App, view: &RequestView) -> Result<Found> {
    let request = &view.request;
    let statement = {
        let contract = app.ledger.contract().read();
        contract.agreement(&request.agreement, request.agreement_version).map(|found| found.statement)
    };
    let nothing = |why: String| Ok(Found::CountsForNothing(why));
    let Some(statement) = statement else { return nothing("its agreement is not registered".into()) };
    if !app.store.has_body(&statement.body).await? {
        return Ok(Found::Waits);
    }
    let agreement: Agreement = app.read_body(&statement.body, "agreement").await?;
    let required = statements::required_approvers(request, &agreement);
    if let Some(missing) = required.iter().find(|member| !view.approved_by.contains(member)) {
        return nothing(format!("{missing} did not approve it"));
    }
    let mut stations: BTreeMap<Dn, Vec<BaselineObject>> = BTreeMap::new();
    for object in &request.baseline {
        let Some(element) = object.object.ancestor("ManagedElement") else {
            return nothing(format!("{} lies below no ManagedElement", object.object));
        };
        if agreement.master_operator(&element) != Some(request.proposer.as_str()) {
            return nothing(format!("{element} is not in the district of {}", request.proposer));
        }
        stations.entry(element).or_default().push(object.clone());
    }
    let stations = stations.into_iter().map(|(element, objects)| BaselineStation { element, objects });
    Ok(Found::Stations(stations.collect()))
}
