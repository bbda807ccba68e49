//! What a station does with one request.

use collector::wire::xml::escape;

use crate::edit;
use crate::filter;
use crate::modules::{self, MONITORING, Module};
use crate::tree::{Element, NETCONF};

/// Who is on the other side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// May read.
    Collector,
    /// May read and edit.
    Manager,
}

impl Role {
    /// The account's name.
    pub fn user(self) -> &'static str {
        match self {
            Role::Collector => "collector",
            Role::Manager => "manager",
        }
    }
}

/// One `<rpc-error>` to answer with (RFC 6241 appendix A).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tag}: {message}")]
pub struct OperationError {
    /// The condition.
    pub tag: &'static str,
    /// Words for a person.
    pub message: String,
    /// The element concerned.
    pub path: Option<String>,
    /// Content for `<error-info>`, as XML.
    pub info: Option<String>,
}

impl OperationError {
    /// An error without a place.
    pub fn new(tag: &'static str, message: impl Into<String>) -> OperationError {
        OperationError { tag, message: message.into(), path: None, info: None }
    }

    /// The same error at a place.
    #[must_use]
    pub fn at(mut self, path: &str) -> OperationError {
        self.path = Some(path.to_owned());
        self
    }

    fn about(mut self, element: &str) -> OperationError {
        self.info = Some(format!("<bad-element>{}</bad-element>", escape(element)));
        self
    }

    /// The layer the condition belongs to.
    fn layer(&self) -> &'static str {
        match self.tag {
            "malformed-message" | "missing-attribute" => "rpc",
            "access-denied" | "operation-not-supported" | "bad-attribute" | "unknown-element" => "protocol",
            _ => "application",
        }
    }

    fn to_xml(&self) -> String {
        let mut xml = format!(
            "<rpc-error><error-type>{}</error-type><error-tag>{}</error-tag><error-severity>error</error-severity>",
            self.layer(),
            self.tag
        );
        if let Some(path) = &self.path {
            xml.push_str(&format!("<error-path>{}</error-path>", escape(path)));
        }
        xml.push_str(&format!("<error-message xml:lang=\"en\">{}</error-message>", escape(&self.message)));
        if let Some(info) = &self.info {
            xml.push_str(&format!("<error-info>{info}</error-info>"));
        }
        xml.push_str("</rpc-error>");
        xml
    }
}

/// What a request asks for, after access control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Answer with this part of the configuration.
    Read(Vec<Element>),
    /// Answer with the text of this module.
    Schema(&'static Module),
    /// Make this the configuration, then answer ok.
    Write(Vec<Element>),
    /// Answer ok and end the session.
    Close,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its message-id, to be repeated in the reply.
    pub message_id: Option<String>,
    /// The operation's element.
    operation: Element,
}

impl Request {
    /// Reads an `<rpc>`.
    ///
    /// # Errors
    /// malformed-message, missing-attribute.
    pub fn parse(bytes: &[u8]) -> Result<Request, OperationError> {
        let malformed = |why: String| OperationError::new("malformed-message", why);
        let rpc = Element::parse(bytes).map_err(|error| malformed(error.to_string()))?;
        if rpc.name != "rpc" || rpc.namespace != NETCONF {
            return Err(malformed(format!("expected `<rpc>`, found `<{}>`", rpc.name)));
        }
        let message_id = rpc.attribute("", "message-id").map(str::to_owned);
        match rpc.children.into_iter().next() {
            Some(operation) => Ok(Request { message_id, operation }),
            None => Err(malformed("no operation in `<rpc>`".to_owned())),
        }
    }

    /// Whether this is `<get>` or `<get-config>`, which faults disturb.
    pub fn reads(&self) -> bool {
        matches!(self.operation.name.as_str(), "get" | "get-config")
    }

    /// Decides what to do, without doing it.
    ///
    /// # Errors
    /// The `rpc-error` to answer.
    pub fn decide(&self, role: Role, tree: &[Element]) -> Result<Action, OperationError> {
        if self.message_id.is_none() {
            let mut error = OperationError::new("missing-attribute", "rpc without message-id");
            error.info =
                Some("<bad-attribute>message-id</bad-attribute><bad-element>rpc</bad-element>".to_owned());
            return Err(error);
        }
        match self.operation.name.as_str() {
            "get" => {
                let mut everything = tree.to_vec();
                everything.push(modules::yang_library());
                self.read(&everything)
            }
            "get-config" => {
                self.check_datastore("source")?;
                // State is no configuration (RFC 6241 §7.1).
                let configuration: Vec<Element> = tree.iter().map(Element::without_state).collect();
                self.read(&configuration)
            }
            "get-schema" => modules::find(&self.operation).map(Action::Schema),
            "edit-config" if role != Role::Manager => {
                Err(OperationError::new("access-denied", "this account reads only").about("edit-config"))
            }
            "edit-config" => self.write(tree),
            "close-session" => Ok(Action::Close),
            other => {
                Err(OperationError::new("operation-not-supported", format!("`{other}` is not implemented"))
                    .about(other))
            }
        }
    }

    fn read(&self, tree: &[Element]) -> Result<Action, OperationError> {
        match self.operation.child("filter") {
            None => Ok(Action::Read(tree.to_vec())),
            Some(filter) => match filter.attribute("", "type").unwrap_or("subtree") {
                "subtree" => Ok(Action::Read(filter::select(tree, filter))),
                other => {
                    Err(OperationError::new("operation-not-supported", format!("filter type `{other}`")))
                }
            },
        }
    }

    fn write(&self, tree: &[Element]) -> Result<Action, OperationError> {
        self.check_datastore("target")?;
        if let Some(test @ ("test-only" | "set")) = self.operation.child_text("test-option") {
            let text = format!("test-option `{test}` needs :validate, which is not offered");
            return Err(OperationError::new("operation-not-supported", text));
        }
        let config = self.operation.child("config").ok_or_else(|| {
            OperationError::new("missing-element", "edit-config without `<config>`").about("config")
        })?;
        let default = self.operation.child_text("default-operation").unwrap_or("merge");
        edit::apply(tree, config, default).map(Action::Write)
    }

    fn check_datastore(&self, role: &str) -> Result<(), OperationError> {
        let named = self.operation.child(role).and_then(|place| place.children.first());
        match named.map(|datastore| datastore.name.as_str()) {
            Some("running") => Ok(()),
            Some(other) => {
                Err(OperationError::new("invalid-value", format!("only running exists, not `{other}`")))
            }
            None => Err(OperationError::new("missing-element", format!("no `<{role}>`")).about(role)),
        }
    }
}

/// A reply around its content.
pub fn reply(message_id: Option<&str>, content: &str) -> String {
    let id = message_id.map(|id| format!(" message-id=\"{}\"", escape(id))).unwrap_or_default();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rpc-reply xmlns=\"{NETCONF}\"{id}>{content}</rpc-reply>"
    )
}

/// A reply with configuration.
pub fn data_reply(message_id: Option<&str>, tree: &[Element]) -> String {
    let mut content = String::from("<data>\n");
    for element in tree {
        element.write(&mut content, NETCONF, 1);
    }
    content.push_str("</data>");
    reply(message_id, &content)
}

/// A reply with the text of a module (RFC 6022 §3.1).
pub fn schema_reply(message_id: Option<&str>, text: &str) -> String {
    reply(message_id, &format!("<data xmlns=\"{MONITORING}\">{}</data>", escape(text)))
}

/// A reply that refuses.
pub fn error_reply(message_id: Option<&str>, error: &OperationError) -> String {
    reply(message_id, &error.to_xml())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StationPlan;

    fn decide(role: Role, operation: &str) -> Result<Action, OperationError> {
        let tree = vec![StationPlan { seed: 1, station: 1, stations: 1, cells: 1, west: 0 }.configuration()];
        let text = format!("<rpc xmlns='{NETCONF}' message-id='1'>{operation}</rpc>");
        Request::parse(text.as_bytes())?.decide(role, &tree)
    }

    fn tag(role: Role, operation: &str) -> &'static str {
        decide(role, operation).unwrap_err().tag
    }

    #[test]
    fn collector_reads_and_may_not_edit() {
        let read = "<get-config><source><running/></source></get-config>";
        assert!(matches!(decide(Role::Collector, read), Ok(Action::Read(tree)) if tree.len() == 1));
        let edit = "<edit-config><target><running/></target><config/></edit-config>";
        assert_eq!(tag(Role::Collector, edit), "access-denied");
        assert!(matches!(decide(Role::Manager, edit), Ok(Action::Write(_))));
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        let role = Role::Manager;
        assert_eq!(tag(role, "<commit/>"), "operation-not-supported");
        assert_eq!(tag(role, "<get-config><source><candidate/></source></get-config>"), "invalid-value");
        assert_eq!(tag(role, "<get-config/>"), "missing-element");
        assert_eq!(tag(role, "<get><filter type='xpath' select='/'/></get>"), "operation-not-supported");
        assert_eq!(tag(role, "<edit-config><target><running/></target></edit-config>"), "missing-element");
        assert_eq!(tag(role, ""), "malformed-message");
        assert!(matches!(decide(role, "<close-session/>"), Ok(Action::Close)));
    }

    #[test]
    fn malformed_requests_are_answered_as_the_standard_says() {
        assert_eq!(Request::parse(b"<rpc").unwrap_err().tag, "malformed-message");
        assert_eq!(Request::parse(b"<hello/>").unwrap_err().tag, "malformed-message");
        let request = Request::parse(format!("<rpc xmlns='{NETCONF}'><get/></rpc>").as_bytes()).unwrap();
        assert_eq!(request.decide(Role::Collector, &[]).unwrap_err().tag, "missing-attribute");
    }

    #[test]
    fn replies_are_read_by_the_collector() {
        use collector::wire::{ReplyError, parse_reply};
        let error = OperationError::new("invalid-value", "a < b").at("/x[id='1']").about("x");
        let text = error_reply(Some("4"), &error);
        let Err(ReplyError::Refused { errors, .. }) = parse_reply(text.into_bytes(), 4) else {
            panic!("not refused")
        };
        assert_eq!(errors[0].to_string(), "invalid-value: a < b at /x[id='1']");
        let tree = [StationPlan { seed: 1, station: 1, stations: 1, cells: 1, west: 0 }.configuration()];
        assert!(parse_reply(data_reply(Some("5"), &tree).into_bytes(), 5).is_ok());
    }
}
