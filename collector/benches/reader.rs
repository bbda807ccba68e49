//! Speed of the reader on a document like a station's: bytes to objects with digests, one core.
//!
//! `cargo bench -p ranproof-collector --profile dev --bench reader`. The peer in the same run is quick-xml's
//! bare event loop, which resolves no namespace and keeps nothing. Files named after `--` are measured too.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Processor time of this thread where the system tells it, else the time of day: others use the machine too.
struct Stopwatch(Instant, Option<u64>);

impl Stopwatch {
    fn start() -> Stopwatch {
        Stopwatch(Instant::now(), on_cpu())
    }

    fn elapsed(&self) -> Duration {
        match (self.1, on_cpu()) {
            (Some(then), Some(now)) => Duration::from_nanos(now - then),
            _ => self.0.elapsed(),
        }
    }
}

/// Nanoseconds this thread has run.
fn on_cpu() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

use model::{Dn, Profile, diff};
use ranproof_collector::reader::{ReadContext, read_xml};

const ROUNDS: usize = 9;

/// A cell with `count` leaves, two structures, and a carrier beside it. `indent` prints it for people.
fn cell(out: &mut String, number: usize, prefixed: bool, indent: bool) {
    let mut number_state = number as u64;
    let mut next = move || {
        number_state = number_state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        number_state >> 40
    };
    let newline = if indent { "\n        " } else { "" };
    for (class, count) in
        [("NRCellDU", 40usize), ("NRSectorCarrier", 8), ("NRCellRelation", 8), ("NRCellRelation", 8)]
    {
        let (p, declaration) = match prefixed {
            true => ("n:", format!(" xmlns:n=\"urn:3gpp:sa5:_3gpp-nr-nrm-{}\"", class.to_lowercase())),
            false => ("", format!(" xmlns=\"urn:3gpp:sa5:_3gpp-nr-nrm-{}\"", class.to_lowercase())),
        };
        let id = format!("{}-{}", number, next());
        write!(out, "{newline}<{p}{class}{declaration}>{newline}<{p}id>{id}</{p}id>{newline}<{p}attributes>")
            .expect("text");
        for leaf in 0..count {
            let name = ["administrativeState", "nRPCI", "arfcnDL", "ssbPeriodicity", "userLabel"][leaf % 5];
            write!(out, "{newline}  <{p}{name}{leaf}>{}</{p}{name}{leaf}>", next()).expect("text");
        }
        for plmn in 0..2 {
            write!(out, "{newline}  <{p}pLMNInfoList>{newline}    <{p}mcc>460</{p}mcc>{newline}    <{p}mnc>0{plmn}</{p}mnc>{newline}    <{p}sst>1</{p}sst>{newline}  </{p}pLMNInfoList>").expect("text");
        }
        write!(out, "{newline}</{p}attributes>{newline}</{p}{class}>").expect("text");
    }
}

fn document(size: usize, prefixed: bool, indent: bool) -> String {
    let mut out = String::from(
        "<rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"1\"><data><ManagedElement xmlns=\"urn:me\"><id>g1</id><attributes/>",
    );
    for number in 0.. {
        if out.len() >= size {
            break;
        }
        cell(&mut out, number, prefixed, indent);
    }
    out.push_str("</ManagedElement></data></rpc-reply>");
    out
}

fn events(text: &str) -> usize {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut count = 0;
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return count,
            Ok(event) => {
                black_box(event);
                count += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Median of interleaved rounds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn main() {
    let profile = Profile::plain("bench");
    let prefix: Dn = "SubNetwork=s,ManagedElement=g1".parse().expect("a name");
    let context = ReadContext::new(&profile, &prefix);
    println!("{:28} {:>8} {:>9} {:>12} {:>12}", "document", "objects", "bytes", "reader MB/s", "quick-xml");
    let mut documents = vec![
        ("1 MB, indented".to_owned(), document(1_000_000, false, true)),
        ("1 MB, compact".to_owned(), document(1_000_000, false, false)),
        ("1 MB, indented, prefixed".to_owned(), document(1_000_000, true, true)),
        ("147 KB, indented".to_owned(), document(147_000, false, true)),
    ];
    for path in std::env::args().skip(1).filter(|argument| !argument.starts_with('-')) {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        documents.push((path.rsplit('/').next().unwrap_or_default().to_owned(), text));
    }
    for (name, text) in documents {
        let expected = read_xml(text.as_bytes(), &context).expect("a readable document");
        let passes = 20_000_000 / text.len();
        let (mut ours, mut theirs) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            let start = Stopwatch::start();
            for _ in 0..passes {
                let snapshot = read_xml(black_box(text.as_bytes()), &context).expect("a readable document");
                assert_eq!(snapshot.root(), expected.root());
            }
            ours.push(start.elapsed());
            let start = Stopwatch::start();
            for _ in 0..passes {
                black_box(events(black_box(&text)));
            }
            theirs.push(start.elapsed());
        }
        let rate = |times: &mut [Duration]| (text.len() * passes) as f64 / median(times) / 1e6;
        let (ours, theirs) = (rate(&mut ours), rate(&mut theirs));
        println!("{name:28} {:>8} {:>9} {ours:>12.0} {theirs:>12.0}", expected.objects().len(), text.len());
        assert!(diff(&expected, &expected).expect("one interpretation").is_empty());
    }
}
