//! What the API answers when it cannot do what it was asked.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::peer::bodies::MAX_BODY;

/// A status and one line with a hint. The whole chain of causes is in the line.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
    /// A word for programs, where they are to tell this refusal from others.
    pub code: Option<&'static str>,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), code: None }
    }

    /// The same with a word for programs.
    pub fn with_code(mut self, code: &'static str) -> ApiError {
        self.code = Some(code);
        self
    }

    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, message)
    }

    /// Something has to come first, or came in between.
    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, message)
    }

    /// An origin of whose stations nothing is known here.
    pub fn not_judged(origin: &str) -> ApiError {
        ApiError::not_found(format!("nothing of `{origin}` is judged here; hint: a member id"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), "Request failed: {}", self.message);
        }
        let body = match self.code {
            None => json!({ "error": self.message }),
            Some(code) => json!({ "error": self.message, "code": code }),
        };
        (self.status, Json(body)).into_response()
    }
}

/// Longest text of an answer that is put into JSON, in bytes.
const LONGEST_TEXT: usize = 16 << 10;

/// What the router or a layer refused in plain text (too large, another method, …) as JSON, as everything else.
pub async fn as_json(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = match to_bytes(body, LONGEST_TEXT).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let name = status.canonical_reason().unwrap_or("refused").to_lowercase();
    let mut message = if text.is_empty() { name } else { text };
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        message = format!("the request is larger than {} MiB; hint: send it in parts", MAX_BODY >> 20);
    }
    let mut answer = ApiError::new(status, message).into_response();
    for (name, value) in &parts.headers {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH) {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
    }
    answer
}

/// A request's JSON body. What is wrong with it is answered like everything else that is wrong.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Asked(body)),
            Err(rejection) => Err(ApiError::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// Whatever else goes wrong is ours: 500, with the causes in one line.
impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl From<store::StoreError> for ApiError {
    fn from(error: store::StoreError) -> ApiError {
        anyhow::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use tower::ServiceExt as _;
    use tower_http::limit::RequestBodyLimitLayer;

    #[tokio::test]
    async fn what_a_layer_refuses_is_json_too() {
        let take = |body: axum::body::Bytes| async move { body.len().to_string() };
        let router = Router::new().route("/", post(take));
        let router =
            router.layer(RequestBodyLimitLayer::new(4)).layer(axum::middleware::map_response(as_json));
        let long = Request::post("/").header("content-length", "9").body(Body::from("too long!")).unwrap();
        let streamed = Request::post("/").body(Body::from("too long!")).unwrap();
        let other = Request::get("/").body(Body::empty()).unwrap();
        for (request, status, words) in [
            (long, StatusCode::PAYLOAD_TOO_LARGE, "hint: send it in parts"),
            (streamed, StatusCode::PAYLOAD_TOO_LARGE, "hint: send it in parts"),
            (other, StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        ] {
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), status);
            let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert!(body["error"].as_str().unwrap().contains(words), "{body}");
        }
        let fine = Request::post("/").body(Body::from("ok")).unwrap();
        let answer = router.oneshot(fine).await.unwrap();
        assert_eq!(to_bytes(answer.into_body(), 64).await.unwrap(), "2");
    }
}
