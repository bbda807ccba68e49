//! What stands around every answer: security headers, the language cookie, and the count of requests.

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;

use super::text::Language;
use crate::metrics::Metrics;

/// Nothing from elsewhere, nothing inline, no frame around it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Puts the headers around a router's answers and counts them. Once around each route.
pub fn observe(router: Router, metrics: Metrics) -> Router {
    router.layer(from_fn_with_state(metrics, count)).layer(from_fn(protect))
}

async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    metrics.answered(&route, response.status().as_u16());
    response
}

async fn protect(request: Request, next: Next) -> Response {
    let chosen = request.uri().query().and_then(asked_language);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Nothing is told elsewhere; `no-referrer` would hide the origin of our own forms, too.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(language) = chosen {
        let cookie = match language {
            Language::En => "lang=en; Path=/; Max-Age=31536000; SameSite=Lax",
            Language::Zh => "lang=zh; Path=/; Max-Age=31536000; SameSite=Lax",
        };
        headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    response
}

/// `lang=` of a query.
pub(super) fn asked_language(query: &str) -> Option<Language> {
    query.split('&').filter_map(|pair| pair.strip_prefix("lang=")).find_map(Language::of_code)
}
