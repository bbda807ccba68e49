//! The worker process: reads requests on standard input, answers on standard output, uses libyang between the two.
//!
//! It limits itself before it reads anything: no core file, no writing of files, so much memory, and for each request so
//! much processor time. The clock on the wall is its parent's. It ends when its input does.

use std::io::{self, BufReader, Write};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use yang5::context::Context;

use super::compile;
use super::frame;
use super::protocol::{Answer, Outcome, Request, Task, VERSION};
use super::yang;

/// What one worker may use.
#[derive(Debug, Clone, Copy)]
pub struct WorkerBounds {
    /// Bytes of address space beyond what the program takes by itself, of which its allocator reserves a lot unused.
    pub memory: u64,
    /// Processor time for one request.
    pub cpu: Duration,
}

impl Default for WorkerBounds {
    /// Eight times what the largest reply needs, three times what loading the largest set one by one does.
    fn default() -> WorkerBounds {
        WorkerBounds { memory: 2 << 30, cpu: Duration::from_secs(60) }
    }
}

/// Serves until the input ends.
///
/// # Errors
/// If a limit cannot be set or a pipe breaks; the parent sees the process end.
pub fn run(bounds: WorkerBounds) -> io::Result<()> {
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::As, mapped()?.saturating_add(bounds.memory))?;
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = io::stdout().lock();
    serve(&mut input, &mut output, || allow_cpu(bounds.cpu))
}

fn serve(
    input: &mut impl io::BufRead,
    output: &mut impl Write,
    before_each: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let mut context = None;
    while let Some((request, body)) = frame::read(input, |request: &Request| request.body)? {
        before_each()?;
        let (outcome, body) = match request.version {
            VERSION => perform_with_memory(request.task, &body, &mut context),
            other => refused(format!("version {other} is not spoken here, {VERSION} is")),
        };
        frame::write(output, &Answer { version: VERSION, outcome, body: body.len() }, &body)?;
    }
    Ok(())
}

fn refused(why: impl Into<String>) -> (Outcome, Vec<u8>) {
    (Outcome::Refused(why.into()), vec![])
}

/// What libyang says without memory is about neither modules nor document.
fn perform_with_memory(task: Task, body: &[u8], context: &mut Option<Context>) -> (Outcome, Vec<u8>) {
    yang::listen_anew();
    let answer = perform(task, body, context);
    if yang::is_without_memory() { (Outcome::WithoutMemory, vec![]) } else { answer }
}

fn perform(task: Task, body: &[u8], context: &mut Option<Context>) -> (Outcome, Vec<u8>) {
    match task {
        Task::Load { folder, modules } => {
            // One schema at a time.
            *context = None;
            match yang::load(&folder, &modules) {
                Ok((new, loaded)) => {
                    *context = Some(new);
                    (Outcome::Loaded(loaded), vec![])
                }
                Err(message) => refused(message),
            }
        }
        Task::Table => match context.as_ref().ok_or("no schema is loaded".to_owned()).and_then(table) {
            Ok(table) => (Outcome::Table, table),
            Err(message) => refused(message),
        },
        Task::Validate { format } => match context {
            Some(context) => (Outcome::Validated(yang::validate(context, body, format)), vec![]),
            None => refused("no schema is loaded"),
        },
    }
}

fn table(context: &Context) -> Result<Vec<u8>, String> {
    let table = serde_json::to_vec(&compile::compile(context)?).map_err(|e| e.to_string())?;
    if table.len() > frame::MAX_BODY {
        return Err("the schema is too large".to_owned());
    }
    Ok(table)
}

/// Bytes of this process's address space.
fn mapped() -> io::Result<u64> {
    // In kB whatever the size of a page (proc(5)).
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse().ok());
    let kilobytes: u64 = size.ok_or_else(|| io::Error::other("/proc/self/status has no VmSize"))?;
    Ok(kilobytes.saturating_mul(1024))
}

/// Lowers a limit; one that is lower already stays.
fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })?)
}

/// Sets the limit on processor time anew: it counts from the start of the process.
fn allow_cpu(more: Duration) -> io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.unsigned_abs();
    let maximum = getrlimit(Resource::Cpu).maximum;
    let wanted = used + more.as_secs();
    let current = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(current), maximum })?)
}

#[cfg(test)]
mod tests {
    use super::super::corpus::corpus;
    use super::super::protocol::{DocumentFormat, Invalid};
    use super::super::ready::SchemaSet;
    use super::super::set::ModuleSet;
    use super::*;

    /// What the worker says of documents, all in this process.
    fn validate(set: &ModuleSet, documents: &[(&[u8], DocumentFormat)]) -> Vec<Option<Invalid>> {
        let set = SchemaSet::whole(set).unwrap();
        let mut input = vec![];
        let load = Task::Load { folder: set.folder().to_owned(), modules: set.modules().to_vec() };
        frame::write(&mut input, &Request { version: VERSION, task: load, body: 0 }, b"").unwrap();
        for (document, format) in documents {
            let task = Task::Validate { format: *format };
            let request = Request { version: VERSION, task, body: document.len() };
            frame::write(&mut input, &request, document).unwrap();
        }
        let mut output = vec![];
        serve(&mut &input[..], &mut output, || Ok(())).unwrap();
        let mut output = &output[..];
        let mut answers = vec![];
        while let Some((answer, _)) = frame::read(&mut output, |answer: &Answer| answer.body).unwrap() {
            match answer.outcome {
                Outcome::Loaded(loaded) => assert_eq!(loaded.faults, vec![]),
                Outcome::Validated(invalid) => answers.push(invalid),
                Outcome::Table => panic!("nobody asked for a table"),
                Outcome::Refused(why) => panic!("{why}"),
                Outcome::WithoutMemory => panic!("there is memory"),
            }
        }
        answers
    }

    #[test]
    fn what_the_program_takes_by_itself_is_known() {
        let mapped = mapped().unwrap();
        // The code alone takes more, and no test that much.
        assert!((1 << 20..1 << 46).contains(&mapped), "{mapped} bytes");
    }

    #[test]
    fn the_first_fault_has_its_path_and_line_and_no_value() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/yang");
        let set = ModuleSet::from_folder(&folder).unwrap();
        let radio = |inside: &str| {
            format!("<radio xmlns=\"urn:ranproof:twin-radio\">\n<name>a</name>\n{inside}</radio>")
                .into_bytes()
        };
        let cases = [
            (radio("<max-power>045</max-power>"), None),
            (radio("<band xmlns:t=\"urn:ranproof:twin-types\">t:n78</band>"), None),
            (radio("<max-power>1999</max-power>"), Some(("/twin-radio:radio/max-power", 3))),
            (radio("<plmn>secret</plmn>"), Some(("/twin-radio:radio/plmn", 3))),
            (radio("<unknown>1</unknown>"), Some(("/twin-radio:radio", 3))),
            (
                radio("<carrier><number>1</number><width>x1</width></carrier>"),
                Some(("/twin-radio:radio/carrier[number='1']/width", 3)),
            ),
            (b"<radio xmlns=\"urn:ranproof:twin-radio\"/>".to_vec(), Some(("/twin-radio:radio", 1))),
        ];
        let documents: Vec<_> = cases.iter().map(|(text, _)| (&text[..], DocumentFormat::Xml)).collect();
        for ((document, expected), found) in cases.iter().zip(validate(&set, &documents)) {
            let text = String::from_utf8_lossy(document);
            assert_eq!(found.is_some(), expected.is_some(), "{text}: {found:?}");
            let (Some(found), Some((path, line))) = (found, expected) else { continue };
            assert!(found.path.as_deref().is_some_and(|p| p.starts_with(path)), "{text}: {found:?}");
            assert!(found.line.is_none_or(|found| found == *line), "{text}: {found:?}");
            let words = format!("{found:?}");
            assert!(!["1999", "secret", "x1"].iter().any(|value| words.contains(value)), "{words}");
        }
    }

    #[test]
    fn a_module_that_speaks_of_memory_is_not_short_of_it() {
        let mut set = ModuleSet::new();
        let words = ["Memory allocation failed (lyd_new()).", "Memory allocation failed."];
        let leaves = ["a", "b"].iter().zip(words).map(|(name, words)| {
            format!("leaf {name} {{ type string; must \"false()\" {{ error-message \"{words}\"; }} }}")
        });
        let leaves: String = leaves.collect();
        set.insert(format!("module m {{ namespace 'urn:m'; prefix m; container c {{ {leaves} }} }}"), "x");
        let documents = ["a", "b"].map(|name| format!("<c xmlns=\"urn:m\"><{name}>1</{name}></c>"));
        let documents = documents.each_ref().map(|text| (text.as_bytes(), DocumentFormat::Xml));
        for (answer, words) in validate(&set, &documents).into_iter().zip(words) {
            assert_eq!(answer.unwrap().message, words);
        }
    }

    /// Real stations are not always valid; each that is not says so, and those that are stay quiet.
    #[test]
    fn corpus_documents_are_valid_or_say_their_first_fault() {
        let Some((set, documents)) = corpus() else { return };
        let inputs: Vec<_> = documents.iter().map(|(_, bytes, format)| (&bytes[..], *format)).collect();
        let answers = validate(&set, &inputs);
        assert_eq!(answers.len(), documents.len());
        for ((path, ..), answer) in documents.iter().zip(&answers) {
            println!("{}: {answer:?}", path.file_name().unwrap().display());
        }
        let invalid: Vec<_> = answers.iter().flatten().collect();
        assert!(invalid.iter().all(|fault| fault.path.is_some() || fault.line.is_some()), "{invalid:?}");
        assert!(!invalid.is_empty() && invalid.len() < documents.len());
    }
}
