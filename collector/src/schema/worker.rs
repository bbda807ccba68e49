//! The worker process: reads requests on standard input, answers on standard output, uses libyang between the two.
//!
//! It limits itself before it reads anything: no core file, no writing of files, so much memory, and for each request so
//! much processor time. The clock on the wall is its parent's. It ends when its input does.

use std::io::{self, BufReader, Write};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use yang5::context::Context;

use super::frame;
use super::protocol::{Answer, Outcome, Request, Task, VERSION};
use super::yang;

/// What one worker may use.
#[derive(Debug, Clone, Copy)]
pub struct WorkerBounds {
    /// Bytes of address space.
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
    limit(Resource::As, bounds.memory)?;
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
    while let Some((request, _body)) = frame::read(input, |request: &Request| request.body)? {
        before_each()?;
        let outcome = match request.version {
            VERSION => perform(request.task, &mut context),
            other => Outcome::Refused(format!("version {other} is not spoken here, {VERSION} is")),
        };
        frame::write(output, &Answer { version: VERSION, outcome, body: 0 }, b"")?;
    }
    Ok(())
}

fn perform(task: Task, context: &mut Option<Context>) -> Outcome {
    match task {
        Task::Load { folder, modules } => {
            // One schema at a time.
            *context = None;
            match yang::load(&folder, &modules) {
                Ok((new, loaded)) => {
                    *context = Some(new);
                    Outcome::Loaded(loaded)
                }
                Err(message) => Outcome::Refused(message),
            }
        }
    }
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
