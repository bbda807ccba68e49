//! Change requests: what the chain says of them, with their bodies and how far rounds saw them carried out.

use anchor::Hash;
use anchor::transaction::{Decision, ProposalKind};
use model::change::{Progress, Stated, Window};
use model::{ChangeRequest, Dn, RequestView};
use sqlx::{QueryBuilder, Sqlite};

use crate::Store;
use crate::columns::{Columns as _, word};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::subjects::{Moment, SUBJECTS, SubjectRow, subject_rows};

/// Which change requests; empty fields ask for all.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    pub ids: Vec<String>,
    /// `proposed`, `approved`, `rejected` or `withdrawn`, as `Standing::name` gives it.
    pub standing: Option<String>,
    pub agreement: Option<String>,
    pub kind: Option<ProposalKind>,
    /// Part of the id, the title, the ticket or the proposer, in any case.
    pub text: Option<String>,
}

/// A change request with its body and how far it has been carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    pub subject: SubjectRow,
    /// `None`: the body has not reached this agent, or it counts for nothing: see `unfit`.
    pub request: Option<ChangeRequest>,
    /// Why a body that is here counts for nothing: it is no change request, or speaks otherwise than its proposal.
    /// Whoever proposes chooses the hash, so that this is somebody's fault and no damage.
    pub unfit: Option<String>,
    /// `None`: no round has looked at it yet.
    pub progress: Option<Progress>,
    /// Its edits that were seen carried out.
    pub observed: Vec<ObservedEdit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedEdit {
    pub object: Dn,
    pub attribute: String,
    /// The round that saw it.
    pub round: u64,
}

impl RequestRow {
    /// As a judge sees it; `None` without the body.
    pub fn view(&self) -> Option<RequestView> {
        let request = self.request.clone()?;
        let approvals = self.subject.decisions.iter().filter(|d| d.decision == Decision::Approve);
        Some(RequestView {
            request,
            standing: self.subject.standing(),
            approved_by: approvals.map(|d| d.member.clone()).collect(),
            decided_at: self.subject.decided_at(),
        })
    }
}

impl RequestRow {
    /// As a judge saw it who knew the chain up to the block at `height`; `None` if it was not proposed by then, or
    /// without the body.
    pub fn view_at(&self, height: u64) -> Option<RequestView> {
        let subject = &self.subject;
        if subject.proposed.height > height {
            return None;
        }
        let known = |at: Option<Moment>| at.filter(|at| at.height <= height);
        let decisions = subject.decisions.iter().filter(|d| d.at.height <= height).cloned();
        let then = RequestRow {
            subject: SubjectRow {
                finalized: known(subject.finalized),
                rejected: known(subject.rejected),
                withdrawn: known(subject.withdrawn),
                decisions: decisions.collect(),
                ..subject.clone()
            },
            ..self.clone()
        };
        then.view()
    }
}

impl Store {
    /// Change requests, newest first, with their bodies where these are known.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a stored body is not what its hash names.
    pub async fn requests(&self, filter: &RequestFilter) -> Result<Vec<RequestRow>> {
        let mut link = self.reader().await?;
        let mut query = QueryBuilder::<Sqlite>::new(SUBJECTS);
        query.push("s.kind = 'change'");
        if !filter.ids.is_empty() {
            query.push(" AND s.id IN (");
            let mut ids = query.separated(", ");
            for id in &filter.ids {
                ids.push_bind(id.clone());
            }
            query.push(")");
        }
        if let Some(agreement) = &filter.agreement {
            query.push(" AND s.agreement = ").push_bind(agreement.clone());
        }
        if let Some(kind) = &filter.kind {
            query.push(" AND s.request_kind = ").push_bind(word(kind));
        }
        query.push(" ORDER BY s.proposed_height DESC, s.id");
        let mut requests = Vec::new();
        for subject in subject_rows(&mut link, query).await? {
            if filter.standing.as_ref().is_some_and(|s| *s != subject.standing().name()) {
                continue;
            }
            requests.push(request_row(&mut link, subject).await?);
        }
        if let Some(text) = &filter.text {
            let text = text.to_lowercase();
            requests.retain(|r| mentions(r, &text));
        }
        Ok(requests)
    }
}

async fn request_row(link: &mut Link, subject: SubjectRow) -> Result<RequestRow> {
    let bytes = match &subject.body {
        Some(hash) => body_bytes(link, hash).await?,
        None => None,
    };
    let (request, unfit) = match bytes.map(|bytes| fitting(&subject, &bytes)) {
        None => (None, None),
        Some(Ok(request)) => (Some(request), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let id = subject.subject.id.as_str();
    let progress = sqlx::query("SELECT progress FROM request_progress WHERE request = ?").bind(id);
    let progress = link.row(progress).await?.map(|row| row.word("progress")).transpose()?;
    let edits =
        "SELECT object, attribute, round FROM request_edits WHERE request = ? ORDER BY object, attribute";
    let mut observed = Vec::new();
    for row in link.rows(sqlx::query(edits).bind(id)).await? {
        let (object, attribute) = (row.dn("object")?, row.text("attribute")?);
        observed.push(ObservedEdit { object, attribute, round: row.number("round")? });
    }
    Ok(RequestRow { subject, request, unfit, progress, observed })
}

/// The body as a request, or why it counts for nothing.
fn fitting(subject: &SubjectRow, bytes: &[u8]) -> std::result::Result<ChangeRequest, String> {
    let request: ChangeRequest =
        serde_json::from_slice(bytes).map_err(|e| format!("the body is no change request: {e}"))?;
    request.check().map_err(|e| e.to_string())?;
    let terms = subject.request.ok_or("the chain knows no terms of the request")?;
    let stated = Stated {
        id: &subject.subject.id,
        kind: &word(&terms.kind),
        agreement: &subject.agreement,
        agreement_version: subject.agreement_version,
        proposer: &subject.proposer,
        window: Window { from: terms.window_from, to: terms.window_to },
    };
    request.fits(&stated).map_err(|e| e.to_string())?;
    Ok(request)
}

async fn body_bytes(link: &mut Link, hash: &Hash) -> Result<Option<Vec<u8>>> {
    let query = sqlx::query("SELECT bytes FROM bodies WHERE hash = ?").bind(hash.0.to_vec());
    let Some(row) = link.row(query).await? else { return Ok(None) };
    let bytes = row.blob("bytes")?;
    if Hash::of(&bytes) != *hash {
        return Err(StoreError::damaged("bodies", hash, "the bytes have another SHA-256"));
    }
    Ok(Some(bytes))
}

fn mentions(row: &RequestRow, text: &str) -> bool {
    let body = row.request.iter().flat_map(|r| [&r.title, &r.ticket]);
    [&row.subject.subject.id, &row.subject.proposer]
        .into_iter()
        .chain(body)
        .any(|t| t.to_lowercase().contains(text))
}
