//! libyang, as the worker uses it. Only [`super::worker`] may: what this calls is C.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Once;

use yang5::context::{Context, ContextFlags};
use yang5::data::{DataFormat, DataParserFlags, DataTree, DataValidationFlags};
use yang5::ffi;
use yang5::logging::LogCallback;

use super::library::ModuleId;
use super::protocol::{DocumentFormat, Invalid, LoadFault, Loaded, LoadedModule, Wanted};

/// Characters of a message that are passed on: it may quote a device.
const MAX_MESSAGE: usize = 500;

/// Messages kept of one attempt; the first ones tell the cause.
const MAX_MESSAGES: usize = 64;

/// What libyang said.
struct Message {
    text: String,
    schema_path: Option<String>,
    data_path: Option<String>,
    line: Option<u64>,
}

thread_local! {
    /// What it said on this thread since [`heard`].
    static MESSAGES: RefCell<Vec<Message>> = const { RefCell::new(Vec::new()) };
    /// Whether it was short of memory since [`listen_anew`].
    static WITHOUT_MEMORY: Cell<bool> = const { Cell::new(false) };
}

/// What the library said since this was asked last.
fn heard() -> Vec<Message> {
    MESSAGES.take()
}

/// Before each request.
pub(super) fn listen_anew() {
    WITHOUT_MEMORY.set(false);
}

/// Whether the library was short of memory since then, `LY_EMEM` by its own count.
pub(super) fn is_without_memory() -> bool {
    WITHOUT_MEMORY.get()
}

/// How the library begins what it says with `LY_EMEM`.
const OF_MEMORY: &str = "Memory allocation failed";

/// Whether it spoke with `LY_EMEM`, a code that it does not pass on. Its own words on that (`LOGMEM`) name a function of
/// its own and no place; the words of a module, in an `error-message` for instance, have the place where they apply.
fn is_of_memory(text: &str, has_place: bool) -> bool {
    let function =
        text.strip_prefix(OF_MEMORY).and_then(|rest| rest.strip_prefix(" (")?.strip_suffix("())."));
    let name = |function: &str| function.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    !has_place && function.is_some_and(name)
}

struct Listener;

impl LogCallback for Listener {
    fn log<'a>(
        &'a self,
        level: ffi::LY_LOG_LEVEL::Type,
        msg: Option<Cow<'a, str>>,
        data_path: Option<Cow<'a, str>>,
        schema_path: Option<Cow<'a, str>>,
        line: u64,
    ) {
        if level == ffi::LY_LOG_LEVEL::LY_LLERR
            && let Some(text) = &msg
            && is_of_memory(text, data_path.is_some() || schema_path.is_some() || line > 0)
        {
            WITHOUT_MEMORY.set(true);
        }
        let mut messages = MESSAGES.take();
        if level == ffi::LY_LOG_LEVEL::LY_LLERR && messages.len() < MAX_MESSAGES {
            messages.push(Message {
                text: bounded(&msg.unwrap_or_default()),
                schema_path: schema_path.map(|path| bounded(&path)),
                data_path: data_path.map(|path| bounded(&path)),
                line: (line > 0).then_some(line),
            });
        }
        MESSAGES.set(messages);
    }
}

/// One line of printable text.
pub(super) fn bounded(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_MESSAGE).collect()
}

fn new_context(folder: &Path) -> Result<Context, String> {
    static LISTEN: Once = Once::new();
    let flags = ContextFlags::NO_YANGLIBRARY | ContextFlags::DISABLE_SEARCHDIR_CWD;
    let mut context = Context::new(flags).map_err(|e| e.to_string())?;
    // Creating the first context sets the log's options, so this comes after it.
    LISTEN.call_once(|| {
        context.set_log_level_error();
        let _ = context.init_logger(Listener);
    });
    context.set_searchdir(folder).map_err(|e| e.to_string())?;
    Ok(context)
}

/// Compiles as many of `wanted` as can be.
///
/// All at once, because one by one is twenty times slower. What a fault names is left out, and the rest tried again; where
/// it names nothing that could be left out, one by one.
pub(super) fn load(folder: &Path, wanted: &[Wanted]) -> Result<(Context, Loaded), String> {
    let mut remaining: Vec<&Wanted> = wanted.iter().collect();
    let mut faults: Vec<LoadFault> = vec![];
    loop {
        let mut context = new_context(folder)?;
        let Err(failed) = batch(&mut context, &remaining) else {
            let modules = loaded(&context);
            return Ok((context, Loaded { modules, faults }));
        };
        let fault = fault();
        let culprit = failed.or_else(|| remaining.iter().position(|wanted| wanted.id.name == fault.module));
        match culprit {
            Some(index) => {
                let out = remaining.remove(index);
                note(&mut faults, fault, &out.id, failed.is_some());
            }
            None => return one_by_one(folder, &remaining, faults),
        }
    }
}

/// On failure, the module that could not be read, if it was one and not the compilation of all.
fn batch(context: &mut Context, wanted: &[&Wanted]) -> Result<(), Option<usize>> {
    drop(heard());
    let explicit = ContextFlags::from_bits_retain(ffi::LY_CTX_EXPLICIT_COMPILE);
    context.set_options(explicit).map_err(|_| None)?;
    for (index, wanted) in wanted.iter().enumerate() {
        load_one(context, wanted).map_err(|()| Some(index))?;
    }
    // Loading none compiles what is there.
    context.load_modules(&[]).map_err(|_| None)
}

fn one_by_one(
    folder: &Path,
    wanted: &[&Wanted],
    mut faults: Vec<LoadFault>,
) -> Result<(Context, Loaded), String> {
    let mut context = new_context(folder)?;
    for wanted in wanted {
        drop(heard());
        if load_one(&mut context, wanted).is_err() {
            note(&mut faults, fault(), &wanted.id, true);
        }
    }
    let modules = loaded(&context);
    Ok((context, Loaded { modules, faults }))
}

fn load_one(context: &mut Context, wanted: &Wanted) -> Result<(), ()> {
    let features: Vec<&str> = match &wanted.features {
        Some(features) => features.iter().map(String::as_str).collect(),
        None => vec!["*"],
    };
    let loaded = context.load_module(&wanted.id.name, wanted.id.revision.as_deref(), &features);
    loaded.map(drop).map_err(drop)
}

/// One fault for each cause, with everything that it affects.
fn note(faults: &mut Vec<LoadFault>, mut fault: LoadFault, out: &ModuleId, by_name: bool) {
    if by_name && fault.module.is_empty() {
        fault.module.clone_from(&out.name);
    }
    let same = |known: &&mut LoadFault| {
        (&known.module, known.line, &known.message) == (&fault.module, fault.line, &fault.message)
    };
    match faults.iter_mut().find(same) {
        Some(known) => known.affects.push(out.to_string()),
        None => {
            fault.affects.push(out.to_string());
            faults.push(fault);
        }
    }
}

/// The cause, from what libyang said since the attempt began: the innermost error comes first.
fn fault() -> LoadFault {
    let messages = heard();
    let first = messages.first();
    let parsed = messages.iter().find_map(|message| parsed_module(&message.text));
    let path = messages.iter().find_map(|m| path_module(m.schema_path.as_deref()?));
    LoadFault {
        module: parsed.or(path).unwrap_or_default().to_owned(),
        line: first.and_then(|message| message.line),
        message: match first {
            Some(Message { text, schema_path: Some(path), .. }) => bounded(&format!("{text} (at {path})")),
            Some(message) => message.text.clone(),
            None => "the YANG library gives no reason".to_owned(),
        },
        affects: vec![],
    }
}

/// `Parsing module "x" failed.`
fn parsed_module(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("Parsing ")?;
    let rest = rest.strip_prefix("module \"").or_else(|| rest.strip_prefix("submodule \""))?;
    rest.split_once('"').map(|(name, _)| name)
}

/// `/x:container/y:leaf`
fn path_module(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once(':').map(|(name, _)| name)
}

fn loaded(context: &Context) -> Vec<LoadedModule> {
    let mut modules: Vec<_> = context
        .modules(false)
        .map(|module| LoadedModule {
            id: ModuleId { name: module.name().to_owned(), revision: module.revision().map(str::to_owned) },
            namespace: module.namespace().to_owned(),
            implemented: module.is_implemented(),
        })
        .collect();
    modules.sort_by(|a, b| a.id.cmp(&b.id));
    modules
}

/// The first fault of a configuration, if it has one.
///
/// Strict, or unknown nodes would be dropped without a word; without state, because replies to get-config have none.
pub(super) fn validate(context: &Context, document: &[u8], format: DocumentFormat) -> Option<Invalid> {
    drop(heard());
    let parse = DataParserFlags::STRICT | DataParserFlags::NO_STATE;
    let check = DataValidationFlags::PRESENT | DataValidationFlags::NO_STATE;
    let error = DataTree::parse_string(context, document, data_format(format), parse, check).err()?;
    let messages = heard();
    let first = messages.first();
    // The library keeps the last error that is not of `LY_EMEM`. Some of these have a place, and then it kept none now.
    let kept = |message: &Message| error.msg.as_deref().is_some_and(|kept| bounded(kept) == message.text);
    if first.is_some_and(|message| message.text.starts_with(OF_MEMORY)) && !messages.iter().any(kept) {
        WITHOUT_MEMORY.set(true);
    }
    Some(Invalid {
        message: first
            .map_or_else(|| "the YANG library gives no reason".to_owned(), |m| without_values(&m.text)),
        path: first
            .and_then(|m| m.data_path.as_deref().or(m.schema_path.as_deref()))
            .map(without_leaf_list_values),
        line: first.and_then(|m| m.line),
    })
}

pub(super) fn data_format(format: DocumentFormat) -> DataFormat {
    match format {
        DocumentFormat::Xml => DataFormat::XML,
        DocumentFormat::Json => DataFormat::JSON,
    }
}

/// What libyang says begins so where all that it quotes are names of the schema.
const NAMES_ONLY: [&str; 7] =
    ["Mandatory ", "Node ", "Missing ", "Too many ", "Too few ", "Unexpected data ", "List instance "];

/// A message without the values that it quotes: they may be secret, and are the station's.
fn without_values(text: &str) -> String {
    if NAMES_ONLY.iter().any(|start| text.starts_with(start)) {
        return text.to_owned();
    }
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if first < last => format!("{}…{}", &text[..first], &text[last + 1..]),
        (Some(first), _) => format!("{}…", &text[..first]),
        _ => text.to_owned(),
    }
}

/// `/a:b[.='value']` without the value; the keys of lists are names and stay.
fn without_leaf_list_values(path: &str) -> String {
    match path.find("[.=") {
        Some(at) => path[..at].to_owned(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_own_words_on_memory_have_no_place() {
        let own = "Memory allocation failed (lys_parse_in()).";
        assert!(is_of_memory(own, false));
        assert!(!is_of_memory(own, true), "somebody's words, where they apply");
        for other in ["Memory allocation failed.", "Memory allocation failed (a b()).", "x", ""] {
            assert!(!is_of_memory(other, false), "{other}");
        }
    }

    #[test]
    fn messages_keep_names_and_lose_values() {
        for (text, kept) in [
            (
                "Mandatory node \"name\" instance does not exist.",
                "Mandatory node \"name\" instance does not exist.",
            ),
            (
                "Unsatisfied range - value \"5000\" is out of the allowed range.",
                "Unsatisfied range - value … is out of the allowed range.",
            ),
            ("Unsatisfied pattern - \"a\"b\" does not conform to \"[a-z]\".", "Unsatisfied pattern - …."),
            ("Invalid value \"x", "Invalid value …"),
        ] {
            assert_eq!(without_values(text), kept);
        }
        assert_eq!(without_leaf_list_values("/a:b[k='1']/c[.='secret']"), "/a:b[k='1']/c");
    }
}
