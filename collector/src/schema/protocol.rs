//! What the agent and its YANG worker say to each other.
//!
//! Each message is one line of JSON and, where it says so, that many bytes after it. Both ends are the same program;
//! the version is there so that a worker left over from another one is noticed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::library::ModuleId;

/// Version of this exchange.
pub const VERSION: u32 = 3;

/// A question to the worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What to do.
    pub task: Task,
    /// Bytes after this line.
    pub body: usize,
}

/// What the worker can do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Compile these modules; their texts are `<name>@<revision>.yang` in `folder`.
    Load {
        /// A folder that holds the texts and nothing else.
        folder: PathBuf,
        /// What to load; imports are found in the folder.
        modules: Vec<Wanted>,
    },
    /// Give the table of the schema that was loaded last.
    Table,
    /// Validate the body, a bare configuration, against the schema that was loaded last.
    Validate {
        /// How it is written.
        format: DocumentFormat,
    },
}

/// How a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentFormat {
    /// XML, without an envelope.
    Xml,
    /// RFC 7951.
    Json,
}

/// A module to load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wanted {
    /// Which one.
    pub id: ModuleId,
    /// The features that are on; all of them if not said.
    pub features: Option<Vec<String>>,
}

/// The worker's answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`].
    pub version: u32,
    /// What came out.
    pub outcome: Outcome,
    /// Bytes after this line.
    pub body: usize,
}

/// What came out of a task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Of [`Task::Load`].
    Loaded(Loaded),
    /// Of [`Task::Table`]: it is the body, in JSON.
    Table,
    /// Of [`Task::Validate`]: nothing, or the first fault.
    Validated(Option<Invalid>),
    /// The request made no sense to this worker.
    Refused(String),
    /// libyang was short of memory (its `LY_EMEM`): what it said is not about modules and document.
    WithoutMemory,
}

/// What loads and what does not.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Loaded {
    /// Modules that are in the schema.
    pub modules: Vec<LoadedModule>,
    /// Those that are not, and why.
    pub faults: Vec<LoadFault>,
}

/// A module in a compiled schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedModule {
    /// Name and revision.
    pub id: ModuleId,
    /// Its namespace.
    pub namespace: String,
    /// Whether it has data nodes here, or only lends its types.
    pub implemented: bool,
}

/// Why modules are not in the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadFault {
    /// The module in whose text the fault lies.
    pub module: String,
    /// Line in it, from 1.
    pub line: Option<u64>,
    /// What libyang says.
    pub message: String,
    /// Modules left out because of it.
    pub affects: Vec<String>,
}

/// The first reason why a configuration does not validate. It names places, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalid {
    /// What is wrong.
    pub message: String,
    /// The node, with its list keys.
    pub path: Option<String>,
    /// Line of the document, from 1.
    pub line: Option<u64>,
}
