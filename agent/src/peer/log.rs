//! This agent's log as other members read it: C2SP tlog-tiles of what is anchored, and its cosignatures over theirs.
//!
//! Leaves are envelopes: ids and commitments, never a value. So every member may read them.

use std::sync::Arc;

use anchor::Tree;
use anchor::tiles::{self, TileLevel, TilePath};
use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use store::CosignatureRow;

use super::server::Caller;
use crate::api::ApiError;
use crate::app::App;
use crate::mirror::cosign::cosigned_note;
use crate::mirror::{self, Log};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/peer/v1/log/checkpoint", get(checkpoint))
        .route("/peer/v1/log/tile/{*path}", get(tile))
        .route("/peer/v1/cosignatures/{member}", get(newest_cosignature))
        .route("/peer/v1/cosignatures/{member}/{size}", get(cosignature))
}

const TEXT: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
const BYTES: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/octet-stream")];

fn nothing() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// The last anchored checkpoint with the cosignatures that are here: what the chain has, and never more.
async fn checkpoint(_caller: Caller, State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let anchored = app.ledger.contract().read().last_checkpoint(app.origin());
    let Some(anchored) = anchored else { return Ok(nothing()) };
    let genesis = app.ledger.genesis();
    let log = Log::of(genesis, app.origin()).context("this agent's operator is no member")?;
    let mut note = log
        .verified(anchored.checkpoint.as_bytes())
        .context("the anchored checkpoint is not of this operator's log key")?;
    mirror::cosign::add_all(&mut note, &app.store, genesis, app.origin()).await?;
    Ok((TEXT, note.to_string()).into_response())
}

async fn tile(
    _caller: Caller,
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    let Ok(path) = format!("tile/{path}").parse::<TilePath>() else { return Ok(nothing()) };
    let size = app.ledger.contract().read().last_checkpoint(app.origin()).map_or(0, |a| a.size);
    let found = read_tile(&Own(&app), size, &path).await?;
    Ok(found.map_or_else(nothing, |bytes| (BYTES, bytes).into_response()))
}

async fn newest_cosignature(
    _caller: Caller,
    State(app): State<Arc<App>>,
    Path(member): Path<String>,
) -> Result<Response, ApiError> {
    let rows = app.store.cosignatures(&member).await?;
    cosigned(&app, rows).await
}

async fn cosignature(
    _caller: Caller,
    State(app): State<Arc<App>>,
    Path((member, size)): Path<(String, u64)>,
) -> Result<Response, ApiError> {
    // A size that cannot be stored is a size that is not there.
    if i64::try_from(size).is_err() {
        return Ok(nothing());
    }
    let rows = app.store.cosignatures_at(&member, size).await?;
    cosigned(&app, rows).await
}

/// The anchored checkpoint with this agent's own line.
async fn cosigned(app: &App, rows: Vec<CosignatureRow>) -> Result<Response, ApiError> {
    let Some(own) = rows.into_iter().find(|row| row.member == app.origin()) else { return Ok(nothing()) };
    let Some(head) = app.store.mirror_head(&own.origin, own.size).await? else { return Ok(nothing()) };
    Ok((TEXT, cosigned_note(&head.note, &own.line)).into_response())
}

/// A log from which tiles are made.
pub(crate) trait Leaves {
    /// The bytes of leaves `from .. to`.
    fn envelopes(&self, from: u64, to: u64) -> impl Future<Output = Result<Vec<Vec<u8>>>> + Send;
    /// Its tree with at least `size` leaves.
    fn tree(&self, size: u64) -> impl Future<Output = Result<Arc<Tree>>> + Send;
}

/// The log of the agent's own operator.
#[derive(Debug)]
struct Own<'a>(&'a App);

impl Leaves for Own<'_> {
    async fn envelopes(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
        Ok(self.0.store.leaf_envelopes(from, to).await?)
    }

    async fn tree(&self, size: u64) -> Result<Arc<Tree>> {
        self.0.trees.own(&self.0.store, size).await
    }
}

/// What stands at `path` of a log of `size` leaves; `None` where nothing is yet.
pub(crate) async fn read_tile(log: &impl Leaves, size: u64, path: &TilePath) -> Result<Option<Vec<u8>>> {
    if !path.is_within(size) {
        return Ok(None);
    }
    let TileLevel::Entries = path.level else {
        let tree = log.tree(size).await?;
        let hashes = tiles::tile_of(&tree, path);
        return hashes.map(Some).with_context(|| format!("the tree lacks nodes of {path}"));
    };
    let from = path.first_leaf().context("a tile within the log begins within it")?;
    let to = from.saturating_add(path.width);
    let entries = log.envelopes(from, to).await?;
    ensure!(entries.len() as u64 == path.width, "leaves {from} to {to} are not all in the store");
    Ok(Some(tiles::encode_entries(&entries)?))
}
