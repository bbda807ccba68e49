//! The chain on disk: one redb file with final blocks, certificates, receipts, the state's entries, and where
//! each transaction ended up. Trusted: nothing else can rebuild it but the peers' copies.
//!
//! Every height is one durable transaction, [`Store::commit`], the commit point. Blocks that may still be
//! decided are staged before the engine learns of them, because the engine's write-ahead log names them by
//! hash only; a staged block that loses is dropped by the commit of its height.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use anchor::{Block, CommitCertificate, Hash, Header, Receipt};
use borsh::{BorshDeserialize, BorshSerialize};
use redb::{Database, ReadableTable, StorageBackend, TableDefinition, WriteTransaction};

use crate::context::{ProposalInit, Voters};
use crate::ledger::FinalBlock;

const FORMAT: &[u8] = b"ranproof/chain-store/2";
const CACHE_BYTES: usize = 64 << 20;

/// Encoded block, certificate and receipts.
type FinalRow<'a> = (&'a [u8], &'a [u8], &'a [u8]);
/// Key and value of each entry of the state.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// `format`, `genesis`, `ready`, `history`, `abstain-since`, `voters`.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// By height.
const FINAL: TableDefinition<'_, u64, FinalRow<'_>> = TableDefinition::new("final");
/// Entries of the state after the newest final block.
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
/// Transaction id to height and index.
const TRANSACTIONS: TableDefinition<'_, &[u8; 32], (u64, u32)> = TableDefinition::new("transactions");
/// Height and block id to a block that may be decided.
const STAGED: TableDefinition<'_, (u64, &[u8; 32]), &[u8]> = TableDefinition::new("staged");

/// The node cannot keep its promises without its store: any of these stops it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("chain store: cannot {what}; hint: check the disk, then restart; nothing acknowledged is lost")]
    Io { what: &'static str, source: Box<redb::Error> },
    #[error("chain store: cannot {what}; hint: check that the data folder is writable")]
    File { what: &'static str, source: std::io::Error },
    #[error(
        "chain store: {what} is unreadable: {reason}; hint: restore the data folder or rejoin from peers"
    )]
    Corrupt { what: &'static str, reason: String },
}

/// A block that may be decided, as it was proposed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Staged {
    pub init: ProposalInit,
    /// The proposer's signature over `init`; absent if the block came by value sync.
    pub signature: Option<anchor::Signature>,
    pub block: Block,
}

/// All that becomes true with one height.
#[derive(Debug)]
pub(crate) struct Commit<'a> {
    pub block: &'a Block,
    pub certificate: &'a CommitCertificate,
    pub receipts: &'a [Receipt],
    pub changes: &'a [(Vec<u8>, Option<Vec<u8>>)],
    /// Frontier of the header history after this block.
    pub history: &'a [u8],
    pub end_abstention: bool,
    /// The newest vote known of each validator.
    pub voters: &'a Voters,
}

#[derive(Debug)]
pub(crate) struct Store {
    db: Database,
}

fn io<E: Into<redb::Error>>(what: &'static str) -> impl FnOnce(E) -> StoreError {
    move |e| StoreError::Io { what, source: Box::new(e.into()) }
}

fn corrupt<E: ToString>(what: &'static str) -> impl FnOnce(E) -> StoreError {
    move |e| StoreError::Corrupt { what, reason: e.to_string() }
}

impl Store {
    /// Opens the file at `path`, or creates it. A crash while creating leaves `path` absent: the file appears
    /// there only after its first commit.
    pub fn open_or_create(path: &Path, genesis: &Hash) -> Result<Self, StoreError> {
        let exists =
            path.try_exists().map_err(|source| StoreError::File { what: "look for its file", source })?;
        if exists {
            let db = builder().open(path).map_err(io("open its file"))?;
            return Store { db }.initialised(genesis);
        }
        let new = path.with_extension("new");
        match std::fs::remove_file(&new) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::File { what: "remove an unfinished file", source });
            }
            _ => {}
        }
        let db = builder().create(&new).map_err(io("create its file"))?;
        let store = Store { db }.initialised(genesis)?;
        std::fs::rename(&new, path).map_err(|source| StoreError::File { what: "name its file", source })?;
        sync_folder(path)?;
        Ok(store)
    }

    /// A store over something else than a plain file, such as a disk that fails on purpose.
    pub fn with_backend(backend: impl StorageBackend, genesis: &Hash) -> Result<Self, StoreError> {
        let db = builder().create_with_backend(backend).map_err(io("open its storage"))?;
        Store { db }.initialised(genesis)
    }

    /// Creates the tables, or checks that they belong to this chain.
    fn initialised(self, genesis: &Hash) -> Result<Self, StoreError> {
        let write = self.begin()?;
        {
            write.open_table(FINAL).map_err(io("open a table"))?;
            write.open_table(STATE).map_err(io("open a table"))?;
            write.open_table(TRANSACTIONS).map_err(io("open a table"))?;
            write.open_table(STAGED).map_err(io("open a table"))?;
            let mut meta = write.open_table(META).map_err(io("open a table"))?;
            for (key, expected) in [("format", FORMAT), ("genesis", &genesis.0[..])] {
                let found = meta.get(key).map_err(io("read"))?.map(|v| v.value().to_vec());
                match found {
                    None => drop(meta.insert(key, expected).map_err(io("write"))?),
                    Some(found) if found == expected => {}
                    Some(_) => {
                        let reason = format!("its {key} is not this node's");
                        return Err(StoreError::Corrupt { what: "the file", reason });
                    }
                }
            }
        }
        write.commit().map_err(io("commit"))?;
        Ok(self)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.db.begin_write().map_err(io("begin a transaction"))
    }

    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(META).map_err(io("open a table"))?;
        Ok(table.get(key).map_err(io("read"))?.map(|v| v.value().to_vec()))
    }

    pub fn set_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let write = self.begin()?;
        write.open_table(META).map_err(io("open a table"))?.insert(key, value).map_err(io("write"))?;
        write.commit().map_err(io("commit"))
    }

    /// The newest vote known of each validator, as of the newest final block.
    pub fn voters(&self) -> Result<Voters, StoreError> {
        let bytes = self.meta("voters")?;
        bytes.map_or(Ok(Voters::default()), |b| borsh::from_slice(&b).map_err(corrupt("the newest votes")))
    }

    /// The newest final height, 0 before the first block.
    pub fn tip_height(&self) -> Result<u64, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(FINAL).map_err(io("open a table"))?;
        Ok(table.last().map_err(io("read"))?.map_or(0, |(height, _)| height.value()))
    }

    pub fn final_block(&self, height: u64) -> Result<Option<FinalBlock>, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(FINAL).map_err(io("open a table"))?;
        let Some(row) = table.get(height).map_err(io("read"))? else { return Ok(None) };
        let (block, certificate, receipts) = row.value();
        Ok(Some(FinalBlock {
            block: Block::decode(block).map_err(corrupt("a block"))?,
            receipts: borsh::from_slice(receipts).map_err(corrupt("receipts"))?,
            certificate: CommitCertificate::decode(certificate).map_err(corrupt("a certificate"))?,
        }))
    }

    pub fn header(&self, height: u64) -> Result<Option<Header>, StoreError> {
        Ok(self.final_block(height)?.map(|f| f.block.header))
    }

    /// Where a transaction became final: height and index in the block.
    pub fn position(&self, id: &Hash) -> Result<Option<(u64, u32)>, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(TRANSACTIONS).map_err(io("open a table"))?;
        Ok(table.get(&id.0).map_err(io("read"))?.map(|v| v.value()))
    }

    /// One of these that is final already, if any is.
    pub fn first_final(&self, ids: &BTreeSet<Hash>) -> Result<Option<Hash>, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(TRANSACTIONS).map_err(io("open a table"))?;
        for id in ids {
            if table.get(&id.0).map_err(io("read"))?.is_some() {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    /// The state after the newest final block.
    pub fn entries(&self) -> Result<Entries, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(STATE).map_err(io("open a table"))?;
        let mut entries = Vec::new();
        for row in table.iter().map_err(io("read"))? {
            let (key, value) = row.map_err(io("read"))?;
            entries.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(entries)
    }

    /// Durable before it returns. A crash after it leaves a block that nobody has voted for yet.
    pub fn stage(&self, staged: &Staged) -> Result<(), StoreError> {
        let bytes = borsh::to_vec(staged).expect("writing to memory does not fail");
        let key = (staged.init.height.0, &staged.init.value.0.0);
        let write = self.begin()?;
        write.open_table(STAGED).map_err(io("open a table"))?.insert(key, &*bytes).map_err(io("write"))?;
        write.commit().map_err(io("commit"))
    }

    pub fn staged(&self, height: u64, id: &Hash) -> Result<Option<Staged>, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(STAGED).map_err(io("open a table"))?;
        let row = table.get((height, &id.0)).map_err(io("read"))?;
        row.map(|v| borsh::from_slice(v.value()).map_err(corrupt("a staged block"))).transpose()
    }

    pub fn staged_at(&self, height: u64) -> Result<Vec<Staged>, StoreError> {
        let read = self.db.begin_read().map_err(io("begin reading"))?;
        let table = read.open_table(STAGED).map_err(io("open a table"))?;
        let mut found = Vec::new();
        for row in table.range((height, &[0; 32])..=(height, &[0xff; 32])).map_err(io("read"))? {
            let (_, value) = row.map_err(io("read"))?;
            found.push(borsh::from_slice(value.value()).map_err(corrupt("a staged block"))?);
        }
        Ok(found)
    }

    /// The commit point of a height: before it, a crash leaves the previous height and the engine's log,
    /// which decides the same block again; after it, this height is final.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let write = self.begin()?;
        write_commit(&write, commit)?;
        write.commit().map_err(io("commit"))
    }
}

fn write_commit(write: &WriteTransaction, commit: &Commit<'_>) -> Result<(), StoreError> {
    let height = commit.block.header.height;
    let receipts = borsh::to_vec(commit.receipts).expect("writing to memory does not fail");
    let row = (&*commit.block.encode(), &*commit.certificate.encode(), &*receipts);
    write.open_table(FINAL).map_err(io("open a table"))?.insert(height, row).map_err(io("write"))?;

    let mut transactions = write.open_table(TRANSACTIONS).map_err(io("open a table"))?;
    for (index, receipt) in (0u32..).zip(commit.receipts) {
        transactions.insert(&receipt.transaction.0, (height, index)).map_err(io("write"))?;
    }
    let mut state = write.open_table(STATE).map_err(io("open a table"))?;
    for (key, value) in commit.changes {
        match value {
            Some(value) => drop(state.insert(&**key, &**value).map_err(io("write"))?),
            None => drop(state.remove(&**key).map_err(io("write"))?),
        }
    }
    let mut staged = write.open_table(STAGED).map_err(io("open a table"))?;
    staged.retain_in(..=(height, &[0xff; 32]), |_, _| false).map_err(io("write"))?;

    let mut meta = write.open_table(META).map_err(io("open a table"))?;
    meta.insert("history", commit.history).map_err(io("write"))?;
    if commit.end_abstention {
        meta.remove("abstain-since").map_err(io("write"))?;
    }
    let voters = borsh::to_vec(commit.voters).expect("writing to memory does not fail");
    meta.insert("voters", &*voters).map_err(io("write"))?;
    Ok(())
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let synced = File::open(folder).and_then(|f| f.sync_all());
    synced.map_err(|source| StoreError::File { what: "sync its folder", source })
}
