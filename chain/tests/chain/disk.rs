//! A disk that fails: the node stops, acknowledges nothing more, and the restart finds all that was.

use std::io;
use std::sync::{Arc, Mutex};

use anchor::Hash;
use ranproof_chain::{Node, Status, SubmitError};
use redb::StorageBackend;

use super::world::{PATIENCE, alone, check_chain, toy};

/// Memory that plays a disk: what is written is there, what is synced survives.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    written: Vec<u8>,
    durable: Vec<u8>,
    syncs: u32,
    fault: Option<Fault>,
    fired: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The sync with this number fails and nothing of it reached the disk.
    Lost(u32),
    /// It fails, but everything did.
    Kept(u32),
}

impl Disk {
    fn fail(&self, fault: Fault) {
        let mut platters = self.0.lock().unwrap();
        let now = platters.syncs;
        platters.fault = Some(match fault {
            Fault::Lost(n) => Fault::Lost(now + n),
            Fault::Kept(n) => Fault::Kept(now + n),
        });
    }

    fn fired(&self) -> bool {
        self.0.lock().unwrap().fired
    }

    /// The disk after the power came back.
    fn survivor(&self) -> Disk {
        let durable = self.0.lock().unwrap().durable.clone();
        Disk(Arc::new(Mutex::new(Platters { written: durable.clone(), durable, ..Platters::default() })))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().written.len() as u64)
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).unwrap();
        let platters = self.0.lock().unwrap();
        let bytes = platters.written.get(offset..offset + len);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::Error::other("beyond the end"))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().written.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        let mut platters = self.0.lock().unwrap();
        platters.syncs += 1;
        let (fails, kept) = match platters.fault {
            Some(Fault::Lost(n)) => (platters.syncs >= n, false),
            Some(Fault::Kept(n)) => (platters.syncs >= n, platters.syncs == n),
            None => (false, true),
        };
        if !fails || kept {
            platters.durable = platters.written.clone();
        }
        platters.fired |= fails;
        if fails { Err(io::Error::other("the disk fails, as the test wants")) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.0.lock().unwrap().written[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

async fn survives(fault: Fault) {
    let folder = tempfile::tempdir().unwrap();
    let config = alone(folder.path());
    let disk = Disk::default();
    let node = Node::start_on(config.clone(), toy(&config), disk.clone()).await.unwrap();
    let mut acknowledged = vec![];
    for n in 0..1_000u32 {
        if n == 5 {
            disk.fail(fault);
        }
        let Ok(id) = node.submit(n.to_be_bytes().to_vec()).await else { break };
        match node.wait_final(&id, PATIENCE).await {
            Ok(finality) => acknowledged.push((id, finality.height)),
            Err(_) => break,
        }
    }
    assert!(disk.fired(), "the fault did not fire");
    assert!(acknowledged.len() >= 5);
    let stopped = node.stopped().await;
    assert!(stopped.why.contains("chain store"), "{stopped}");
    assert!(matches!(node.submit(b"later".to_vec()).await, Err(SubmitError::Stopped(_))));
    assert!(node.status_of(&acknowledged[0].0).await.is_err());
    node.shutdown().await;

    let node = Node::start_on(config.clone(), toy(&config), disk.survivor()).await.unwrap();
    for (id, height) in acknowledged {
        let status = node.status_of(&id).await.unwrap();
        assert!(matches!(status, Status::Final(f) if f.height == height));
    }
    let id = node.submit(b"onwards".to_vec()).await.unwrap();
    assert_eq!(id, Hash::of(b"onwards"));
    node.wait_final(&id, PATIENCE).await.unwrap();
    check_chain(&node, &config.genesis).await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_sync_that_fails_and_did_not_happen_stops_the_node() {
    for n in 1..=4 {
        survives(Fault::Lost(n)).await;
    }
}

#[tokio::test]
async fn a_sync_that_fails_but_did_happen_stops_the_node() {
    for n in 1..=4 {
        survives(Fault::Kept(n)).await;
    }
}
