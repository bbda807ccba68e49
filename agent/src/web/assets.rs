//! Style, script and icon, compiled in; addressed with a digest so that a browser keeps them as long as it likes.

use std::sync::LazyLock;

use anchor::Hash;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset { name: "page.css", kind: "text/css; charset=utf-8", text: include_str!("../../static/page.css") },
    Asset {
        name: "page.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../../static/page.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("../../static/icon.svg") },
];

static DIGESTS: LazyLock<Vec<String>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| Hash::of(asset.text.as_bytes()).short()).collect());

/// Where an asset is found.
pub fn address(name: &str) -> String {
    let digest = ASSETS.iter().position(|asset| asset.name == name).and_then(|n| DIGESTS.get(n));
    format!("/static/{name}?v={}", digest.map_or("", String::as_str))
}

/// `GET /static/{name}`
pub async fn serve(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers =
        [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.text).into_response()
}
