//! The read of one station, from the first packet to a snapshot.

use std::fmt::Write as _;
use std::sync::Arc;

use model::profile::WithDefaults as Mode;
use model::{Digest, Dn, Finding, Profile, Snapshot};

use super::{Collected, LastReply, Previous, Reading, StationPlan, SweepOptions};
use crate::reader::{ReadContext, ReadError, read_xml_again};
use crate::schema::SchemaTable;
use crate::session::{Poll, PollError, Selection, poll};
use crate::validation::{Found, Schemas};
use crate::wire::hello::Capabilities;
use crate::wire::rpc::{SubtreeFilter, WithDefaults};
use crate::wire::xml::{XmlError, escape};
use crate::wire::{BASE_NAMESPACE, DataReply};

/// Replies larger than this are parsed beside the tasks that talk to stations.
const PARSE_INLINE: usize = 64 * 1024;

/// Why a station gave nothing that may be used.
#[derive(Debug, thiserror::Error)]
enum StationError {
    #[error("the profile's filter is no XML; hint: check the element names under `filter`")]
    Profile(#[source] XmlError),
    #[error(transparent)]
    Poll(#[from] PollError),
    #[error("unreadable configuration")]
    Read(#[from] ReadError),
    #[error(
        "{missing} of {previous} objects were gone and a second read disagrees; hint: the station is busy or restarting, the next round reads it again"
    )]
    Unstable { missing: usize, previous: usize },
    /// Reading it as without would make changes of what is only spelled otherwise, and fix verdicts on them.
    #[error(
        "{0}; it was read by its schema before and cannot be compared without; hint: the next round tries again, `collection.schemas` with `from: folder` asks no station"
    )]
    Schema(String),
    #[error("the reader failed; hint: the collector's log says where, please report it")]
    Internal,
}

impl StationError {
    fn reason(&self) -> &'static str {
        match self {
            StationError::Profile(_) => "profile",
            StationError::Poll(error) => error.reason(),
            StationError::Read(error) => error.reason(),
            StationError::Unstable { .. } => "unstable",
            StationError::Schema(_) => "schema-unavailable",
            StationError::Internal => "internal",
        }
    }

    fn into_reading(self) -> Reading {
        let reason = self.reason().to_owned();
        let mut detail = self.to_string();
        let mut source = std::error::Error::source(&self);
        while let Some(cause) = source {
            // Writing to a String cannot fail.
            let _ = write!(detail, ": {cause}");
            source = cause.source();
        }
        Reading::Failed { reason, detail }
    }
}

pub(super) async fn read(plan: &StationPlan, options: &SweepOptions) -> Reading {
    attempt(plan, options).await.unwrap_or_else(StationError::into_reading)
}

async fn attempt(plan: &StationPlan, options: &SweepOptions) -> Result<Reading, StationError> {
    let selection = selection(&plan.profile).map_err(StationError::Profile)?;
    let Poll { reply, hello } = poll(&plan.target, &options.limits, &selection).await?;
    let raw = Raw::of(reply);
    let schema = Schema::find(plan, options, &hello.capabilities).await;
    let context =
        ReadContext { schema: schema.table.as_deref(), ..ReadContext::new(&plan.profile, &plan.element) };
    let interpretation = context.interpretation();
    if let Some(why) = schema.unavailable()
        && plan
            .previous
            .as_ref()
            .is_some_and(|last| !last.is_schemaless() && last.snapshot.interpretation() != interpretation)
    {
        return Err(StationError::Schema(why.message.clone()));
    }
    let comparable =
        plan.previous.as_ref().filter(|previous| previous.snapshot.interpretation() == interpretation);
    if comparable.is_some_and(|previous| previous.raw_digest == raw.digest)
        && !schema.says_something_new(plan, &raw.digest)
    {
        return Ok(Reading::Unchanged { raw_digest: raw.digest, fresh: None });
    }
    let mut collected = raw.read(plan, options, &schema, context.fills).await?;
    if let Some(previous) = &plan.previous {
        let before = previous.snapshot.objects().len();
        let missing = missing(&previous.snapshot, &collected.snapshot);
        if options.mass_deletion.is_some_and(|rule| rule.applies(missing, before)) {
            let again = poll(&plan.target, &options.limits, &selection).await?;
            let again = Raw::of(again.reply).read(plan, options, &schema, context.fills).await?;
            if !same_objects(&collected.snapshot, &again.snapshot) {
                return Err(StationError::Unstable { missing, previous: before });
            }
            collected = Collected { confirmed_deletion: true, ..again };
        }
    }
    if comparable.is_none() {
        collected.before = before(plan, options, &schema).await;
    }
    schema.check(&plan.element, &mut collected).await;
    let collected = Box::new(collected);
    if comparable.is_some_and(|previous| previous.snapshot.root() == collected.snapshot.root()) {
        return Ok(Reading::Unchanged { raw_digest: collected.raw_digest, fresh: Some(collected) });
    }
    Ok(Reading::Collected(collected))
}

/// The last reply under this round's interpretation.
async fn before(plan: &StationPlan, options: &SweepOptions, schema: &Schema<'_>) -> Option<Snapshot> {
    let previous = plan.previous.as_ref()?;
    // Memory is no further away than the store, and sound where a stored reply is damaged.
    let held = previous.reply.as_ref().filter(|reply| reply.digest == previous.raw_digest);
    let bytes = match held {
        Some(reply) => reply.bytes.to_vec(),
        None => options.replies.as_ref()?.last(&plan.element).await?,
    };
    let digest = Digest::of(&bytes);
    if digest != previous.raw_digest {
        return None;
    }
    // It may have been asked for in another mode of defaults than this round's, which fills in all by itself.
    match (Raw { bytes, digest, warnings: vec![] }).read(plan, options, schema, true).await {
        Ok(collected) => Some(collected.snapshot),
        Err(error) => {
            let element = &plan.element;
            tracing::warn!(target.id = %element, "The last reply of `{element}` cannot be read again: {error}");
            None
        }
    }
}

/// What this round reads a station's reply by and validates it against.
struct Schema<'a> {
    /// `None`: nothing is validated.
    found: Option<(&'a Schemas, Found)>,
    table: Option<Arc<SchemaTable>>,
    /// Why there is no table.
    unread: Option<Finding>,
}

impl<'a> Schema<'a> {
    async fn find(plan: &StationPlan, options: &'a SweepOptions, capabilities: &Capabilities) -> Schema<'a> {
        let mut schema = Schema { found: None, table: None, unread: None };
        let Some(schemas) = options.schemas.as_deref() else { return schema };
        let found = schemas.find(&plan.element, &plan.target, &options.limits, capabilities).await;
        if let Ok(station) = &found {
            match schemas.table(station).await {
                Ok(table) => schema.table = Some(table),
                Err(finding) => schema.unread = Some(finding),
            }
        }
        schema.found = Some((schemas, found));
        schema
    }

    /// Why there is no schema in this round though there may be one in the next.
    fn unavailable(&self) -> Option<&Finding> {
        match &self.found {
            Some((_, Err(finding))) => Some(finding),
            _ => self.unread.as_ref(),
        }
    }

    /// Whether a reply that came before was never held against this schema. Without a schema in this round, what was
    /// said of it stands; where nothing is validated any more, it goes.
    fn says_something_new(&self, plan: &StationPlan, raw: &Digest) -> bool {
        match &self.found {
            Some((schemas, Ok(schema))) => !schemas.was_checked(&plan.element, schema, raw),
            Some((_, Err(_))) => false,
            None => plan.previous.as_ref().is_some_and(Previous::has_validation_findings),
        }
    }

    /// Adds what there is to be said. The configuration stays as it is.
    async fn check(self, element: &Dn, collected: &mut Collected) {
        collected.snapshot.add_findings(self.unread);
        match self.found {
            None => {}
            Some((_, Err(finding))) => collected.snapshot.add_findings([finding]),
            Some((schemas, Ok(schema))) => {
                // Held here as well: a validation that fails takes no reply with it, and none is stored without.
                let document = Arc::clone(&collected.raw);
                let findings = schemas.check(element, schema, document, collected.raw_digest).await;
                collected.snapshot.add_findings(findings);
            }
        }
    }
}

fn missing(previous: &Snapshot, now: &Snapshot) -> usize {
    previous.objects().iter().filter(|object| now.object(object.dn()).is_none()).count()
}

fn same_objects<'a>(a: &'a Snapshot, b: &'a Snapshot) -> bool {
    let names = |snapshot: &'a Snapshot| snapshot.objects().iter().map(|object| object.dn());
    names(a).eq(names(b))
}

/// What the profile asks a station for.
fn selection(profile: &Profile) -> Result<Selection, XmlError> {
    let mut elements = String::new();
    for wanted in &profile.filter {
        // Writing to a String cannot fail.
        let _ = write!(elements, "<{} xmlns=\"{}\"/>", wanted.element, escape(&wanted.namespace));
    }
    let filter = match profile.filter.is_empty() {
        true => None,
        false => Some(SubtreeFilter::new(elements)?),
    };
    let with_defaults = profile.with_defaults.map(|mode| match mode {
        Mode::ReportAll => WithDefaults::ReportAll,
        Mode::Trim => WithDefaults::Trim,
        Mode::Explicit => WithDefaults::Explicit,
    });
    Ok(Selection { filter, with_defaults })
}

/// A reply's data as a document of its own: `<data>` with the namespace declarations in force there, then the
/// content byte for byte. Message-id and framing, which differ from reply to reply, are not in it; a prefix
/// that changed its meaning is.
pub fn raw_document(reply: DataReply) -> Vec<u8> {
    let mut head = String::from("<data");
    let mut end = "</data>".to_owned();
    if !reply.namespaces().iter().any(|(prefix, uri)| prefix.is_empty() && uri == BASE_NAMESPACE) {
        // Another or no default namespace is in force for the content: the wrapper is then named by prefix.
        let taken = |prefix: &str| reply.namespaces().iter().any(|(known, _)| known == prefix);
        let prefix = (0..).map(|n| format!("nc{n}")).find(|p| !taken(p)).unwrap_or_default();
        head = format!("<{prefix}:data xmlns:{prefix}=\"{BASE_NAMESPACE}\"");
        end = format!("</{prefix}:data>");
    }
    for (prefix, uri) in reply.namespaces() {
        let colon = if prefix.is_empty() { "" } else { ":" };
        // Writing to a String cannot fail.
        let _ = write!(head, " xmlns{colon}{prefix}=\"{}\"", escape(uri));
    }
    head.push('>');
    reply.into_content(head.as_bytes(), end.as_bytes())
}

/// A reply's data with its digest, and what the station remarked.
struct Raw {
    bytes: Vec<u8>,
    digest: Digest,
    warnings: Vec<String>,
}

impl Raw {
    fn of(reply: DataReply) -> Raw {
        let warnings = reply.warnings().iter().map(ToString::to_string).collect();
        let bytes = raw_document(reply);
        let digest = Digest::of(&bytes);
        Raw { bytes, digest, warnings }
    }

    async fn read(
        self,
        plan: &StationPlan,
        options: &SweepOptions,
        schema: &Schema<'_>,
        fills: bool,
    ) -> Result<Collected, StationError> {
        let Raw { bytes, digest, warnings } = self;
        let large = bytes.len() > PARSE_INLINE;
        let (profile, prefix) = (Arc::clone(&plan.profile), plan.element.clone());
        let (secret_key, limits, table) = (options.secret_key, options.read, schema.table.clone());
        let reply = plan.previous.as_ref().and_then(|previous| previous.reply.clone());
        let parse = move || {
            let schema = table.as_deref();
            let plain = ReadContext::new(&profile, &prefix);
            let context = ReadContext { schema, fills, secret_key, limits, ..plain };
            let earlier = reply.as_deref().map(LastReply::earlier);
            let (snapshot, pieces) = read_xml_again(&bytes, &context, earlier)?;
            Ok::<_, ReadError>((snapshot, pieces, bytes))
        };
        let (snapshot, pieces, raw) = if large {
            tokio::task::spawn_blocking(parse).await.map_err(|_| StationError::Internal)??
        } else {
            parse()?
        };
        let (raw, raw_digest, confirmed_deletion, before) = (Arc::new(raw), digest, false, None);
        Ok(Collected { snapshot, raw, raw_digest, pieces, warnings, confirmed_deletion, before })
    }
}
