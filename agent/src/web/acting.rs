//! What people do about a violation through the page: plain forms, which work without script.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use store::StoreError;

use super::frame::Frame;
use super::handlers::{At, problem, rendered};
use super::load::LoadError;
use super::pages::{LoginPage, ProblemPage};
use super::session::{LoginError, is_from_here};
use super::site::Site;
use crate::acting::{Lack, Words};

/// Longest form taken, in bytes.
pub const LONGEST_FORM: usize = 32 << 10;

#[derive(Debug, Default, Deserialize)]
pub struct BackQuery {
    #[serde(default)]
    back: String,
}

pub async fn login_page(frame: Frame, query: Result<Query<BackQuery>, QueryRejection>) -> Response {
    match query {
        Ok(Query(query)) => {
            let page = LoginPage { f: &frame, back: local(&query.back), fault: None };
            rendered(StatusCode::OK, page.render())
        }
        Err(error) => problem(&frame, &LoadError::Bad(error.body_text())),
    }
}

#[derive(Debug, Deserialize)]
pub struct LoginForm {
    person: String,
    token: String,
    #[serde(default)]
    back: String,
}

pub async fn login(
    frame: Frame,
    State(site): State<Site>,
    headers: HeaderMap,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let form = match sent(&frame, &headers, form) {
        Ok(form) => form,
        Err(refused) => return *refused,
    };
    let fault = match site.sessions.begin(&form.token, &form.person, (site.now)()) {
        Ok(cookie) => {
            return ([(header::SET_COOKIE, cookie)], Redirect::to(local(&form.back))).into_response();
        }
        Err(LoginError::WrongToken) => frame.t("login.wrong_token"),
        Err(LoginError::NoName) => frame.t("login.no_name"),
        Err(LoginError::ReadOnly) => frame.t("login.read_only"),
        Err(LoginError::Failed(cause)) => return problem(&frame, &LoadError::Failed(cause)),
    };
    let page = LoginPage { f: &frame, back: local(&form.back), fault: Some(fault) };
    rendered(StatusCode::FORBIDDEN, page.render())
}

pub async fn logout(
    frame: Frame,
    State(site): State<Site>,
    headers: HeaderMap,
    form: Result<Form<BackQuery>, FormRejection>,
) -> Response {
    let form = match sent(&frame, &headers, form) {
        Ok(form) => form,
        Err(refused) => return *refused,
    };
    ([(header::SET_COOKIE, site.sessions.end(&headers))], Redirect::to(local(&form.back))).into_response()
}

#[derive(Debug, Deserialize)]
pub struct ActForm {
    verb: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    to: String,
}

/// One verb on one violation; the page is shown again afterwards.
pub async fn act(
    frame: Frame,
    At(site): At,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Result<Form<ActForm>, FormRejection>,
) -> Response {
    let form = match sent(&frame, &headers, form) {
        Ok(form) => form,
        Err(refused) => return *refused,
    };
    let page = format!("/violations/{}{}", frame.segment(&id), frame.stay());
    let Some(person) = frame.person.clone() else {
        return Redirect::to(&format!("/login?back={}", frame.segment(&page))).into_response();
    };
    // The form has one field for whom to assign to, whatever its button.
    let to = (form.verb == "assign").then_some(form.to.as_str());
    let words = Words { verb: &form.verb, by: &person, comment: &form.comment, to };
    let action = match words.read((site.now)()) {
        Ok(action) => action,
        Err(lack) => return told(&frame, StatusCode::BAD_REQUEST, frame.t(sentence(lack))),
    };
    match site.store.act_on_violation(&id, &action).await {
        Ok(_) => Redirect::to(&page).into_response(),
        Err(StoreError::Missing { .. }) => problem(&frame, &LoadError::Missing { what: "violation", id }),
        Err(error @ StoreError::Conflict { .. }) => {
            told(&frame, StatusCode::CONFLICT, &frame.clean(&error.to_string()))
        }
        Err(error) => problem(&frame, &error.into()),
    }
}

/// The key of the sentence that tells what a form lacks.
fn sentence(lack: Lack) -> &'static str {
    match lack {
        Lack::Verb | Lack::ToNobody => "act.no_verb",
        Lack::Person => "login.no_name",
        Lack::Assignee => "act.no_assignee",
        Lack::Comment => "act.no_comment",
        Lack::LongComment => "act.long_comment",
        Lack::LongName => "act.long_name",
    }
}

/// The form, if a page of this agent sent it; else the page to answer with.
fn sent<T>(
    frame: &Frame,
    headers: &HeaderMap,
    form: Result<Form<T>, FormRejection>,
) -> Result<T, Box<Response>> {
    if !is_from_here(headers) {
        return Err(Box::new(told(frame, StatusCode::FORBIDDEN, frame.t("act.not_from_here"))));
    }
    let refused = |error: FormRejection| told(frame, error.status(), &frame.clean(&error.body_text()));
    form.map(|Form(form)| form).map_err(|error| Box::new(refused(error)))
}

fn told(frame: &Frame, status: StatusCode, message: &str) -> Response {
    rendered(status, ProblemPage { f: frame, title: frame.t("problem.failed"), message }.render())
}

/// A path of this agent; anything else leads to the list.
fn local(back: &str) -> &str {
    let is_path = back.starts_with('/') && !back.starts_with("//");
    let is_plain =
        back.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>'));
    let leads_on = !["/login", "/logout"].iter().any(|path| back.starts_with(path));
    if is_path && is_plain && leads_on && back.len() <= 2_000 { back } else { "/violations" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_nowhere_else() {
        assert_eq!(local("/violations/V-1?origin=unicom"), "/violations/V-1?origin=unicom");
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\nb", "/login"] {
            assert_eq!(local(bad), "/violations", "{bad}");
        }
    }
}
