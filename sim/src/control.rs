//! Faults on request: one JSON object per line over a Unix socket, one per line back.
//!
//! `{"station":3,"fault":"garbage"}` → `{"ok":true}`; `{"list":true}` →
//! `{"ok":true,"stations":[{"station":3,"fault":"garbage"}]}`; anything else → `{"ok":false,"error":"…"}`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::faults::Fault;
use crate::station::Station;

/// The longest line that is read.
const MAX_LINE: u64 = 4096;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum ControlRequest {
    /// Make a station misbehave, or behave again.
    Set {
        /// The station's number.
        station: usize,
        /// What is wrong from now on.
        fault: Fault,
    },
    /// Tell what is wrong with each.
    List {
        /// True; it names the request.
        list: bool,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlReply {
    /// Whether the request was carried out.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The stations served, for a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stations: Option<Vec<StationFault>>,
}

/// A station and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationFault {
    /// The station's number.
    pub station: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// Where a process listens: `control.sock`, or `control-0003.sock` for one that serves station 3 alone.
pub fn socket_path(dir: &Path, only: Option<usize>) -> PathBuf {
    match only {
        Some(station) => dir.join(format!("control-{station:04}.sock")),
        None => dir.join("control.sock"),
    }
}

/// Opens the socket; one left by a process that was killed is replaced.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Answers requests until dropped.
pub async fn serve(listener: UnixListener, stations: Vec<Arc<Station>>) -> io::Result<()> {
    let stations: Arc<[Arc<Station>]> = stations.into();
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                clients.spawn(serve_client(stream, Arc::clone(&stations)));
            }
            Some(ended) = clients.join_next() => {
                if let Ok(Err(error)) = ended {
                    tracing::debug!(%error, "A control connection broke");
                }
            }
        }
    }
}

async fn serve_client(stream: UnixStream, stations: Arc<[Arc<Station>]>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        if (&mut reader).take(MAX_LINE).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut reply = serde_json::to_vec(&answer(&line, &stations))?;
        reply.push(b'\n');
        writer.write_all(&reply).await?;
    }
}

fn answer(line: &str, stations: &[Arc<Station>]) -> ControlReply {
    let refused = |error: String| ControlReply { ok: false, error: Some(error), stations: None };
    let done = ControlReply { ok: true, error: None, stations: None };
    match serde_json::from_str(line) {
        Ok(ControlRequest::Set { station, fault }) => {
            match stations.iter().find(|served| served.number == station) {
                Some(found) => {
                    found.set_fault(fault);
                    done
                }
                None => refused(format!("station {station} is not served here")),
            }
        }
        Ok(ControlRequest::List { list: true }) => {
            let all = stations.iter().map(|s| StationFault { station: s.number, fault: s.fault() }).collect();
            ControlReply { stations: Some(all), ..done }
        }
        Ok(ControlRequest::List { list: false }) => refused("list must be true".to_owned()),
        Err(_) => refused("expected {\"station\":N,\"fault\":\"…\"} or {\"list\":true}".to_owned()),
    }
}

/// Sends one request and waits for the answer.
pub async fn request(path: &Path, request: &ControlRequest) -> io::Result<ControlReply> {
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).await?;
    Ok(serde_json::from_str(&reply)?)
}
