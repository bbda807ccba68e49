//! Who may act on the pages: somebody who typed the agent's token once.
//!
//! The token itself is never in a page or cookie. A cookie names a session that lives in memory, is never sent by a
//! page from elsewhere (SameSite) and never seen by script; every form's origin is checked besides, because cookies
//! do not tell the ports of one machine apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, header};
use model::Timestamp;

use crate::acting::LONGEST_NAME;
use crate::api::same;
use crate::keys;

/// How long a session lasts, in milliseconds.
const LIFETIME: i64 = 12 * 3_600_000;
/// Sessions kept at once; the oldest makes room.
const MOST: usize = 64;

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Pages that other machines can reach are sent in the clear.
    #[error("these pages are read only here")]
    ReadOnly,
    #[error("the token is not this agent's")]
    WrongToken,
    #[error("the name is empty")]
    NoName,
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// All sessions of one agent. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    /// `None` where nobody may act through the pages.
    token: Option<String>,
    cookie: String,
    open: Mutex<BTreeMap<String, Session>>,
}

struct Session {
    person: String,
    until: Timestamp,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("cookie", &self.0.cookie).finish_non_exhaustive()
    }
}

impl Sessions {
    /// `operator` names the cookie: agents on one machine share the browser's cookies.
    pub fn new(operator: &str, token: Option<String>) -> Sessions {
        let name: String =
            operator.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let cookie = format!("ranproof-session-{name}");
        Sessions(Arc::new(Inner { token, cookie, open: Mutex::default() }))
    }

    /// Whether anybody may act through these pages.
    pub fn may_act(&self) -> bool {
        self.0.token.is_some()
    }

    /// Lets `person` in; gives the value of `Set-Cookie`.
    pub fn begin(&self, token: &str, person: &str, now: Timestamp) -> Result<String, LoginError> {
        let known = self.0.token.as_ref().ok_or(LoginError::ReadOnly)?;
        if !same(token.trim().as_bytes(), known.as_bytes()) {
            return Err(LoginError::WrongToken);
        }
        let person: String = person.trim().chars().take(LONGEST_NAME).collect();
        if person.is_empty() {
            return Err(LoginError::NoName);
        }
        let id = hex::encode(keys::random_bytes::<32>()?);
        let until = Timestamp(now.millis().saturating_add(LIFETIME));
        let mut open = self.open();
        open.retain(|_, session| now < session.until);
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, session)| session.until).map(|(id, _)| id.clone());
            oldest.map(|id| open.remove(&id));
        }
        open.insert(id.clone(), Session { person, until });
        let (cookie, seconds) = (&self.0.cookie, LIFETIME / 1000);
        Ok(format!("{cookie}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"))
    }

    /// Who is asking.
    pub fn person(&self, headers: &HeaderMap, now: Timestamp) -> Option<String> {
        let id = self.id(headers)?;
        let open = self.open();
        let session = open.get(id)?;
        (now < session.until).then(|| session.person.clone())
    }

    /// Ends the session of whoever asks; gives the value of `Set-Cookie` that forgets it.
    pub fn end(&self, headers: &HeaderMap) -> String {
        if let Some(id) = self.id(headers) {
            self.open().remove(id);
        }
        format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", self.0.cookie)
    }

    fn id<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.0.cookie).map(|(_, id)| id)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a form was sent by a page of this very agent. Every browser says so of a form that changes something.
pub fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
    let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    name.is_some_and(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_token_opens_a_session_and_time_ends_it() {
        let sessions = Sessions::new("telecom", Some("secret".into()));
        let now = Timestamp(1_000);
        assert!(matches!(sessions.begin("other", "Li", now), Err(LoginError::WrongToken)));
        assert!(matches!(sessions.begin("secret", " ", now), Err(LoginError::NoName)));
        let cookie = sessions.begin(" secret\n", "Li", now).unwrap();
        for part in ["ranproof-session-telecom=", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let sent = headers(&[(header::COOKIE, &format!("lang=zh; {}", cookie.split(';').next().unwrap()))]);
        assert_eq!(sessions.person(&sent, now).as_deref(), Some("Li"));
        assert_eq!(sessions.person(&sent, Timestamp(1_000 + LIFETIME)), None);
        sessions.end(&sent);
        assert_eq!(sessions.person(&sent, now), None);
    }

    #[test]
    fn a_page_for_everybody_lets_nobody_act() {
        let sessions = Sessions::new("telecom", None);
        assert!(matches!(sessions.begin("", "Li", Timestamp(0)), Err(LoginError::ReadOnly)));
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::new("telecom", Some("secret".into()));
        for n in 0..(MOST as i64 + 9) {
            sessions.begin("secret", "Li", Timestamp(n)).unwrap();
        }
        assert_eq!(sessions.open().len(), MOST);
    }

    #[test]
    fn a_form_from_another_port_or_from_nowhere_is_not_ours() {
        let host = (header::HOST, "127.0.0.1:8420");
        let ask = |origin: &str| is_from_here(&headers(&[host.clone(), (header::ORIGIN, origin)]));
        assert!(ask("http://127.0.0.1:8420"));
        assert!(!ask("http://127.0.0.1:8421") && !ask("null") && !ask("http://evil.example"));
        assert!(!is_from_here(&headers(&[host])));
    }
}
