//! From a request to a page.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::filter::{Filter, FilterQuery, PAGE_ROWS};
use super::frame::{Frame, Seat};
use super::guard::asked_language;
use super::load::{self, LoadError};
use super::pages::{
    ChainPage, ChangePage, ChangesPage, ProblemPage, RoundPage, RoundsPage, RulePage, ViolationPage,
    ViolationsPage,
};
use super::site::Site;
use super::text::Language;
use super::view::{ChainStatus, MemberView};
use crate::api::types::OriginQuery;
use crate::evidence::BundleError;

/// Rounds on one page.
const ROUNDS: u32 = 50;
/// Longest path that is repeated in a page, in bytes.
const MAX_PATH: usize = 2_000;

impl FromRequestParts<Site> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Self::Rejection> {
        let text =
            |name: HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default();
        let asked = asked_language(query).map(Language::code);
        let units = load::units(site).await.unwrap_or_else(|error| {
            tracing::error!("Values are shown without their units: {error:#}");
            Arc::default()
        });
        let now = (site.now)();
        let ChainStatus { members, federation, .. } = (site.chain)();
        let own = federation.nodes.iter().find(|node| node.own);
        Ok(Frame {
            language: Language::choose(asked, text(header::COOKIE), text(header::ACCEPT_LANGUAGE)),
            network: site.network.to_string(),
            operator: site.operator.to_string(),
            section: section(parts.uri.path()),
            here: here(parts.uri.path(), query),
            now,
            seats: seats(site, &members, asked_origin(&parts.uri).as_deref()),
            collects: own.is_none_or(|own| own.role == "operator"),
            has_peers: members.len() > 1,
            members: members.into_iter().map(|member| (member.id, member.name)).collect(),
            units,
            may_act: site.sessions.may_act(),
            person: site.sessions.person(&parts.headers, now),
        })
    }
}

/// This operator, and whoever's disclosures are judged here.
fn seats(site: &Site, members: &[MemberView], asked: Option<&str>) -> Vec<Seat> {
    let others = (site.seconds)();
    if others.is_empty() {
        return vec![];
    }
    let current = asked.unwrap_or(&site.operator);
    let seat = |id: &str| Seat {
        id: id.to_owned(),
        name: members.iter().find(|m| m.id == id).map_or_else(|| id.to_owned(), |m| m.name.clone()),
        is_foreign: *id != *site.operator,
        is_current: *id == *current,
    };
    std::iter::once(seat(&site.operator)).chain(others.keys().map(|id| seat(id))).collect()
}

fn asked_origin(uri: &Uri) -> Option<String> {
    let Query(query) = Query::<OriginQuery>::try_from_uri(uri).ok()?;
    query.asked()
}

/// The site over the stations of the origin that the address names; of this operator where it names none.
pub struct At(pub Site);

impl FromRequestParts<Site> for At {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Self::Rejection> {
        let Some(origin) = asked_origin(&parts.uri) else { return Ok(At(site.clone())) };
        match site.at(&origin) {
            Some(site) => Ok(At(site)),
            None => {
                let id = super::shown::cut(&origin, 80).0.to_owned();
                let Ok(frame) = Frame::from_request_parts(parts, site).await;
                Err(problem(&frame, &LoadError::Missing { what: "origin judged here", id }))
            }
        }
    }
}

fn section(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("violations" | "rules") => "violations",
        Some("changes") => "changes",
        Some("rounds") => "rounds",
        Some("chain") => "chain",
        _ => "",
    }
}

/// This page's address without its language.
fn here(path: &str, query: &str) -> String {
    let kept: Vec<&str> = query.split('&').filter(|p| !p.is_empty() && !p.starts_with("lang=")).collect();
    match (path.len() + query.len() > MAX_PATH, kept.is_empty()) {
        (true, _) => "/violations".to_owned(),
        (false, true) => path.to_owned(),
        (false, false) => format!("{path}?{}", kept.join("&")),
    }
}

pub async fn home() -> Redirect {
    Redirect::to("/violations")
}

pub async fn violations(
    frame: Frame,
    At(site): At,
    query: Result<Query<FilterQuery>, QueryRejection>,
) -> Response {
    let view = list(&site, query).await;
    show(&frame, view, |f, view| ViolationsPage { f, view }.render())
}

async fn list(
    site: &Site,
    query: Result<Query<FilterQuery>, QueryRejection>,
) -> Result<super::view::ViolationsView, LoadError> {
    let Query(query) = query.map_err(|e| LoadError::Bad(e.body_text()))?;
    let filter = Filter::parse(&query, true).map_err(|e| LoadError::Bad(e.to_string()))?;
    let before = query.before.as_deref().filter(|b| !b.is_empty());
    let slice = load::Slice { before, limit: PAGE_ROWS, whole_reads: true };
    let mut view = load::violations(site, filter, slice).await?;
    view.next = view.next.map(|cursor| view.filter.address(Some(&cursor)));
    Ok(view)
}

pub async fn violation(frame: Frame, At(site): At, Path(id): Path<String>) -> Response {
    show(&frame, load::violation(&site, &id).await, |f, view| ViolationPage { f, view }.render())
}

pub async fn changes(frame: Frame, State(site): State<Site>) -> Response {
    show(&frame, load::changes(&site).await, |f, rows| ChangesPage { f, rows }.render())
}

pub async fn change(frame: Frame, State(site): State<Site>, Path(id): Path<String>) -> Response {
    show(&frame, load::change(&site, &id).await, |f, view| ChangePage { f, view }.render())
}

#[derive(Debug, Deserialize)]
pub struct RoundsQuery {
    before: Option<u64>,
}

pub async fn rounds(
    frame: Frame,
    At(site): At,
    query: Result<Query<RoundsQuery>, QueryRejection>,
) -> Response {
    let before = match query {
        Ok(Query(query)) => query.before,
        Err(error) => return problem(&frame, &LoadError::Bad(error.body_text())),
    };
    show(&frame, load::rounds(&site, before, ROUNDS).await, |f, (rows, next)| {
        RoundsPage { f, rows, next: *next }.render()
    })
}

pub async fn round(frame: Frame, At(site): At, Path(round): Path<String>) -> Response {
    let view = match round.parse() {
        Ok(number) => load::round(&site, number).await,
        Err(_) => Err(LoadError::Missing { what: "round", id: super::shown::cut(&round, 40).0.to_owned() }),
    };
    show(&frame, view, |f, view| RoundPage { f, view }.render())
}

pub async fn chain(frame: Frame, State(site): State<Site>) -> Response {
    show(&frame, load::chain(&site).await, |f, view| ChainPage { f, view }.render())
}

pub async fn rule(frame: Frame, At(site): At, Path(name): Path<String>) -> Response {
    show(&frame, load::rule(&site, &name).await, |f, view| RulePage { f, view }.render())
}

/// Any other path.
pub async fn nothing(frame: Frame, uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        return crate::api::ApiError::not_found("nothing is at this path; hint: see docs for the API")
            .into_response();
    }
    let page =
        ProblemPage { f: &frame, title: frame.t("problem.not_found"), message: frame.t("problem.no_page") };
    rendered(StatusCode::NOT_FOUND, page.render())
}

/// A bundle, as a file; a browser without one gets a page that says why.
pub async fn bundle(frame: Frame, State(site): State<Site>, Path(id): Path<String>) -> Response {
    match (site.bundle)(id.clone()).await {
        Ok(bytes) => {
            let name: String =
                id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
            let headers = [
                (header::CONTENT_TYPE, "application/json".to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.json\"")),
            ];
            (headers, bytes).into_response()
        }
        Err(BundleError::Failed(cause)) => problem(&frame, &LoadError::Failed(cause)),
        Err(error) => {
            let (status, title) = match error {
                BundleError::NotYet { .. } => (StatusCode::CONFLICT, "problem.failed"),
                _ => (StatusCode::NOT_FOUND, "problem.not_found"),
            };
            let message = frame.clean(&error.to_string());
            rendered(status, ProblemPage { f: &frame, title: frame.t(title), message: &message }.render())
        }
    }
}

/// 200 while database and chain node work, else 503; one line each.
pub async fn health(State(site): State<Site>) -> Response {
    let store = site.main.check_health().err().map(|e| e.to_string());
    let chain = (site.chain)().stopped;
    let line = |name: &str, fault: &Option<String>| match fault {
        None => format!("{name}: ok\n"),
        Some(why) => format!("{name}: {why}\n"),
    };
    let status =
        if store.is_none() && chain.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, line("store", &store) + &line("chain", &chain)).into_response()
}

/// For Prometheus.
pub async fn metrics(State(site): State<Site>) -> Response {
    match load::readings(&site).await {
        Ok(readings) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, site.metrics.render(&readings)).into_response()
        }
        Err(error) => {
            tracing::error!("Metrics could not be read: {error:#}");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be read, see the log\n").into_response()
        }
    }
}

fn show<T>(
    frame: &Frame,
    view: Result<T, LoadError>,
    render: impl FnOnce(&Frame, &T) -> askama::Result<String>,
) -> Response {
    match view {
        Ok(view) => rendered(StatusCode::OK, render(frame, &view)),
        Err(error) => problem(frame, &error),
    }
}

/// People get one sentence; causes inside go to the log.
pub(super) fn problem(frame: &Frame, error: &LoadError) -> Response {
    let (status, title) = match error {
        LoadError::Bad(_) => (StatusCode::BAD_REQUEST, "problem.bad_request"),
        LoadError::Missing { .. } => (StatusCode::NOT_FOUND, "problem.not_found"),
        LoadError::Failed(cause) => {
            tracing::error!("A page could not be made: {cause:#}");
            (StatusCode::INTERNAL_SERVER_ERROR, "problem.failed")
        }
    };
    let message = frame.clean(&error.to_string());
    let page = ProblemPage { f: frame, title: frame.t(title), message: &message };
    rendered(status, page.render())
}

pub(super) fn rendered(status: StatusCode, page: askama::Result<String>) -> Response {
    match page {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!("A template failed: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
