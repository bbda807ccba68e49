//! A station's modules: which it runs, and their texts.

use crate::schema::{HeadError, Library, ModuleId, read_head};
use crate::wire::hello::Capabilities;
use crate::wire::library::{LIBRARY_NAMESPACE, LibraryError, LibrarySource, hello_library, read_library};
use crate::wire::rpc::{Request, SubtreeFilter};
use crate::wire::{DataReply, ReplyError};

use super::target::Address;
use super::{FetchError, Session, error};

/// The longest list of modules that is read; netopeer2 with 300 modules sends 150 KB.
const MAX_LIBRARY_BYTES: usize = 8 * 1024 * 1024;

/// The longest text of a module that is read; the longest known here has 235 KB.
const MAX_SCHEMA_BYTES: usize = 4 * 1024 * 1024;

/// Why a station's modules are not known.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The request failed.
    #[error("{address}: {what} not fetched ({clause})")]
    Fetch {
        /// The station.
        address: Address,
        /// What was asked for.
        what: String,
        /// Where it is written how to ask.
        clause: &'static str,
        /// What happened instead.
        #[source]
        error: FetchError,
    },
    /// The list is none.
    #[error("{address}: list of modules ({clause})")]
    Library {
        /// The station.
        address: Address,
        /// Where it is written what it looks like.
        clause: &'static str,
        /// What is wrong.
        #[source]
        error: LibraryError,
    },
    /// The answer is not what was asked for.
    #[error(
        "{address}: asked for module `{asked}`, the station answered `{got}` (RFC 6022 §3.1); hint: its list of modules and its texts disagree, nothing of this set is used"
    )]
    Another {
        /// The station.
        address: Address,
        /// What its list names.
        asked: ModuleId,
        /// What came.
        got: ModuleId,
    },
    /// The answer is no module.
    #[error("{address}: the text of module `{asked}` is no YANG module (RFC 6022 §3.1)")]
    NotAModule {
        /// The station.
        address: Address,
        /// What its list names.
        asked: ModuleId,
        /// Where reading stopped.
        #[source]
        error: HeadError,
    },
}

impl SchemaError {
    /// A short stable word for records and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            SchemaError::Fetch { error, .. } => error.reason(),
            SchemaError::Library { .. } => "schema-list",
            SchemaError::Another { .. } => "schema-mismatch",
            SchemaError::NotAModule { .. } => "schema-text",
        }
    }

    /// The message with all its causes, on one line.
    pub fn full_message(&self) -> String {
        error::full_message(self)
    }
}

impl Session {
    /// Reads which modules the station runs: from its YANG library where it has one (RFC 8525, else RFC 7895),
    /// from its hello where it has none, refuses it, or shows this account an empty one.
    ///
    /// # Errors
    /// [`SchemaError`]; a list that is broken is an error and not passed over for another.
    pub async fn library(&mut self) -> Result<Library, SchemaError> {
        let from_hello = hello_library(self.capabilities());
        let Some(source) = advertised(self.capabilities()) else {
            return from_hello.map_err(|error| self.unusable(LibrarySource::Hello, error));
        };
        match self.read_library(source).await {
            Err(error) if has_nothing(&error) => from_hello.map_err(|_| error),
            outcome => outcome,
        }
    }

    /// Reads the text of a module or submodule (RFC 6022 §3.1), which must be the one asked for.
    ///
    /// # Errors
    /// [`SchemaError`]; the name and, where one is asked for, the newest revision in the text are compared.
    pub async fn get_schema(&mut self, id: &ModuleId) -> Result<String, SchemaError> {
        let request = Request::GetSchema { identifier: id.name.clone(), version: id.revision.clone() };
        let clause = "RFC 6022 §3.1";
        let failed = |address: &Address, error: FetchError| {
            let (address, what) = (address.clone(), format!("text of module `{id}`"));
            SchemaError::Fetch { address, what, clause, error }
        };
        let reply = self.bounded(&request, MAX_SCHEMA_BYTES).await;
        let address = self.link.address();
        let reply = reply.map_err(|error| failed(address, error))?;
        let text = reply.text().map_err(|error| failed(address, ReplyError::Xml(error).into()))?;
        let head = read_head(&text).map_err(|error| {
            let (address, asked) = (address.clone(), id.clone());
            SchemaError::NotAModule { address, asked, error }
        })?;
        if head.id.name != id.name || id.revision.is_some() && head.id.revision != id.revision {
            let (address, asked) = (address.clone(), id.clone());
            return Err(SchemaError::Another { address, asked, got: head.id });
        }
        Ok(text)
    }

    async fn read_library(&mut self, source: LibrarySource) -> Result<Library, SchemaError> {
        let filter = source.element().map(|name| SubtreeFilter::element(name, LIBRARY_NAMESPACE));
        let reply = self.bounded(&Request::Get { filter }, MAX_LIBRARY_BYTES).await;
        let reply = reply.map_err(|error| {
            let (address, what) = (self.link.address().clone(), "list of modules".to_owned());
            SchemaError::Fetch { address, what, clause: source.clause(), error }
        })?;
        read_library(reply.bytes(), source).map_err(|error| self.unusable(source, error))
    }

    /// A request whose reply is shorter than others may be.
    async fn bounded(&mut self, request: &Request, bytes: usize) -> Result<DataReply, FetchError> {
        self.link.set_limit(bytes.min(self.max_reply_bytes));
        let reply = self.data(request).await;
        self.link.set_limit(self.max_reply_bytes);
        reply
    }

    fn unusable(&self, source: LibrarySource, error: LibraryError) -> SchemaError {
        SchemaError::Library { address: self.link.address().clone(), clause: source.clause(), error }
    }
}

/// The library that the hello announces.
fn advertised(capabilities: &Capabilities) -> Option<LibrarySource> {
    if capabilities.yang_library("1.1") {
        Some(LibrarySource::Rfc8525)
    } else if capabilities.yang_library("1.0") || capabilities.has(LIBRARY_NAMESPACE) {
        Some(LibrarySource::Rfc7895)
    } else {
        None
    }
}

/// Whether the library was withheld rather than broken: then the hello may still tell.
fn has_nothing(error: &SchemaError) -> bool {
    matches!(
        error,
        SchemaError::Library { error: LibraryError::Nothing, .. }
            | SchemaError::Fetch { error: FetchError::Reply(ReplyError::Refused { .. }), .. }
    )
}
